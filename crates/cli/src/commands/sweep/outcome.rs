//! What became of a run.

use rf_training::{RunFolder, Summary};

use crate::exit::{OrBadInput, bad_input};
use crate::plan::AnyPlan;
use crate::runs::another_plan;
use crate::sweep::Run;

/// What became of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It came to its end.
    Done(Box<Summary>),
    /// It ended before, for a reason.
    Failed(String),
    /// It was asked to end, and can go on.
    Interrupted,
    /// It has not begun in this sweep.
    Pending,
}

impl Outcome {
    /// What is in the folder of `run`: a summary, or what can go on or begin.
    ///
    /// # Errors
    /// Bad input if the folder holds a run with another plan, whatever the difference: a row of the results is one plan.
    pub fn found(run: &Run) -> anyhow::Result<Self> {
        let Some(folder) = RunFolder::open(&run.folder).ok().filter(RunFolder::holds_a_run) else {
            return Ok(Self::Pending);
        };
        let differences = run.plan.differences(&AnyPlan::load(&folder)?)?;
        let differences = [differences.refused, differences.allowed].concat();
        if !differences.is_empty() {
            let message = another_plan(&folder, &differences);
            return Err(bad_input(format!(
                "{message}: keep this sweep elsewhere with --run DIR, or remove that folder"
            )));
        }
        if !folder.summary().exists() {
            return Ok(Self::Pending);
        }
        let summary = Summary::load(&folder.summary()).or_bad_input()?;
        Ok(Self::Done(Box::new(summary)))
    }

    /// Its name in the results.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Interrupted => "interrupted",
            Self::Pending => "pending",
        }
    }

    /// The summary of a run that is done.
    pub fn summary(&self) -> Option<&Summary> {
        match self {
            Self::Done(summary) => Some(summary),
            _ => None,
        }
    }
}
