//! A trained classifier, opened to be used.

use burn::tensor::Device;
use rf_data::{Values, Weighting, XcPoints, XcSizes};
use rf_training::RunFolder;
use rf_xmc::Predictor;

use super::of_trainer;
use crate::args::{CheckpointChoice, Split};
use crate::exit::{OrBadInput, bad_input};
use crate::plan::{AnyPlan, Plan};
use crate::runs;
use crate::task::Xmc;

/// A model, and how the values of its features are weighted.
pub struct Trained {
    /// The model.
    pub predictor: Predictor,
    /// The weighting, as it was fitted on the training points.
    pub weighting: Weighting,
}

impl Trained {
    /// Opens the checkpoint asked for; if none was, the one that the summary scores.
    pub fn open(
        plan: &Plan<Xmc>,
        folder: &RunFolder,
        choice: Option<CheckpointChoice>,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let path = runs::checkpoint(folder, choice)?;
        let predictor = of_trainer(Predictor::open(&plan.settings(), &path, device))?;
        let config = plan.data.values();
        if (config.values == Values::TfIdf) == predictor.idf().is_empty() {
            let problem = "it was not trained with the `data.values` of";
            return Err(bad_input(format!("{}: {problem} {}", path.display(), folder.plan().display())));
        }
        let weighting = Weighting::with_idf(&config, predictor.idf().to_vec());
        Ok(Self { predictor, weighting })
    }

    /// The points of a split, weighted as the model's were; of the validation points those that the run scores.
    pub fn points(&self, plan: &Plan<Xmc>, split: Split) -> anyhow::Result<XcPoints> {
        let root = rf_data::data_root();
        let XcSizes { features, labels, .. } = plan.data.sizes(&root).or_bad_input()?;
        let model = (self.predictor.features(), self.predictor.labels());
        if (features, labels) != model {
            return Err(bad_input(format!(
                "the data has {features} features and {labels} labels, the model {} and {}: the data must have changed \
                 since the run",
                model.0, model.1
            )));
        }
        let points = plan.data.split(split.of_data(), &self.weighting, &root, plan.seed).or_bad_input()?;
        let points = points.ok_or_else(|| bad_input(format!("the data set has no {} points", split.name())))?;
        Ok(match (split, plan.train.eval_points) {
            (Split::Valid, Some(count)) => points.head(count),
            _ => points,
        })
    }
}

/// The plan of a classifier; `command` is what language models are refused.
pub fn classifier<'p>(plan: &'p AnyPlan, folder: &RunFolder, command: &str) -> anyhow::Result<&'p Plan<Xmc>> {
    match plan {
        AnyPlan::Xmc(plan) => Ok(plan),
        AnyPlan::Lm(_) => {
            let run = folder.path().display();
            Err(bad_input(format!("rfs {command} is for classifiers (task = \"xmc\"); {run} is a language model")))
        }
    }
}
