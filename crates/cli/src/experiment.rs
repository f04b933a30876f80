//! What was typed: the experiment file and the overrides, as they are.

use std::path::Path;

use anyhow::Context;
use rf_softmax::LossConfig;
use rf_training::{OptimizerConfig, TrainConfig};
use serde::Deserialize;

use crate::document::{Document, Override, Places};
use crate::exit::OrBadInput;
use crate::task::{Task, TaskKind};

/// An experiment file, its keys checked by name and type but not yet by value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub struct Experiment<T: TaskKind> {
    /// What is learnt.
    pub task: Task,
    /// Seed of all random numbers.
    #[serde(default = "one")]
    pub seed: u64,
    /// Section `[data]`.
    #[serde(default)]
    pub data: T::Data,
    /// Section `[model]`.
    #[serde(default)]
    pub model: T::Model,
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

fn one() -> u64 {
    1
}

impl<T: TaskKind> Experiment<T> {
    /// Reads a document of this task.
    pub fn read(document: Document) -> anyhow::Result<Self> {
        let (experiment, places) = document.read::<Self>()?;
        Ok(Self { places, ..experiment })
    }
}

/// The file at `path` with `overrides` laid over it, the last one winning.
pub fn load(path: &Path, overrides: &[Override]) -> anyhow::Result<Document> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string()).or_bad_input()?;
    parse(path, &text, overrides)
}

/// The same for a file whose `text` is known.
pub fn parse(path: &Path, text: &str, overrides: &[Override]) -> anyhow::Result<Document> {
    let mut document = Document::parse(path, text)?;
    overrides.iter().try_for_each(|change| document.set(change))?;
    Ok(document)
}

#[cfg(test)]
mod tests {
    use rf_data::{DataConfig, XcDataConfig};

    use super::*;
    use crate::task::{Lm, Xmc};

    fn read<T: TaskKind>(text: &str) -> anyhow::Result<Experiment<T>> {
        Experiment::read(parse(Path::new("a.toml"), text, &[])?)
    }

    #[test]
    fn a_short_file_gives_the_defaults() {
        let experiment = read::<Lm>("task = 'lm'\n").unwrap();
        assert_eq!((experiment.task, experiment.seed), (Task::Lm, 1));
        assert_eq!(experiment.data, DataConfig::default());
        assert_eq!(experiment.model, rf_lm::ModelConfig::default());
        assert_eq!(experiment.loss, LossConfig::default());
        assert_eq!(experiment.optimizer, OptimizerConfig::default());
        assert_eq!(experiment.train, TrainConfig::default());
        let experiment = read::<Xmc>("task = 'xmc'\n").unwrap();
        assert_eq!((experiment.task, experiment.data), (Task::Xmc, XcDataConfig::default()));
        assert_eq!(experiment.model, rf_xmc::ModelConfig::default());
    }

    fn refuses_unknown_keys<T: TaskKind>(task: &str) {
        for (section, kind) in [
            ("data", "kind = 'synthetic'\n"),
            ("model", ""),
            ("loss", ""),
            ("loss.sampler", "kind = 'uniform'\n"),
            ("optimizer", ""),
            ("optimizer.schedule", "kind = 'constant'\n"),
            ("train", ""),
        ] {
            let text = format!("task = '{task}'\n[{section}]\n{kind}sedd = 3\n");
            let error = read::<T>(&text).unwrap_err().to_string();
            let wanted = format!("{section}.sedd: unknown field `sedd`");
            assert!(error.starts_with("a.toml, line ") && error.contains(&wanted), "{error}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_in_every_section() {
        refuses_unknown_keys::<Lm>("lm");
        refuses_unknown_keys::<Xmc>("xmc");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load(Path::new("nowhere.toml"), &[]).unwrap_err();
        assert!(format!("{error:#}").starts_with("nowhere.toml: "));
    }
}
