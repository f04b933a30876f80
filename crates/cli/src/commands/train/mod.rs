//! `rfs train`.

mod lm;
mod xmc;

use anyhow::bail;
use burn::tensor::Device;
use rf_training::{RunFolder, Summary, TaskError};

use crate::exit::OrBadInput;
use crate::plan::AnyPlan;
use crate::resume::way_on;

/// Trains as `plan` says and tells the outcome.
pub fn run(plan: &AnyPlan, folder: &RunFolder, device: &Device, resume: bool) -> anyhow::Result<()> {
    match plan {
        AnyPlan::Lm(plan) => lm::run(plan, folder, device, resume),
        AnyPlan::Xmc(plan) => xmc::run(plan, folder, device, resume),
    }
}

/// The summary of a run that came to its end; how to go on is told with an error that a run can go on after.
fn outcome_of<E: TaskError>(outcome: Result<Summary, E>, folder: &RunFolder) -> anyhow::Result<Summary> {
    match outcome.map_err(E::into_shared) {
        Ok(summary) => Ok(summary),
        Err(Ok(error)) if !error.is_bad_input() => {
            let way_on = way_on(&error, folder);
            bail!("{:#}\n{way_on}", anyhow::Error::from(error));
        }
        Err(Ok(error)) => Err(error).or_bad_input(),
        // A task's own errors are always of the input.
        Err(Err(error)) => Err(error).or_bad_input(),
    }
}
