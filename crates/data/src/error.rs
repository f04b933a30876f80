//! What can go wrong between a file, a config and a batch.

use std::io;
use std::path::PathBuf;

/// Why data could not be read, written or laid out.
///
/// Lines, columns and fields count from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// When a file is missing or may not be opened.
    #[error("{}: cannot open the file", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// When a plain file breaks off while it is read; also when the path is a folder.
    #[error("{}, line {line}: cannot read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The line that could not be read.
        line: usize,
        /// What the system answered.
        source: io::Error,
    },
    /// When a gzip file is corrupt, truncated or followed by other bytes.
    #[error("{}, line {line}: the gzip stream is corrupt or truncated", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The line that could not be unpacked.
        line: usize,
        /// What the decoder answered.
        source: io::Error,
    },
    /// When a line is not UTF-8.
    #[error("{}, line {line}, byte {column}: invalid UTF-8", path.display())]
    Utf8 {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The first byte of the line that is not part of a character.
        column: usize,
    },
    /// When a text holds no word, or a vocabulary file no line.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// When a text holds a word outside a vocabulary that has no `<unk>`.
    #[error("{}, line {line}: the word `{word}` is not in the vocabulary, and the vocabulary has no `<unk>`", path.display())]
    UnknownWord {
        /// The text.
        path: PathBuf,
        /// The line of the word.
        line: usize,
        /// The word.
        word: String,
    },
    /// When a line of a vocabulary file is not `word<TAB>count` with a new word.
    #[error("{}, line {line}, field {field}: {problem}", path.display())]
    Entry {
        /// The vocabulary file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// 1 for the word, 2 for the count.
        field: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// When a vocabulary file lacks `<eos>`.
    #[error("{}: the vocabulary has no `<eos>`", path.display())]
    NoEos {
        /// The vocabulary file.
        path: PathBuf,
    },
    /// When a file cannot be written.
    #[error("{}: cannot write the file", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// When a value of a config has no meaning.
    #[error("{field} = {value}: {problem}")]
    Config {
        /// The key.
        field: String,
        /// Its value.
        value: String,
        /// The rule that it breaks.
        problem: String,
    },
    /// When a saved vocabulary is not that of the synthetic language it is used with.
    #[error("the vocabulary is not that of the synthetic language: class {id} is `{found}`, expected `{expected}`")]
    OtherLanguage {
        /// The first class that differs.
        id: usize,
        /// The word in the vocabulary, empty if it ends before.
        found: String,
        /// The word in the language, empty if it ends before.
        expected: String,
    },
}

impl Error {
    /// A value that breaks a rule.
    pub(crate) fn config(field: impl Into<String>, value: impl ToString, problem: impl Into<String>) -> Self {
        Self::Config { field: field.into(), value: value.to_string(), problem: problem.into() }
    }
}
