//! `rfs export`.

use burn::tensor::Device;
use rf_training::RunFolder;

use super::of_trainer;
use super::told::{grouped, size};
use super::trained::{Trained, classifier};
use crate::args::ExportArgs;
use crate::plan::AnyPlan;

/// Writes a trained model to a safetensors file.
pub fn run(plan: &AnyPlan, folder: &RunFolder, device: &Device, args: &ExportArgs) -> anyhow::Result<()> {
    let plan = classifier(plan, folder, "export")?;
    let Trained { predictor, .. } = Trained::open(plan, folder, args.checkpoint, device)?;
    of_trainer(predictor.export(&args.output))?;
    let [features, labels, step] =
        [predictor.features() as u64, predictor.labels() as u64, predictor.step()].map(grouped);
    let bytes = std::fs::metadata(&args.output).map_or(0, |about| about.len());
    eprintln!("{}: {features} features and {labels} labels of step {step}, {}", args.output.display(), size(bytes));
    Ok(())
}
