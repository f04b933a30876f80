use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong in a run, whatever its task.
///
/// A message does not repeat the message of its source; print the whole chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The head, a table or the sampler refused something.
    #[error(transparent)]
    Softmax(#[from] rf_softmax::Error),
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
    /// The weights or the optimizer state of a checkpoint do not fit the model.
    #[error("the checkpoint's {part} does not fit this model: {reason}")]
    BadRecord {
        /// Its name in the checkpoint, such as `encoder` or `optimizer`.
        part: String,
        /// What burn says.
        reason: String,
    },
    /// The loss or the gradient is no longer finite.
    #[error(
        "training diverged: the {what} is not finite at step {step}. A lower `optimizer.learning_rate`, a lower \
         `optimizer.clip_norm` or a longer warm-up (`optimizer.warmup_steps`) may help"
    )]
    Diverged {
        /// `loss`, `gradient` or `embedding`.
        what: &'static str,
        /// Step, counted from 1.
        step: u64,
    },
    /// The trainer was asked to stop, and stored its state.
    #[error("interrupted after step {step}")]
    Interrupted {
        /// Steps done.
        step: u64,
    },
}

impl Error {
    /// Whether the user's settings or files are at fault, rather than the run or the machine.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Softmax(error) => is_bad_head(error),
            Self::Io { .. } | Self::Diverged { .. } | Self::Interrupted { .. } => false,
            _ => true,
        }
    }

    /// The same error, but that a query or a row that is not finite means that the run diverged at `step`.
    pub(crate) fn at_step(self, step: u64) -> Self {
        use rf_sampling::Error as Sampling;
        match self {
            Self::Softmax(rf_softmax::Error::Sampler(Sampling::BadQuery | Sampling::NotFinite(_))) => {
                Self::Diverged { what: "embedding", step }
            }
            other => other,
        }
    }

    /// Names the file that the system's answer is about: `….map_err(Error::at(path))`.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Whether a head was given settings or a saved state that it cannot be made of.
fn is_bad_head(error: &rf_softmax::Error) -> bool {
    use rf_sampling::Error as Sampling;
    use rf_softmax::Error as Softmax;
    matches!(
        error,
        Softmax::BadSetting { .. }
            | Softmax::WrongState { .. }
            | Softmax::MissingState(_)
            | Softmax::Misfit { .. }
            | Softmax::Sampler(Sampling::BadSetting { .. } | Sampling::TooLarge { .. } | Sampling::WrongState { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_not_finite_means_that_the_run_diverged() {
        let of_sampler = |error: rf_sampling::Error| Error::from(rf_softmax::Error::from(error)).at_step(7);
        let error = of_sampler(rf_sampling::Error::BadQuery);
        assert!(matches!(error, Error::Diverged { what: "embedding", step: 7 }));
        assert!(!error.is_bad_input());
        let setting = rf_softmax::Error::BadSetting { field: "draws", value: "0".into(), why: "too few".into() };
        let error = Error::from(setting).at_step(7);
        assert!(matches!(error, Error::Softmax(_)) && error.is_bad_input());
    }
}
