//! Extreme multi-label classifiers trained through a sampled softmax.
//!
//! [`train`] is the principal function: a data set, settings and a run folder in, a summary out. The model is a sparse bag
//! of features → hidden layers, if any → query `h`, and the head of `rf-softmax` over the labels. [`Predictor`] opens a
//! trained model: it scores a split by [`Metrics`] and ranks the labels of new points, looking at all labels.
//!
//! Both tables are row-sparse. A step gathers the features that its points have and the labels that its draws name, and
//! steps these rows alone: its cost follows the non-zeros of the batch, never the number of features or labels. What is
//! dense, the hidden layers, is a burn module of a few hundred units.
//!
//! Several labels a point are no padding either: the loss takes lists ([`Labels`](rf_softmax::Labels)), and the labels of
//! a point are never among its negatives.
//!
//! A run is repeatable to the last bit, as in the language models: batches, masks and draws are functions of
//! `(seed, step, place)`.
//!
//! ```
//! use burn::tensor::Device;
//! use rf_data::{XcDataConfig, XcSyntheticConfig};
//! use rf_softmax::{LossConfig, SamplerConfig};
//! use rf_training::{OptimizerConfig, RunFolder, Score, Stop, TrainConfig};
//! use rf_xmc::{ModelConfig, Settings, train};
//!
//! // Generated points whose best P@1 is known: the most probable label of each is right with probability 0.9.
//! let points = XcSyntheticConfig { labels: 120, features: 400, train_points: 3_000, test_points: 300, ..Default::default() };
//! let data = XcDataConfig::Synthetic(points);
//! let set = data.load(&rf_data::data_root(), 1)?;
//! let sampler = SamplerConfig::Uniform {};
//! let settings = Settings {
//!     seed: 1,
//!     model: ModelConfig { dim: 16, ..Default::default() },
//!     loss: LossConfig { draws: 20, sampler, normalized: false, tau: 1.0, bias: true, ..Default::default() },
//!     optimizer: OptimizerConfig { learning_rate: 0.02, ..Default::default() },
//!     train: TrainConfig { epochs: Some(6), batch_size: Some(64), ..Default::default() },
//! };
//! # let place = tempfile::tempdir()?;
//! # let path = place.path().join("run");
//! let folder = RunFolder::create(&path, false)?;
//! let summary = train(&settings, &set, data.propensity(), &folder, &Device::flex(), false, &Stop::default())?;
//! let Some(Score::Values(test)) = summary.test else { panic!("no test score") };
//! assert!(test["P@1"] > 0.8, "{test:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod encoder;
mod error;
mod evaluate;
mod metrics;
mod model;
mod predict;
mod train;

pub use config::{ModelConfig, Settings};
pub use error::Error;
pub use evaluate::Evaluation;
pub use metrics::Metrics;
pub use predict::Predictor;
pub use train::train;
