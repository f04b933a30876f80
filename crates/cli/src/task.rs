//! What is learnt: [`Task`] where a file names it, [`TaskKind`] where the code is written for one.

use std::fmt::Debug;
use std::io;
use std::path::Path;

use rf_training::TrainConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::document::Places;
use crate::plan::Plan;

/// What is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A language model.
    Lm,
    /// A classifier with many labels for each point: extreme classification.
    Xmc,
}

/// What is a task's own in an experiment file and in a plan.
pub trait TaskKind: Clone + Debug + PartialEq {
    /// Its name in files.
    const TASK: Task;
    /// Section `[data]`.
    type Data: Section;
    /// Section `[model]`.
    type Model: Section;

    /// Makes the data paths absolute, `data_root` being the folder that relative ones start from, and writes down the
    /// sizes that the file does not give.
    ///
    /// # Errors
    /// If the working folder is not known.
    fn resolve(data: &mut Self::Data, train: &mut TrainConfig, data_root: &Path) -> io::Result<()>;

    /// Refuses values of the sections of its own, naming where they were set.
    ///
    /// # Errors
    /// Bad input.
    fn check(plan: &Plan<Self>, places: &Places) -> anyhow::Result<()>;
}

/// A section of a file, whose defaults make an empty one.
pub trait Section: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned {}

impl<S: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned> Section for S {}

/// Language models.
#[derive(Clone, Debug, PartialEq)]
pub struct Lm;

/// Extreme classification.
#[derive(Clone, Debug, PartialEq)]
pub struct Xmc;
