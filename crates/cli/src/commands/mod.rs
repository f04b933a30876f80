//! One file or folder a command. Those about runs take a checked plan and the folder of the run.

pub mod bench;
pub mod data;
pub mod eval;
pub mod report;
pub mod train;

use crate::exit::OrBadInput;

/// An error of the trainer, marked as one of the input where the user's settings or files are at fault.
fn of_trainer<T>(result: Result<T, rf_lm::Error>) -> anyhow::Result<T> {
    match result {
        Err(error) if error.is_bad_input() => Err(error).or_bad_input(),
        other => Ok(other?),
    }
}
