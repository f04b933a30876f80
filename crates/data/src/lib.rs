//! Text and vocabularies, synthetic text with a known entropy rate, batches for a language model, data sets to fetch.
//!
//! The principal type is [`DataConfig`], the `[data]` table of an experiment. It loads into a [`Corpus`]: a
//! [`Vocabulary`] of n classes and three texts in class ids. [`Windows`] are what a model is trained on: cut by
//! [`Batches`] from a text in memory, or dealt by [`ShardWindows`] from files of any size.
//! [`fetch`] brings the data sets of a [`Manifest`]. [`Synthetic`] is a language whose best perplexity is known exactly, so that a trained model can be held
//! against a number that no other program computed.
//!
//! One decision shapes the crate: a pass over a text in memory scores **every token exactly once**, whatever the batch size
//! and the window. Perplexities are then comparable between batch layouts and between programs, and there is one
//! layout for training and evaluation. The price is a last window that is shorter than the others and may
//! hold [`IGNORED`] targets.
//!
//! Letters: n classes, N tokens, B streams in a batch, T steps in a window. Perplexity is `exp` of nats a token.
//!
//! # Example
//! ```
//! use rf_data::{DataConfig, SyntheticConfig};
//! let config = DataConfig::Synthetic(SyntheticConfig { train_tokens: 10_000, ..Default::default() });
//! let corpus = config.load(&rf_data::data_root(), 1)?;
//! let window = corpus.windows(20, 35)?.next_window()?;
//! assert_eq!(window.targets.len(), 20 * 35);
//! assert!(corpus.known.unwrap().floor < corpus.known.unwrap().best_bigram);
//! # Ok::<(), rf_data::Error>(())
//! ```

mod batches;
mod census;
mod config;
mod corpus;
mod error;
mod fetch;
mod shards;
mod source;
mod synthetic;
mod text;
mod vocabulary;

pub use batches::{Batches, Window};
pub use census::{Census, LongestLine};
pub use config::{DataConfig, TextConfig, data_root};
pub use corpus::{Corpus, Split, TrainText, Windows};
pub use error::Error;
pub use fetch::{Dataset, FetchConfig, FetchEvent, Listener, Manifest, RemoteFile, fetch, sha256_of};
pub use rf_sampling::IGNORED;
pub use shards::{ShardPlace, ShardWindows, Shards};
pub use source::Source;
pub use synthetic::{Known, Synthetic, SyntheticConfig};
pub use vocabulary::Vocabulary;

/// The token after every line.
pub const EOS: &str = "<eos>";

/// The token for every word outside the vocabulary.
pub const UNK: &str = "<unk>";
