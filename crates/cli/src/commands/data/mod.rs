//! `rfs data`: what there is to train on.

pub mod fetch;
pub mod list;
mod points;
pub mod stats;

use std::path::Path;

use rf_data::Manifest;

use crate::exit::OrBadInput;

/// The list of data sets of `--manifest`, or the built-in one.
fn manifest(path: Option<&Path>) -> anyhow::Result<Manifest> {
    path.map_or_else(Manifest::built_in, Manifest::load).or_bad_input()
}

/// An error of the data, marked as one of the input where the user's words or files are at fault.
fn of_data<T>(result: Result<T, rf_data::Error>) -> anyhow::Result<T> {
    match result {
        Err(error) if error.is_bad_input() => Err(error).or_bad_input(),
        other => Ok(other?),
    }
}
