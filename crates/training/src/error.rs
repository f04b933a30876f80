use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong in keeping a run.
///
/// A message does not repeat the message of its source; print the whole chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused to read, write, rename or create something.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// File or folder concerned.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A new run was asked for in a folder that already holds one.
    #[error("{} already holds a run", path.display())]
    HoldsARun {
        /// The run folder.
        path: PathBuf,
    },
    /// A folder was opened as a run, but there is no `plan.toml` in it.
    #[error("{} is not a run folder: it has no plan.toml", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A setting is outside its range.
    #[error("{field} = {value}: {why}")]
    BadSetting {
        /// Name of the setting, as in a configuration file.
        field: &'static str,
        /// Value given.
        value: String,
        /// What is allowed.
        why: &'static str,
    },
    /// A line of a journal, other than a last one cut short, is no event.
    #[error("{}, line {line}: this is no event of a journal", path.display())]
    BadEvent {
        /// The journal.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What the reader of JSON says.
        source: serde_json::Error,
    },
    /// A JSON file of a run folder does not have the expected content.
    #[error("{}: this is not the expected JSON", path.display())]
    BadJson {
        /// The file.
        path: PathBuf,
        /// What the reader of JSON says.
        source: serde_json::Error,
    },
    /// A run has no checkpoint yet.
    #[error("{}: there is no checkpoint", path.display())]
    NoCheckpoint {
        /// Where it should be.
        path: PathBuf,
    },
    /// A checkpoint is shorter or longer than its header says.
    #[error("{}: {found} bytes long, but a whole checkpoint has {wanted}", path.display())]
    WrongLength {
        /// The checkpoint.
        path: PathBuf,
        /// Bytes according to the header.
        wanted: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// The header of a checkpoint cannot be read, or is not what was written.
    #[error("{}: the header is damaged: {why}", path.display())]
    DamagedHeader {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A tensor's bytes do not have the checksum that was stored with them.
    #[error("{}: tensor `{tensor}` is damaged", path.display())]
    DamagedTensor {
        /// The checkpoint.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// A checkpoint was written in another format.
    #[error("{}: written in format {found}, but this program reads format {wanted}", path.display())]
    WrongFormat {
        /// The checkpoint.
        path: PathBuf,
        /// Format this program reads.
        wanted: u32,
        /// Format of the file.
        found: u32,
    },
    /// A tensor that the model needs is not in the checkpoint.
    #[error("{}: there is no tensor `{tensor}`", path.display())]
    MissingTensor {
        /// The checkpoint.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor has another shape than the model: the checkpoint belongs to another model.
    #[error("{}: tensor `{tensor}` has the shape {found:?}, but the model needs {wanted:?}", path.display())]
    WrongShape {
        /// The checkpoint.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape asked for.
        wanted: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor holds numbers of another type than was asked for.
    #[error("{}: tensor `{tensor}` holds {found} values, not {wanted}", path.display())]
    WrongType {
        /// The checkpoint.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Type asked for.
        wanted: String,
        /// Type in the file.
        found: String,
    },
}

impl Error {
    /// Whether the user's settings or files are at fault, rather than the machine.
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }

    /// Names the file that the system's answer is about: `….map_err(Error::at(path))`.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
