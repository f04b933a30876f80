//! Where the points of a split lie.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The points of a split: one file, or one of features and one of labels.
///
/// In a configuration file it is a string, or a table with the keys `features` and `labels`.
///
/// # Example
/// ```
/// use rf_data::XcConfig;
/// let config: XcConfig = toml::from_str(
///     r#"
///     train = { features = "trn_X_Xf.txt", labels = "trn_X_Y.txt" }
///     test = "test.txt"
///     "#,
/// ).unwrap();
/// assert_eq!(config.train.paths().len(), 2);
/// assert_eq!(config.test.paths(), [std::path::Path::new("test.txt")]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XcFiles {
    /// Header `points features labels`, then a point a line: `label,label feature:value feature:value`.
    One(PathBuf),
    /// A line of each file is a point.
    Two {
        /// Header `points features`, then `feature:value feature:value`.
        features: PathBuf,
        /// Header `points labels`, then `label:1 label:1`. The number after a label must be one other than 0.
        labels: PathBuf,
    },
}

impl XcFiles {
    /// The paths as they were given: the features first.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::One(path) => vec![path],
            Self::Two { features, labels } => vec![features, labels],
        }
    }

    /// The same files, their paths changed one by one.
    ///
    /// # Errors
    /// Whatever `change` returns.
    pub fn try_map<E>(&self, mut change: impl FnMut(&PathBuf) -> Result<PathBuf, E>) -> Result<Self, E> {
        Ok(match self {
            Self::One(path) => Self::One(change(path)?),
            Self::Two { features, labels } => Self::Two { features: change(features)?, labels: change(labels)? },
        })
    }
}

impl<P: Into<PathBuf>> From<P> for XcFiles {
    fn from(path: P) -> Self {
        Self::One(path.into())
    }
}

/// The paths with `, ` between them.
impl fmt::Display for XcFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.paths().iter().map(|path| path.display().to_string()).collect();
        f.write_str(&paths.join(", "))
    }
}

/// The table of two files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Two {
    features: PathBuf,
    labels: PathBuf,
}

impl Serialize for XcFiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.clone() {
            Self::One(path) => path.serialize(serializer),
            Self::Two { features, labels } => Two { features, labels }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for XcFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathOrTable)
    }
}

/// Reads a string or a table. Written out because serde's untagged enums do not say what was expected.
struct PathOrTable;

impl<'de> Visitor<'de> for PathOrTable {
    type Value = XcFiles;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path or a table { features, labels }")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<XcFiles, E> {
        Ok(path.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<XcFiles, A::Error> {
        let Two { features, labels } = Two::deserialize(MapAccessDeserializer::new(table))?;
        Ok(XcFiles::Two { features, labels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Table {
        train: XcFiles,
    }

    fn parse(text: &str) -> Result<XcFiles, String> {
        toml::from_str::<Table>(text).map(|table| table.train).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_string_and_a_table_are_read_and_written_back() {
        for text in ["train = \"a\"\n", "[train]\nfeatures = \"a\"\nlabels = \"b\"\n"] {
            assert_eq!(toml::to_string(&Table { train: parse(text).unwrap() }).unwrap(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_in_words() {
        for (text, problem) in [
            ("train = 3", "invalid type: integer `3`, expected a path or a table { features, labels }"),
            ("train = { features = 'a' }", "missing field `labels`"),
            (
                "train = { features = 'a', labels = 'b', names = 'c' }",
                "unknown field `names`, expected `features` or `labels`",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), problem);
        }
    }
}
