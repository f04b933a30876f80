//! Settings of a language model and its training.

use rf_softmax::LossConfig;
use rf_training::{OptimizerConfig, TrainConfig};
use serde::{Deserialize, Serialize};

/// The table `[model]` of a configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Width of the word embeddings that the first layer reads.
    pub embedding: usize,
    /// Units `H` of an LSTM layer.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
    /// Width of a linear map from the last layer to the query; without it the query is the layer's output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projection: Option<usize>,
    /// Probability that a number is dropped before, between and after the layers, in `[0, 1)`.
    pub dropout: f64,
    /// Whether these masks are drawn once a window and hold at all its time steps, instead of for each number.
    pub variational: bool,
    /// Probability that a number of a layer's state is dropped on its way to the next time step, by one mask a window.
    pub recurrent_dropout: f64,
    /// Probability that all places of a word in a window read zeros.
    pub word_dropout: f64,
    /// Whether input words and classes share one table. Needs `embedding` equal to the width of the query.
    pub tied: bool,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            embedding: 200,
            hidden: 200,
            layers: 1,
            projection: None,
            dropout: 0.1,
            variational: false,
            recurrent_dropout: 0.0,
            word_dropout: 0.0,
            tied: false,
        }
    }
}

impl ModelConfig {
    /// Width `d` of the query and of the class embeddings.
    pub fn query_width(&self) -> usize {
        self.projection.unwrap_or(self.hidden)
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
