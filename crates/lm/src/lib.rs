//! LSTM language models trained through a sampled softmax.
//!
//! [`train`] is the principal function: a corpus, settings and a run folder in, a summary out. The model is word rows →
//! LSTM layers → query `h`, and the head of `rf-softmax` over the words; [`evaluate`] scores a text over all classes.
//!
//! Only the LSTM layers (and a projection, if any) are a dense burn module with a dense optimizer. Both tables are
//! row-sparse: a step gathers the words of its window and the classes its draws name, and steps these rows alone.
//!
//! A run is repeatable to the last bit. Batches, dropout masks and draws are functions of `(seed, step, place)`, every
//! parallel sum runs in a fixed order, and the checkpoint holds the rest: weights, moments, tables, the sampler's sums,
//! and the state that truncated back-propagation carries from window to window.

mod checkpoint;
mod config;
mod dropout;
mod embed;
mod encoder;
mod error;
mod evaluate;
mod inspect;
mod lstm;
mod lstm_kernel;
mod model;
mod train;

pub use config::{ModelConfig, Settings};
pub use error::Error;
pub use evaluate::{Evaluation, evaluate};
pub use inspect::trained_queries;
pub use lstm::{Lstm, LstmState};
pub use train::train;
