//! One file or folder a command. Those about runs take a checked plan and the folder of the run.

pub mod bench;
mod columns;
pub mod data;
pub mod diagnose;
pub mod eval;
pub mod export;
mod host;
mod names;
mod plots;
pub mod predict;
pub mod report;
pub mod sweep;
pub mod told;
pub mod train;
mod trained;

use rf_training::TaskError;

use crate::exit::OrBadInput;

/// The result of a trainer, its error marked as one of the input where the user's settings or files are at fault.
fn of_trainer<T, E: TaskError>(result: Result<T, E>) -> anyhow::Result<T> {
    match result.map_err(E::into_shared) {
        Ok(value) => Ok(value),
        Err(Ok(error)) if !error.is_bad_input() => Err(error.into()),
        Err(Ok(error)) => Err(error).or_bad_input(),
        // A task's own errors are always of the input.
        Err(Err(error)) => Err(error).or_bad_input(),
    }
}
