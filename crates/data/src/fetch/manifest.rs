//! The list of data sets.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::Error;

/// The manifest that this program was built with.
const BUILT_IN: &str = include_str!("../../../../datasets/manifest.toml");

/// The data sets that can be fetched; `datasets/manifest.toml` describes its own form.
///
/// # Example
/// ```
/// use rf_data::Manifest;
/// let manifest = Manifest::built_in()?;
/// assert_eq!(manifest.dataset("ptb")?.files.len(), 3);
/// let error = manifest.dataset("pbt").unwrap_err();
/// assert!(error.to_string().starts_with("there is no data set `pbt`; there are: ptb, "));
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The data sets.
    #[serde(rename = "dataset")]
    pub datasets: Vec<Dataset>,
}

/// A data set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// What it is asked for by.
    pub name: String,
    /// What it is.
    pub title: String,
    /// What a model learns from it: `lm` or `xmc`.
    pub task: String,
    /// Who may use it for what.
    pub licence: String,
    /// Its page.
    pub page: String,
    /// How to get it from its page, for a data set with files that no address gives.
    #[serde(default)]
    pub by_hand: Option<String>,
    /// Its files.
    #[serde(rename = "file")]
    pub files: Vec<RemoteFile>,
}

/// A file that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteFile {
    /// Where it belongs, below the data folder.
    pub path: PathBuf,
    /// Where it is fetched from, in the order of trying; absent in a data set that is got by hand.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Its size in bytes, where that is known.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Its SHA-256 in lower-case digits, where that is known from a second source.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The folder in a `.tar.gz` that takes the place of the archive.
    #[serde(default)]
    pub unpacks_to: Option<String>,
}

impl Manifest {
    /// The manifest of the project.
    ///
    /// # Errors
    /// [`Error::Manifest`]; never for a program that passed its tests.
    pub fn built_in() -> Result<Self, Error> {
        Self::parse(BUILT_IN, Path::new("the built-in manifest"))
    }

    /// A manifest of one's own.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::Manifest`] for a text that is none.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Open { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// The data set called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownDataset`].
    pub fn dataset(&self, name: &str) -> Result<&Dataset, Error> {
        let known = || self.datasets.iter().map(|dataset| dataset.name.as_str()).collect::<Vec<_>>().join(", ");
        let unknown = || Error::UnknownDataset { name: name.into(), known: known() };
        self.datasets.iter().find(|dataset| dataset.name == name).ok_or_else(unknown)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let refused = |problem| Error::Manifest { path: path.into(), problem };
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(start).filter(|&byte| byte == b'\n').count();
            refused(format!("line {line}: {}", error.message()))
        })?;
        let mut names = BTreeSet::new();
        for dataset in &manifest.datasets {
            let problem =
                if names.insert(&dataset.name) { dataset.problem() } else { Some("it is there twice".into()) };
            if let Some(problem) = problem {
                return Err(refused(format!("data set `{}`: {problem}", dataset.name)));
            }
        }
        Ok(manifest)
    }
}

impl Dataset {
    /// Bytes of all files, where all are known.
    pub fn bytes(&self) -> Option<u64> {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// How many of its files are in the data folder; contents are not read.
    pub fn files_there(&self, root: &Path) -> usize {
        self.files.iter().filter(|file| file.is_there(root)).count()
    }

    /// Its files that no address gives and that are not there, whatever their sizes.
    pub(super) fn missing_by_hand(&self, root: &Path) -> Vec<PathBuf> {
        let is_missing =
            |file: &&RemoteFile| file.urls.is_empty() && !file.target(root).exists() && !root.join(&file.path).exists();
        self.files.iter().filter(is_missing).map(|file| root.join(&file.path)).collect()
    }

    fn problem(&self) -> Option<String> {
        if self.files.is_empty() {
            return Some("it has no file".into());
        }
        let by_hand = self.by_hand.is_some();
        let problem = |file: &RemoteFile| Some(format!("{}: {}", file.path.display(), file.problem(by_hand)?));
        self.files.iter().find_map(problem)
    }
}

impl RemoteFile {
    /// What is there when it was fetched: the file, or the folder of the archive.
    pub fn target(&self, root: &Path) -> PathBuf {
        let path = root.join(&self.path);
        self.unpacks_to.as_ref().map_or(path.clone(), |folder| path.with_file_name(folder))
    }

    /// Whether its target is there, with the right size where that can be said.
    fn is_there(&self, root: &Path) -> bool {
        let about = std::fs::metadata(self.target(root));
        match self.unpacks_to {
            Some(_) => about.is_ok_and(|about| about.is_dir()),
            None => about.is_ok_and(|about| about.is_file() && self.bytes.is_none_or(|bytes| bytes == about.len())),
        }
    }

    fn problem(&self, by_hand: bool) -> Option<&'static str> {
        let is_name = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_sum = |sum: &String| sum.len() == 64 && sum.bytes().all(is_digit);
        let is_address = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        let folder = self.unpacks_to.as_ref().map(Path::new);
        let is_archive = self.path.to_string_lossy().ends_with(".tar.gz");
        if self.path.file_name().is_none() || !is_name(&self.path) {
            Some("the path must be a name below the data folder")
        } else if !self.urls.iter().all(is_address) || self.urls.is_empty() && !by_hand {
            Some("urls must hold addresses that begin with https:// or http://, or the data set say by_hand")
        } else if !self.sha256.iter().all(is_sum) {
            Some("sha256 must be 64 digits of 0-9 and a-f")
        } else if folder.is_some_and(|folder| !is_name(folder) || folder.components().count() != 1) {
            Some("unpacks_to must be the name of a folder")
        } else if folder.is_some() && !is_archive {
            Some("only a .tar.gz can be unpacked")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[dataset]]\nname = 'a'\ntitle = ''\ntask = 'lm'\nlicence = ''\npage = ''\n[[dataset.file]]\n\
                       path = 'a/b.tar.gz'\nurls = ['http://c/b']\nunpacks_to = 'd'\n";

    fn problem(from: &str, to: &str) -> String {
        assert!(ONE.contains(from), "{from}");
        Manifest::parse(&ONE.replace(from, to), Path::new("m.toml")).unwrap_err().to_string()
    }

    #[test]
    fn the_manifest_of_the_project_is_one() {
        let manifest = Manifest::built_in().unwrap();
        let fetched = manifest.datasets.iter().filter(|dataset| dataset.by_hand.is_none());
        assert!(fetched.clone().count() > 0 && fetched.clone().all(|dataset| dataset.bytes().is_some()));
        assert_eq!(manifest.dataset("ptb").unwrap().bytes(), Some(5_951_345));
    }

    #[test]
    fn a_faulty_manifest_is_refused_with_its_place() {
        Manifest::parse(ONE, Path::new("m.toml")).unwrap();
        assert!(problem("task", "tusk").starts_with("m.toml, line 4: unknown field `tusk`, expected one of"));
        for (from, to, wanted) in [
            ("'a/b.tar.gz'", "'/a/b.tar.gz'", "the path must be a name below"),
            ("'a/b.tar.gz'", "'../b.tar.gz'", "the path must be a name below the data folder"),
            ("'a/b.tar.gz'", "'a/b.zip'", "only a .tar.gz can be unpacked"),
            ("['http://c/b']", "[]", "urls must hold addresses"),
            ("'http:", "'ftp:", "urls must hold addresses"),
            ("'d'", "'../d'", "unpacks_to must be the name of a folder"),
            ("'d'", "'d'\nsha256 = 'ABC'", "sha256 must be 64 digits"),
        ] {
            let problem = problem(from, to);
            assert!(problem.starts_with("m.toml, data set `a`: ") && problem.contains(wanted), "{problem}");
        }
        let twice = Manifest::parse(&ONE.repeat(2), Path::new("m.toml")).unwrap_err().to_string();
        assert_eq!(twice, "m.toml, data set `a`: it is there twice");
    }

    #[test]
    fn a_file_may_be_without_addresses_in_a_set_that_is_got_by_hand() {
        let text = ONE.replace("urls = ['http://c/b']\n", "").replace("page = ''", "page = ''\nby_hand = 'ask for it'");
        let dataset = Manifest::parse(&text, Path::new("m.toml")).unwrap().datasets.remove(0);
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        assert_eq!((dataset.files_there(root), dataset.missing_by_hand(root)), (0, vec![root.join("a/b.tar.gz")]));
        std::fs::create_dir_all(root.join("a/d")).unwrap();
        assert_eq!((dataset.files_there(root), dataset.missing_by_hand(root)), (1, vec![]));
    }

    #[test]
    fn a_file_of_another_size_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        let text = ONE.replace("unpacks_to = 'd'", "bytes = 3");
        let dataset = Manifest::parse(&text, Path::new("m.toml")).unwrap().datasets.remove(0);
        std::fs::create_dir(place.path().join("a")).unwrap();
        for (content, there) in [("ab", 0), ("abc", 1)] {
            std::fs::write(place.path().join("a/b.tar.gz"), content).unwrap();
            assert_eq!(dataset.files_there(place.path()), there);
        }
    }
}
