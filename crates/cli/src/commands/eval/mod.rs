//! `rfs eval`.

mod lm;
mod xmc;

use burn::tensor::Device;
use rf_training::RunFolder;

use crate::args::EvalArgs;
use crate::plan::AnyPlan;

/// Evaluates a checkpoint over all classes and tells the outcome.
pub fn run(plan: &AnyPlan, folder: &RunFolder, device: &Device, args: &EvalArgs) -> anyhow::Result<()> {
    match plan {
        AnyPlan::Lm(plan) => lm::run(plan, folder, device, args),
        AnyPlan::Xmc(plan) => xmc::run(plan, folder, device, args),
    }
}
