//! The trained model that is measured on, whichever its task.

use burn::tensor::Device;
use rf_data::Vocabulary;
use rf_lm::TrainedHead;
use rf_sampling::Probes;
use rf_softmax::SampledSoftmaxLoss;
use rf_training::RunFolder;

use crate::args::{DiagnoseArgs, Split};
use crate::commands::of_trainer;
use crate::commands::trained::Trained;
use crate::exit::{OrBadInput, bad_input};
use crate::plan::{AnyPlan, Plan};
use crate::runs;
use crate::task::{Lm, Task, Xmc};

/// A head with what it is asked on held-out data.
pub struct Subject {
    pub task: Task,
    /// Table and temperature; its loss and its sampler are not the run's.
    pub head: SampledSoftmaxLoss,
    /// Training count of each class.
    pub counts: Vec<u64>,
    pub probes: Probes,
    /// Steps of the checkpoint.
    pub step: u64,
}

impl Subject {
    /// Opens the checkpoint asked for and asks it the queries.
    pub fn open(plan: &AnyPlan, folder: &RunFolder, device: &Device, args: &DiagnoseArgs) -> anyhow::Result<Self> {
        let subject = match plan {
            AnyPlan::Lm(plan) => language_model(plan, folder, device, args),
            AnyPlan::Xmc(plan) => classifier(plan, folder, device, args),
        }?;
        if subject.probes.is_empty() {
            return Err(bad_input(format!("the {} data has nothing with a target to measure on", args.split.name())));
        }
        Ok(subject)
    }
}

fn language_model(
    plan: &Plan<Lm>,
    folder: &RunFolder,
    device: &Device,
    args: &DiagnoseArgs,
) -> anyhow::Result<Subject> {
    let path = runs::checkpoint(folder, args.checkpoint)?;
    let vocabulary = Vocabulary::load(&folder.vocabulary()).or_bad_input()?;
    let tokens = plan.data.split(args.split.of_data(), &vocabulary, &rf_data::data_root(), plan.seed).or_bad_input()?;
    let tokens = match args.split {
        Split::Valid => plan.train.validation(&tokens),
        Split::Test => &tokens,
    };
    let (settings, count) = (plan.settings(), args.queries.get());
    let trained = rf_lm::trained_queries(&settings, &path, &vocabulary, tokens, count, device);
    let TrainedHead { head, probes, step } = of_trainer(trained)?;
    Ok(Subject { task: plan.task, head, counts: vocabulary.counts().to_vec(), probes, step })
}

fn classifier(plan: &Plan<Xmc>, folder: &RunFolder, device: &Device, args: &DiagnoseArgs) -> anyhow::Result<Subject> {
    let trained = Trained::open(plan, folder, args.checkpoint, device)?;
    let points = trained.points(plan, args.split)?;
    let probes = of_trainer(trained.predictor.probes(&points, args.queries.get()))?;
    let (head, counts) = (trained.predictor.head().clone(), trained.predictor.counts().to_vec());
    Ok(Subject { task: plan.task, head, counts, probes, step: trained.predictor.step() })
}
