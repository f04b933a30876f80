//! A language whose best perplexities are known exactly.

mod config;
mod known;
mod language;

pub use config::SyntheticConfig;
pub use known::Known;
pub use language::Synthetic;
