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
    /// When a folder may not be listed.
    #[error("{}: cannot list the folder", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// When a folder of shards has no file.
    #[error("{}: there is no file in the folder", path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
    },
    /// When a line of a file that is read as a stream is too long to be held in memory.
    #[error("{}, line {line}: the line has more than {longest} bytes, the most for a file read as a stream", path.display())]
    LongLine {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// Bytes that are allowed.
        longest: u64,
    },
    /// When a stream is to go on at a saved place, but in another text or another layout.
    #[error("the training text is not the one that the run stopped in: {problem}")]
    OtherText {
        /// What differs.
        problem: String,
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
    /// When a file of points, filters or names has a wrong header, or not the lines that were announced.
    #[error("{}, line {line}: {problem}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The line: 1, or the first line too many.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// When a part of a line of a file of points or filters is wrong.
    #[error("{}, line {line}, field {field}: {problem}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// Which of the parts between white space. The labels of a point are field 1, even if there are none; so its
        /// first feature is field 2. In a file of features or labels alone the first of them is field 1.
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
    /// When a list of data sets is not one.
    #[error("{}, {problem}", path.display())]
    Manifest {
        /// The list.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// When a data set is asked for that is not in the list.
    #[error("there is no data set `{name}`; there are: {known}")]
    UnknownDataset {
        /// What was asked for.
        name: String,
        /// The names in the list.
        known: String,
    },
    /// When a data set has files that no address gives, and they are not there.
    #[error("{name} cannot be fetched, but got by hand from {page}: {how}. Still missing: {files}")]
    ByHand {
        /// The data set.
        name: String,
        /// Its page.
        page: String,
        /// What to do there.
        how: String,
        /// Where the files belong that are not there.
        files: String,
    },
    /// When a server is not reached or the connection to it is lost.
    #[error("{url}: {problem}")]
    Network {
        /// The address.
        url: String,
        /// What happened.
        problem: String,
    },
    /// When a server answers without the file.
    #[error("{url}: the server answered {status}")]
    Status {
        /// The address.
        url: String,
        /// Its number and name.
        status: String,
    },
    /// When a file to be fetched has another size than the published one.
    #[error("{url}: the published file has {wanted} bytes, this one {found}")]
    Size {
        /// The address.
        url: String,
        /// Bytes it should have.
        wanted: u64,
        /// Bytes it has.
        found: u64,
    },
    /// When a file that was fetched has another checksum than the published one.
    #[error("{url}: the published file has the SHA-256 {wanted}, this one {found}; it is kept as {}", kept.display())]
    Checksum {
        /// The address.
        url: String,
        /// Checksum it should have.
        wanted: String,
        /// Checksum it has.
        found: String,
        /// Where it is now.
        kept: PathBuf,
    },
    /// When no address of a file gave it.
    #[error("{}: no address has the file: {failures}", path.display())]
    NoSource {
        /// Where it belongs.
        path: PathBuf,
        /// What each address answered.
        failures: String,
    },
    /// When a file is in the place of a published one.
    #[error("{}: this is not the published file, which has {wanted}; it has {found}. To fetch, move it away", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// Size or checksum it should have.
        wanted: String,
        /// What it has.
        found: String,
    },
    /// When an archive is broken, or would be unpacked to where it does not belong.
    #[error("{}: cannot unpack: {problem}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
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
    /// Whether the user's words or files are at fault, rather than a server or the machine.
    pub fn is_bad_input(&self) -> bool {
        !self.is_of_a_server() && !matches!(self, Self::NoSource { .. } | Self::Archive { .. } | Self::Write { .. })
    }

    /// Whether another address may do better.
    pub(crate) fn is_of_a_server(&self) -> bool {
        matches!(self, Self::Network { .. } | Self::Status { .. } | Self::Size { .. } | Self::Checksum { .. })
    }

    /// A value that breaks a rule.
    pub(crate) fn config(field: impl Into<String>, value: impl ToString, problem: impl Into<String>) -> Self {
        Self::Config { field: field.into(), value: value.to_string(), problem: problem.into() }
    }
}
