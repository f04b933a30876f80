//! Settings of a classifier and its training.

use rf_softmax::LossConfig;
use rf_training::{OptimizerConfig, TrainConfig};
use serde::{Deserialize, Serialize};

/// The table `[model]` of a configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Width `d` of the query and of the label embeddings.
    pub dim: usize,
    /// Units of each hidden layer, the first of which is the bag of features; without any the bag is the query.
    pub hidden: Vec<usize>,
    /// Probability that a unit of a hidden layer is dropped, in `[0, 1)`.
    pub dropout: f64,
    /// Probability that a feature of a point is dropped, in `[0, 1)`.
    pub feature_dropout: f64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { dim: 128, hidden: Vec::new(), dropout: 0.0, feature_dropout: 0.0 }
    }
}

impl ModelConfig {
    /// Width of the rows of the feature table.
    pub fn bag_width(&self) -> usize {
        self.hidden.first().copied().unwrap_or(self.dim)
    }
}

/// Everything that fixes a run, the data apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Seed of all random numbers.
    pub seed: u64,
    /// The model.
    pub model: ModelConfig,
    /// The loss.
    pub loss: LossConfig,
    /// How weights and rows are changed.
    pub optimizer: OptimizerConfig,
    /// Length, batches, intervals.
    pub train: TrainConfig,
}

impl Settings {
    /// Points of a step where the configuration does not say.
    pub const BATCH_SIZE: usize = 256;

    /// Points that an evaluation takes at a time where the configuration does not say.
    pub const EVAL_BATCH_SIZE: usize = 1024;

    /// Points of a step.
    pub fn batch_size(&self) -> usize {
        self.train.batch_size.unwrap_or(Self::BATCH_SIZE)
    }

    /// Points that an evaluation takes at a time.
    pub fn eval_batch_size(&self) -> usize {
        self.train.eval_batch_size.unwrap_or(Self::EVAL_BATCH_SIZE)
    }
}
