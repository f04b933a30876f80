//! Archives.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use super::{FetchEvent, Listener, beside, rename};
use crate::Error;

/// Unpacks the folder `folder` of the `.tar.gz` at `path` to `target`, and removes the archive.
///
/// All is unpacked into `target.part` first: what is at `target` is whole. Only files and folders are made, and only
/// in there; an archive with a path that leads elsewhere, or with a link, is refused.
pub(super) fn unpack(path: &Path, folder: &str, target: &Path, tell: Listener<'_>) -> Result<(), Error> {
    let aside = beside(target, "part");
    match fs::remove_dir_all(&aside) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Error::Write { path: aside, source }),
        _ => {}
    }
    let file = File::open(path).map_err(|source| Error::Open { path: path.into(), source })?;
    let total = file.metadata().map_or(0, |about| about.len());
    tell(FetchEvent::Unpack { path, total });
    let told = Told { file, tell };
    let mut archive = tar::Archive::new(MultiGzDecoder::new(told));
    let refused = |problem: String| Error::Archive { path: path.into(), problem };
    for entry in archive.entries().map_err(|error| refused(error.to_string()))? {
        let mut entry = entry.map_err(|error| refused(error.to_string()))?;
        let name = entry.path().map_err(|error| refused(error.to_string()))?.into_owned();
        if !is_inside(&name) {
            return Err(refused(format!("the entry {} leads out of the archive", name.display())));
        }
        let place = aside.join(&name);
        match entry.header().entry_type() {
            EntryType::Directory => make_folder(&place)?,
            EntryType::Regular | EntryType::Continuous => {
                make_folder(place.parent().unwrap_or(&aside))?;
                copy(&mut entry, &place, &refused)?;
            }
            EntryType::XGlobalHeader => {}
            other => return Err(refused(format!("the entry {} is no file but {other:?}", name.display()))),
        }
    }
    let inner = aside.join(folder);
    if !inner.is_dir() {
        return Err(refused(format!("there is no folder {folder} in it")));
    }
    rename(&inner, target)?;
    fs::remove_dir_all(&aside).map_err(|source| Error::Write { path: aside, source })?;
    fs::remove_file(path).map_err(|source| Error::Write { path: path.into(), source })
}

/// Whether a path stays below the folder that it starts from.
fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|source| Error::Write { path: path.into(), source })
}

/// Writes an entry, reading and writing apart, so that a broken archive is not taken for a full disk.
fn copy(entry: &mut impl Read, place: &Path, refused: &dyn Fn(String) -> Error) -> Result<(), Error> {
    let unwritten = |source| Error::Write { path: place.into(), source };
    let mut file = File::create(place).map_err(unwritten)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let bytes = entry.read(&mut buffer).map_err(|error| refused(error.to_string()))?;
        if bytes == 0 {
            return Ok(());
        }
        io::Write::write_all(&mut file, &buffer[..bytes]).map_err(unwritten)?;
    }
}

/// A file that tells how much of it was read.
struct Told<'a> {
    file: File,
    tell: Listener<'a>,
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        (self.tell)(FetchEvent::Bytes(bytes as u64));
        Ok(bytes)
    }
}
