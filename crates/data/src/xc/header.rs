//! The first line of a file of points.

use std::path::Path;

use super::blocks::Blocks;
use super::line::Columns;
use crate::Error;

/// Longer first lines are no headers.
const LONGEST_HEADER: usize = 1000;

/// What the first line of a file announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) points: u32,
    /// 0 in a file of labels.
    pub(super) features: u32,
    /// 0 in a file of features.
    pub(super) labels: u32,
}

/// How many features and labels there have to be, and who says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// `None` where any number will do.
    pub(super) features: Option<usize>,
    /// Labels.
    pub(super) labels: usize,
    /// What has this many.
    pub(super) of: &'static str,
}

impl Header {
    /// Reads the header of a file that was just opened.
    ///
    /// # Errors
    /// [`Error::Header`], [`Error::Empty`]; those of the file.
    pub(super) fn read(blocks: &mut Blocks, columns: Columns) -> Result<Self, Error> {
        let line = blocks.first_line(LONGEST_HEADER)?;
        Self::parse(&line, columns).map_err(|problem| refused(blocks.path(), problem))
    }

    fn parse(line: &[u8], columns: Columns) -> Result<Self, String> {
        let names = columns.header();
        let expected = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
        let text = String::from_utf8_lossy(line);
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        if words.is_empty() || words.iter().any(|word| word.parse::<f64>().is_err()) {
            let shown: String = text.chars().take(40).collect();
            return Err(format!("`{shown}` is no header; expected the numbers {}", expected()));
        }
        if words.len() != names.len() {
            return Err(format!("the header has {} numbers; expected {}", words.len(), expected()));
        }
        let mut numbers = [0; 3];
        for ((number, word), name) in numbers.iter_mut().zip(words).zip(names) {
            *number = size(word, name)?;
        }
        Ok(columns.header_of(numbers))
    }

    /// Refuses other numbers of features and labels than the expected ones.
    pub(super) fn check(&self, expected: Expected, columns: Columns, path: &Path) -> Result<(), Error> {
        let Expected { features, labels, of } = expected;
        let wrong = |name, found, wanted| refused(path, format!("the header says {found} {name}, but {of} {wanted}"));
        match features {
            Some(wanted) if columns != Columns::Labels && self.features as usize != wanted => {
                Err(wrong("features", self.features as usize, wanted))
            }
            _ if columns != Columns::Features && self.labels as usize != labels => {
                Err(wrong("labels", self.labels as usize, labels))
            }
            _ => Ok(()),
        }
    }
}

/// A header that is wrong.
pub(super) fn refused(path: &Path, problem: String) -> Error {
    Error::Header { path: path.into(), line: 1, problem }
}

/// A size of the header: ids below it are `u32`.
fn size(word: &str, name: &str) -> Result<u32, String> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    match word.parse() {
        Ok(0) => Err(format!("the header says 0 {name}")),
        Ok(size) if digits => Ok(size),
        _ if digits => Err(format!("the header says {word} {name}, the most are {}", u32::MAX)),
        _ => Err(format!("the header says `{word}` {name}, which is no count")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_the_numbers_of_its_file() {
        let parse = |text: &str, columns| Header::parse(text.as_bytes(), columns).unwrap();
        assert_eq!(parse("3 5 7", Columns::Both), Header { points: 3, features: 5, labels: 7 });
        assert_eq!(parse("3  5\t7 ", Columns::Both), Header { points: 3, features: 5, labels: 7 });
        assert_eq!(parse("3 5", Columns::Features), Header { points: 3, features: 5, labels: 0 });
        assert_eq!(parse("3 4294967295", Columns::Labels), Header { points: 3, features: 0, labels: u32::MAX });
    }

    #[test]
    fn a_faulty_header_is_refused_in_words() {
        let expected = "expected `points` `features` `labels`";
        for (text, problem) in [
            ("0,1 2:3", "`0,1 2:3` is no header; expected the numbers `points` `features` `labels`".to_owned()),
            ("", "`` is no header; expected the numbers `points` `features` `labels`".to_owned()),
            ("3 5", format!("the header has 2 numbers; {expected}")),
            ("3 5 7 9", format!("the header has 4 numbers; {expected}")),
            ("0 5 7", "the header says 0 points".to_owned()),
            ("3 0 7", "the header says 0 features".to_owned()),
            ("3 5 0", "the header says 0 labels".to_owned()),
            ("3 -5 7", "the header says `-5` features, which is no count".to_owned()),
            ("3 5.0 7", "the header says `5.0` features, which is no count".to_owned()),
            ("3 5 4294967296", "the header says 4294967296 labels, the most are 4294967295".to_owned()),
        ] {
            assert_eq!(Header::parse(text.as_bytes(), Columns::Both).unwrap_err(), problem);
        }
        let problem = Header::parse(b"3 5 7", Columns::Labels).unwrap_err();
        assert_eq!(problem, "the header has 3 numbers; expected `points` `labels`");
    }
}
