//! Points with any number of labels each: the format of the Extreme Classification Repository, and synthetic points.

mod batches;
mod blocks;
mod census;
mod config;
mod files;
mod filter;
mod header;
mod line;
mod points;
mod propensity;
mod read;
mod rows;
mod synthetic;
mod weighting;

pub use batches::XcBatches;
pub use census::XcCensus;
pub use config::{XcConfig, XcDataConfig, XcSizes};
pub use files::XcFiles;
pub use filter::read_names;
pub use points::{XcPoints, XcSet};
pub use propensity::Propensity;
pub use read::read_points;
pub use rows::{IdLists, SparseRows};
pub use synthetic::{XcKnown, XcSyntheticConfig};
pub use weighting::{Values, ValuesConfig, Weighting};
