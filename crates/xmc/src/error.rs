/// What can go wrong in training or evaluating a classifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The points cannot be cut into batches.
    #[error(transparent)]
    Data(#[from] rf_data::Error),
    /// What can go wrong in any training: the head, the run folder, the course of training.
    #[error(transparent)]
    Training(#[from] rf_training::Error),
    /// A run is to go on with other training points than it began with.
    #[error("the training points are not those that the run began with: they must have changed")]
    OtherPoints,
    /// A split is asked for that the data set does not have.
    #[error("the data set has no `{split}` data")]
    NoSplit {
        /// The split.
        split: &'static str,
    },
}

impl From<rf_softmax::Error> for Error {
    fn from(error: rf_softmax::Error) -> Self {
        Self::Training(error.into())
    }
}

impl rf_training::TaskError for Error {
    fn into_shared(self) -> Result<rf_training::Error, Self> {
        match self {
            Self::Training(error) => Ok(error),
            own => Err(own),
        }
    }
}
