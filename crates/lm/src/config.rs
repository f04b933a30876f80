//! Settings of a language model and its training.

use rf_softmax::{LossConfig, LossKind, RowOptimizer};
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

/// How much text at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Streams of text that are read side by side.
    pub batch: usize,
    /// Words of a stream in a step.
    pub bptt: usize,
    /// Streams of text side by side in evaluation.
    pub eval_batch: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { batch: 20, bptt: 35, eval_batch: 10 }
    }
}

impl Sizes {
    /// Those of a configuration, and the default of each that it does not give.
    pub fn of(train: &TrainConfig) -> Self {
        let Self { batch, bptt, eval_batch } = Self::default();
        Self {
            batch: train.batch_size.unwrap_or(batch),
            bptt: train.bptt.unwrap_or(bptt),
            eval_batch: train.eval_batch_size.unwrap_or(eval_batch),
        }
    }

    /// Writes into a configuration what it does not give.
    pub fn resolve(train: &mut TrainConfig) {
        let Self { batch, bptt, eval_batch } = Self::of(train);
        (train.batch_size, train.bptt, train.eval_batch_size) = (Some(batch), Some(bptt), Some(eval_batch));
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
    /// The same for a model that is looked at and not trained: no sampler is built, no moments are kept.
    pub(crate) fn for_reading(&self) -> Self {
        let mut bare = self.clone();
        (bare.loss.kind, bare.optimizer.rows) = (LossKind::Full, Some(RowOptimizer::Sgd));
        bare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_given_and_the_defaults_of_the_others() {
        let mut train = TrainConfig { bptt: Some(7), ..Default::default() };
        assert_eq!(Sizes::of(&train), Sizes { batch: 20, bptt: 7, eval_batch: 10 });
        Sizes::resolve(&mut train);
        assert_eq!((train.batch_size, train.bptt, train.eval_batch_size), (Some(20), Some(7), Some(10)));
    }
}
