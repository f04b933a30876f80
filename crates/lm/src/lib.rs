//! LSTM language models trained through a sampled softmax.
//!
//! [`train`] is the principal function: a corpus, settings and a run folder in, a summary out. The loop is that of
//! `rf-training`; a step, an evaluation and what a checkpoint holds are here. The model is word rows →
//! LSTM layers → query `h`, and the head of `rf-softmax` over the words; [`evaluate`] scores a text over all classes.
//!
//! Only the LSTM layers (and a projection, if any) are a dense burn module with a dense optimizer. Both tables are
//! row-sparse: a step gathers the words of its window and the classes its draws name, and steps these rows alone.
//!
//! A run is repeatable to the last bit. Batches, dropout masks and draws are functions of `(seed, step, place)`, every
//! parallel sum runs in a fixed order, and the checkpoint holds the rest: weights, moments, tables, the sampler's sums,
//! and the state that truncated back-propagation carries from window to window.
//!
//! ```
//! use burn::tensor::Device;
//! use rf_data::{DataConfig, SyntheticConfig};
//! use rf_lm::{ModelConfig, Settings, train};
//! use rf_softmax::LossConfig;
//! use rf_training::{OptimizerConfig, RunFolder, Stop, TrainConfig};
//!
//! // Twenty steps on generated text: a small model with the default head, RF-softmax.
//! let text = SyntheticConfig { train_tokens: 20_000, valid_tokens: 500, test_tokens: 500, ..Default::default() };
//! let corpus = DataConfig::Synthetic(text).load(&rf_data::data_root(), 1)?;
//! let settings = Settings {
//!     seed: 1,
//!     model: ModelConfig { embedding: 16, hidden: 16, ..Default::default() },
//!     loss: LossConfig { draws: 20, ..Default::default() },
//!     optimizer: OptimizerConfig { learning_rate: 0.01, ..Default::default() },
//!     train: TrainConfig { steps: Some(20), ..Default::default() },
//! };
//! # let place = tempfile::tempdir()?;
//! # let path = place.path().join("run");
//! let folder = RunFolder::create(&path, false)?;
//! let summary = train(&settings, &corpus, &folder, &Device::flex(), false, &Stop::default())?;
//! assert_eq!(summary.steps, 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod config;
mod dropout;
mod encoder;
mod error;
mod evaluate;
mod inspect;
mod lstm;
mod lstm_kernel;
mod model;
mod train;

pub use config::{ModelConfig, Settings, Sizes};
pub use error::Error;
pub use evaluate::{Evaluation, evaluate};
pub use inspect::{TrainedHead, trained_queries};
pub use lstm::{Lstm, LstmState};
pub use train::train;
