//! Points whose best precision is known exactly.

mod config;
mod points;

pub use config::{XcKnown, XcSyntheticConfig};
