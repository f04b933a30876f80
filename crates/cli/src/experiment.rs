//! What was typed: the experiment file and the overrides, as they are.

use std::path::Path;

use anyhow::Context;
use rf_data::DataConfig;
use rf_lm::ModelConfig;
use rf_softmax::LossConfig;
use rf_training::{OptimizerConfig, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::document::{Document, Override, Places};
use crate::exit::OrBadInput;

/// An experiment file, its keys checked by name and type but not yet by value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// What is learnt.
    pub task: Task,
    /// Seed of all random numbers.
    #[serde(default = "one")]
    pub seed: u64,
    /// Section `[data]`.
    #[serde(default)]
    pub data: DataConfig,
    /// Section `[model]`.
    #[serde(default)]
    pub model: ModelConfig,
    /// Section `[loss]`.
    #[serde(default)]
    pub loss: LossConfig,
    /// Section `[optimizer]`.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// Section `[train]`.
    #[serde(default)]
    pub train: TrainConfig,
    /// Where each key came from.
    #[serde(skip)]
    pub places: Places,
}

/// What is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A language model.
    Lm,
}

fn one() -> u64 {
    1
}

impl Experiment {
    /// Reads the file at `path` and lays `overrides` over it, the last one winning.
    pub fn load(path: &Path, overrides: &[Override]) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string()).or_bad_input()?;
        Self::parse(path, &text, overrides)
    }

    /// The same for a file whose `text` is known.
    pub fn parse(path: &Path, text: &str, overrides: &[Override]) -> anyhow::Result<Self> {
        let mut document = Document::parse(path, text)?;
        overrides.iter().try_for_each(|change| document.set(change))?;
        let (experiment, places) = document.read::<Self>()?;
        Ok(Self { places, ..experiment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "task = 'lm'\n";

    fn parse(text: &str) -> anyhow::Result<Experiment> {
        Experiment::parse(Path::new("a.toml"), text, &[])
    }

    #[test]
    fn a_short_file_gives_the_defaults() {
        let experiment = parse(TEXT).unwrap();
        assert_eq!((experiment.task, experiment.seed), (Task::Lm, 1));
        assert_eq!(experiment.data, DataConfig::default());
        assert_eq!(experiment.model, ModelConfig::default());
        assert_eq!(experiment.loss, LossConfig::default());
        assert_eq!(experiment.optimizer, OptimizerConfig::default());
        assert_eq!(experiment.train, TrainConfig::default());
    }

    #[test]
    fn unknown_keys_are_refused_in_every_section() {
        for (section, kind) in [
            ("data", "kind = 'synthetic'\n"),
            ("model", ""),
            ("loss", ""),
            ("loss.sampler", "kind = 'uniform'\n"),
            ("optimizer", ""),
            ("optimizer.schedule", "kind = 'constant'\n"),
            ("train", ""),
        ] {
            let error = parse(&format!("{TEXT}[{section}]\n{kind}sedd = 3\n")).unwrap_err().to_string();
            let wanted = format!("{section}.sedd: unknown field `sedd`");
            assert!(error.starts_with("a.toml, line ") && error.contains(&wanted), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Experiment::load(Path::new("nowhere.toml"), &[]).unwrap_err();
        assert!(format!("{error:#}").starts_with("nowhere.toml: "));
    }
}
