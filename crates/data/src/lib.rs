//! Text and vocabularies, synthetic text with a known entropy rate, and batches for a language model.
//!
//! The principal type is [`DataConfig`], the `[data]` table of an experiment. It loads into a [`Corpus`]: a
//! [`Vocabulary`] of n classes and three streams of class ids. [`Batches`] cuts a stream into windows.
//! [`Synthetic`] is a language whose best perplexity is known exactly, so that a trained model can be held
//! against a number that no other program computed.
//!
//! One decision shapes the crate: a pass over a text scores **every token exactly once**, whatever the batch size
//! and the window. Perplexities are then comparable between batch layouts and between programs, and there is one
//! layout for training and evaluation. The price is a last window that is shorter than the others and may
//! hold [`IGNORED`] targets.
//!
//! Letters: n classes, N tokens, B streams in a batch, T steps in a window. Perplexity is `exp` of nats a token.
//!
//! # Example
//! ```
//! use rf_data::{Batches, DataConfig, SyntheticConfig};
//! let config = DataConfig::Synthetic(SyntheticConfig { train_tokens: 10_000, ..Default::default() });
//! let corpus = config.load(&rf_data::data_root(), 1)?;
//! let batches = Batches::new(&corpus.train, corpus.vocabulary.eos(), 20, 35)?;
//! let window = batches.window(0);
//! assert_eq!(window.targets.len(), 20 * 35);
//! assert!(corpus.known.unwrap().floor < corpus.known.unwrap().best_bigram);
//! # Ok::<(), rf_data::Error>(())
//! ```

mod batches;
mod config;
mod error;
mod synthetic;
mod text;
mod vocabulary;

pub use batches::{Batches, Window};
pub use config::{Corpus, DataConfig, Split, TextConfig, data_root};
pub use error::Error;
pub use rf_sampling::IGNORED;
pub use synthetic::{Known, Synthetic, SyntheticConfig};
pub use vocabulary::Vocabulary;

/// The token after every line.
pub const EOS: &str = "<eos>";

/// The token for every word outside the vocabulary.
pub const UNK: &str = "<unk>";
