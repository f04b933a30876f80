/// What can go wrong in training or evaluating a language model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The head, a table or the sampler refused something.
    #[error(transparent)]
    Softmax(#[from] rf_softmax::Error),
    /// The text cannot be cut into batches.
    #[error(transparent)]
    Data(#[from] rf_data::Error),
    /// A file of the run folder could not be read or written.
    #[error(transparent)]
    Training(#[from] rf_training::Error),
    /// Settings contradict each other.
    #[error("{field}: {why}")]
    BadSetting {
        /// The setting, as in a configuration file.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The weights or the optimizer state of a checkpoint do not fit the model.
    #[error("the checkpoint's {part} does not fit this model: {reason}")]
    BadRecord {
        /// `encoder` or `optimizer`.
        part: &'static str,
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
        use rf_softmax::Error as Softmax;
        match self {
            Self::Data(_) | Self::BadSetting { .. } | Self::BadRecord { .. } => true,
            Self::Softmax(error) => matches!(
                error,
                Softmax::BadSetting { .. }
                    | Softmax::WrongState { .. }
                    | Softmax::MissingState(_)
                    | Softmax::Misfit { .. }
                    | Softmax::Sampler(
                        rf_sampling::Error::BadSetting { .. }
                            | rf_sampling::Error::TooLarge { .. }
                            | rf_sampling::Error::WrongState { .. }
                    )
            ),
            Self::Training(error) => error.is_bad_input(),
            Self::Diverged { .. } | Self::Interrupted { .. } => false,
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
}
