use rf_training::TaskError;

/// What can go wrong in training or evaluating a language model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text cannot be cut into batches.
    #[error(transparent)]
    Data(#[from] rf_data::Error),
    /// Settings contradict each other.
    #[error("{field}: {why}")]
    BadSetting {
        /// The setting, as in a configuration file.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// What can go wrong with any task: in the head, in the files of the run folder, in the course of the run.
    #[error(transparent)]
    Training(#[from] rf_training::Error),
}

impl Error {
    /// Whether the user's settings or files are at fault, rather than the run or the machine.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Data(_) | Self::BadSetting { .. } => true,
            Self::Training(error) => error.is_bad_input(),
        }
    }
}

impl From<rf_softmax::Error> for Error {
    fn from(error: rf_softmax::Error) -> Self {
        Self::Training(error.into())
    }
}

impl TaskError for Error {
    fn into_shared(self) -> Result<rf_training::Error, Self> {
        match self {
            Self::Training(error) => Ok(error),
            own => Err(own),
        }
    }
}
