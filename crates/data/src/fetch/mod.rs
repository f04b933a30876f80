//! Data sets that can be fetched: the manifest, the download, the checksum, the archive.

mod checksum;
mod download;
mod manifest;
mod unpack;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use checksum::sha256_of;
pub use manifest::{Dataset, Manifest, RemoteFile};

use crate::Error;
use download::Download;

/// How data sets are fetched, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchConfig {
    /// The data folder.
    pub root: PathBuf,
    /// An address that is tried before those of the manifest: of the file or, where it ends in `/`, of the folder that
    /// holds the files.
    pub url: Option<String>,
    /// Time to wait before a connection that was lost is made again.
    pub pause: Duration,
}

/// What happens while a data set is fetched.
#[derive(Clone, Copy, Debug)]
pub enum FetchEvent<'a> {
    /// A file is there already, and is the published one as far as that is known.
    There(&'a Path),
    /// A download begins, or goes on behind the first `from` bytes.
    Start {
        /// Where from.
        url: &'a str,
        /// Bytes that an interrupted download left.
        from: u64,
        /// Bytes of the whole file, where the server or the manifest tells.
        total: Option<u64>,
    },
    /// So many more bytes are there.
    Bytes(u64),
    /// An attempt failed, and another follows.
    Again(&'a Error),
    /// The checksum of a download is computed.
    Check(&'a Path),
    /// The manifest has no checksum to compare this one with.
    Unverified {
        /// The file.
        path: &'a Path,
        /// Its checksum.
        sha256: &'a str,
    },
    /// An archive of so many bytes is unpacked; [`Bytes`](Self::Bytes) then counts those.
    Unpack {
        /// The archive.
        path: &'a Path,
        /// Its size.
        total: u64,
    },
    /// A file or folder is in its place.
    Done(&'a Path),
}

/// Whoever is told of events.
pub type Listener<'a> = &'a mut dyn FnMut(FetchEvent<'_>);

/// Brings every file of `dataset` to the data folder, those that are there left alone.
///
/// A download is written to `FILE.part`, and goes on there after an interruption if the server sends parts of files;
/// else it starts again. A lost connection is made again as long as that brings new bytes, three times where it does
/// not. Size and checksum are compared before the file gets its name: a download with another checksum is refused and
/// moved to `FILE.bad` to be looked at, or fetched once more from the start if it was put together from parts. Then
/// the next address of the file is tried. An archive is unpacked beside its place, no entry outside of it, and removed.
/// Nothing is fetched of a data set with a file that is not there, and that neither the manifest nor `url` has an
/// address for.
///
/// # Errors
/// [`Error::Network`], [`Error::Status`], [`Error::Size`] or [`Error::Checksum`] for a file with one address,
/// [`Error::NoSource`] for one with several that all failed; [`Error::OtherFile`] where another file has its name;
/// [`Error::Archive`]; [`Error::Write`]; [`Error::Config`] for a `url` that cannot be meant for all files;
/// [`Error::ByHand`] for a file without an address.
pub fn fetch(dataset: &Dataset, config: &FetchConfig, tell: Listener<'_>) -> Result<(), Error> {
    if let Some(url) = config.url.as_ref().filter(|url| !url.ends_with('/') && dataset.files.len() > 1) {
        let problem = format!("{} has {} files: give a folder that ends in /", dataset.name, dataset.files.len());
        return Err(Error::config("url", url, problem));
    }
    let missing = dataset.missing_by_hand(&config.root);
    if config.url.is_none() && !missing.is_empty() {
        return Err(by_hand(dataset, &missing));
    }
    dataset.files.iter().try_for_each(|file| fetch_file(file, config, tell))
}

fn fetch_file(file: &RemoteFile, config: &FetchConfig, tell: Listener<'_>) -> Result<(), Error> {
    let path = config.root.join(&file.path);
    let target = file.target(&config.root);
    if file.unpacks_to.is_some() && target.is_dir() {
        tell(FetchEvent::There(&target));
        return Ok(());
    }
    if path.exists() {
        checksum::check_present(file, &path, tell)?;
        if file.unpacks_to.is_none() {
            tell(FetchEvent::There(&path));
            return Ok(());
        }
    } else {
        make_folder_of(&path)?;
        download(file, config, &path, tell)?;
    }
    if let Some(folder) = &file.unpacks_to {
        unpack::unpack(&path, folder, &target, tell)?;
    }
    tell(FetchEvent::Done(&target));
    Ok(())
}

fn by_hand(dataset: &Dataset, missing: &[PathBuf]) -> Error {
    let Dataset { name, page, by_hand, .. } = dataset.clone();
    let files: Vec<_> = missing.iter().map(|path| path.display().to_string()).collect();
    Error::ByHand { name, page, how: by_hand.unwrap_or_default(), files: files.join(", ") }
}

/// Tries one address after the other.
fn download(file: &RemoteFile, config: &FetchConfig, path: &Path, tell: Listener<'_>) -> Result<(), Error> {
    let download = Download::new(file, path, config.pause);
    let mut failures: Vec<Error> = Vec::new();
    for url in addresses(file, config.url.as_deref()) {
        if let Some(error) = failures.last() {
            tell(FetchEvent::Again(error));
        }
        match download.fetch(&url, tell) {
            Err(error) if error.is_of_a_server() => failures.push(error),
            other => return other,
        }
    }
    if failures.len() == 1 {
        return Err(failures.remove(0));
    }
    let failures: Vec<_> = failures.iter().map(Error::to_string).collect();
    Err(Error::NoSource { path: path.into(), failures: failures.join("; ") })
}

/// The addresses of a file in the order in which they are tried.
fn addresses(file: &RemoteFile, first: Option<&str>) -> Vec<String> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    let first = first.map(|url| if url.ends_with('/') { format!("{url}{name}") } else { url.to_owned() });
    first.into_iter().chain(file.urls.iter().cloned()).collect()
}

fn make_folder_of(path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.into(), source })
}

/// The path with `.ending` added to its name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(|source| Error::Write { path: to.into(), source })
}
