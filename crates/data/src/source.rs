//! Where a text lies: one file, a folder of shards, or several of both.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// The paths of a text, in reading order: each a file, or a folder whose files are read in the order of their names.
///
/// In a configuration file it is a string or a list of strings. Files whose names begin with a dot are left out of a
/// folder, and so are folders in it.
///
/// # Example
/// ```
/// use rf_data::Source;
/// # let place = tempfile::tempdir().unwrap();
/// for name in ["b", "a", ".hidden"] {
///     std::fs::write(place.path().join(name), "some words\n").unwrap();
/// }
/// let files = Source::from(place.path()).files()?;
/// assert_eq!(files, [place.path().join("a"), place.path().join("b")]);
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(Vec<PathBuf>);

impl Source {
    /// The paths as they were given.
    pub fn paths(&self) -> &[PathBuf] {
        &self.0
    }

    /// The same paths, changed one by one.
    ///
    /// # Errors
    /// Whatever `change` returns.
    pub fn try_map<E>(&self, change: impl FnMut(&PathBuf) -> Result<PathBuf, E>) -> Result<Self, E> {
        Ok(Self(self.0.iter().map(change).collect::<Result<_, _>>()?))
    }

    /// The same source, its relative paths below `root`.
    pub fn below(&self, root: &Path) -> Self {
        Self(self.0.iter().map(|path| root.join(path)).collect())
    }

    /// Whether it is more than one file: a list, or a folder.
    pub fn is_sharded(&self) -> bool {
        self.0.len() > 1 || self.0.iter().any(|path| path.is_dir())
    }

    /// Every file of the text, in reading order.
    ///
    /// # Errors
    /// [`Error::Open`] for a path that is not there, [`Error::List`] for a folder that cannot be listed,
    /// [`Error::NoFiles`] for one without files.
    pub fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for path in &self.0 {
            let about = std::fs::metadata(path).map_err(|source| Error::Open { path: path.clone(), source })?;
            if about.is_dir() {
                files.extend(shards(path)?);
            } else {
                files.push(path.clone());
            }
        }
        Ok(files)
    }
}

impl<P: Into<PathBuf>> From<P> for Source {
    fn from(path: P) -> Self {
        Self(vec![path.into()])
    }
}

impl FromIterator<PathBuf> for Source {
    fn from_iter<I: IntoIterator<Item = PathBuf>>(paths: I) -> Self {
        Self(paths.into_iter().collect())
    }
}

/// The paths with `, ` between them.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.0.iter().map(|path| path.display().to_string()).collect();
        f.write_str(&paths.join(", "))
    }
}

/// The files of a folder in the order of their names.
fn shards(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let refused = |source| Error::List { path: folder.into(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(Error::NoFiles { path: folder.into() }) } else { Ok(files) }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [path] => path.serialize(serializer),
            paths => paths.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Paths)
    }
}

/// Reads a string or a list of strings. Written out because serde's untagged enums do not say what was expected.
struct Paths;

impl<'de> Visitor<'de> for Paths {
    type Value = Source;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path or a list of paths")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<Source, E> {
        Ok(path.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Source, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = list.next_element()? {
            paths.push(path);
        }
        if paths.is_empty() { Err(de::Error::invalid_length(0, &self)) } else { Ok(Source(paths)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Table {
        train: Source,
    }

    fn parse(text: &str) -> Result<Source, String> {
        toml::from_str::<Table>(text).map(|table| table.train).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_string_and_a_list_are_read_and_written_back() {
        for text in ["train = \"a\"\n", "train = [\"a\", \"b\"]\n"] {
            let source = parse(text).unwrap();
            assert_eq!(toml::to_string(&Table { train: source }).unwrap(), text);
        }
        assert_eq!(parse("train = [\"a\"]").unwrap(), Source::from("a"));
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        for (text, problem) in [
            ("train = 3", "invalid type: integer `3`, expected a path or a list of paths"),
            ("train = []", "invalid length 0, expected a path or a list of paths"),
            ("train = ['a', 4]", "invalid type: integer `4`, expected path string"),
        ] {
            assert_eq!(parse(text).unwrap_err(), problem);
        }
    }

    #[test]
    fn a_folder_gives_its_files_by_name_and_a_list_keeps_its_order() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        std::fs::create_dir_all(path("shards/below")).unwrap();
        for name in ["shards/n-10", "shards/n-02", "shards/.n-00", "shards/below/x", "first"] {
            std::fs::write(path(name), "a\n").unwrap();
        }
        let source: Source = ["shards", "first"].map(PathBuf::from).into_iter().collect();
        let source = source.below(place.path());
        assert!(source.is_sharded() && !Source::from(path("first")).is_sharded());
        assert_eq!(source.files().unwrap(), [path("shards/n-02"), path("shards/n-10"), path("first")]);
    }

    #[test]
    fn a_folder_without_files_and_a_missing_path_are_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let error = Source::from(place.path()).files().unwrap_err();
        assert!(matches!(&error, Error::NoFiles { path } if path == place.path()), "{error}");
        let error = Source::from("no/such/folder").files().unwrap_err();
        assert_eq!(error.to_string(), "no/such/folder: cannot open the file");
    }
}
