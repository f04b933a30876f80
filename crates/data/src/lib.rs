//! Text and vocabularies, synthetic text with a known entropy rate, batches for a language model, data sets to fetch;
//! points with many labels, from files and with a known best precision.
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
//! Beside text there are points with any number of labels each. Their principal type is [`XcDataConfig`], which loads
//! files of the Extreme Classification Repository ([`XcConfig`]), or synthetic points whose best precision is known
//! exactly ([`XcSyntheticConfig`]), into an [`XcSet`]: sparse features, weighted by a [`Weighting`] that is fitted on
//! the training points, and labels. [`XcBatches`] deal the training points out. The reader takes nothing on trust:
//! whatever a file has that the format does not allow is an error with its line and field, since an id that is
//! dropped in silence is a score that nobody can reproduce.
//!
//! Letters: n classes, N tokens or training points, B streams in a batch, T steps in a window. Perplexity is `exp` of
//! nats a token.
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
//!
//! Points and their labels:
//! ```
//! use rf_data::{XcBatches, XcConfig, XcDataConfig};
//! # let folder = tempfile::tempdir().unwrap();
//! # let root = folder.path();
//! std::fs::write(root.join("train.txt"), "3 4 2\n0,1 0:3 1:4\n1 2:1\n 3:1\n").unwrap();
//! std::fs::write(root.join("test.txt"), "1 4 2\n1 2:2\n").unwrap();
//! let set = XcDataConfig::Xc(XcConfig::new("train.txt", "test.txt")).load(root, 1)?;
//! assert_eq!(set.train.features.row(0), (&[0, 1][..], &[0.6, 0.8][..]));
//! assert_eq!((set.train.labels.row(0), &set.counts[..]), (&[0, 1][..], &[1, 2][..]));
//! let mut batches = XcBatches::new(&set.train, 2, 1)?;
//! assert_eq!((batches.batch(0).len(), batches.skipped()), (2, 1));
//! # Ok::<(), rf_data::Error>(())
//! ```

mod batches;
mod census;
mod config;
mod corpus;
mod error;
mod fetch;
#[cfg(test)]
mod scratch;
mod shards;
mod source;
mod synthetic;
mod text;
mod vocabulary;
mod xc;

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
pub use xc::{
    IdLists, Propensity, SparseRows, Values, ValuesConfig, Weighting, XcBatches, XcCensus, XcConfig, XcDataConfig,
    XcFiles, XcKnown, XcPoints, XcSet, XcSizes, XcSyntheticConfig, read_names, read_points,
};

/// The token after every line.
pub const EOS: &str = "<eos>";

/// The token for every word outside the vocabulary.
pub const UNK: &str = "<unk>";
