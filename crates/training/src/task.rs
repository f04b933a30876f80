//! What a task supplies to the loop that all tasks share.

use rf_softmax::StepFigures;

use crate::{Checkpoint, CheckpointWriter, Error, Score, Stop};

/// A model, its data and its optimizer, as [`run`](crate::run) trains them.
///
/// What a step does must be a function of the seed, of the step's number and of what [`save`](Self::save) stores: then a
/// run that was interrupted and resumed is the run that was not.
pub trait Task {
    /// Its errors.
    type Error: TaskError;

    /// What the loop tells and records about it; asked once, after a checkpoint is loaded, if there is one.
    fn facts(&self) -> TaskFacts;

    /// One step at a learning rate: draw → loss → gradient → step → refresh. `step` counts the steps done before.
    ///
    /// Call [`check_known`] between clipping and stepping, so that on the host a step that diverges changes nothing. On a
    /// graphics card do not wait for the figures, but hand them over: the loop reads them a few steps later, and always
    /// before anything is told or stored, so that no checkpoint holds what a step that diverged left. A query or a row
    /// that is not finite need not be caught: the loop makes [`Error::Diverged`] of what the head says about it.
    fn step(&mut self, step: u64, rate: f64) -> Result<StepOutcome, Self::Error>;

    /// Whether there is data of this split. Without validation data nothing is validated; without test data the summary
    /// has no test score.
    fn has(&self, _split: Split) -> bool {
        true
    }

    /// Scores a split over all classes; `None` if asked to stop before the end. It changes nothing that a step depends
    /// on.
    fn evaluate(&self, split: Split, stop: &Stop) -> Result<Option<Evaluated>, Self::Error>;

    /// Where it stands in its data, if that is no function of the number of steps. [`load`](Self::load) finds it again
    /// as [`Checkpoint::place`].
    fn place(&self) -> Option<serde_json::Value> {
        None
    }

    /// Adds all that a step depends on, [`place`](Self::place) apart, to a checkpoint. The loop adds `loss_sum`.
    fn save<'a>(&'a self, writer: CheckpointWriter<'a>) -> Result<CheckpointWriter<'a>, Self::Error>;

    /// Takes up all that [`save`](Self::save) stored, and goes to [`Checkpoint::step`] in its data.
    fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), Self::Error>;

    /// Takes up weights and tables alone, to score the best model at the end.
    fn load_model(&mut self, checkpoint: &Checkpoint) -> Result<(), Self::Error>;
}

/// An error of a task: one of those that all tasks share, or one of its own, which is then always one of the input.
pub trait TaskError: std::error::Error + From<Error> + Send + Sync + 'static {
    /// The shared error that it is.
    ///
    /// # Errors
    /// Itself, if it is one of the task's own.
    fn into_shared(self) -> Result<Error, Self>;
}

/// What the loop tells and records about a task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskFacts {
    /// Name, as in `task = "lm"`.
    pub name: &'static str,
    /// Plural of what a step is made of: `tokens` or `points`.
    pub unit: &'static str,
    /// The figure that validations are compared by: `perplexity` or `P@1`.
    pub metric: &'static str,
    /// Which of its values are the better ones.
    pub better: Better,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Numbers that are trained.
    pub parameters: usize,
    /// Best value of the metric that any model can reach, where it is known.
    pub floor: Option<f64>,
}

/// Which values of a metric are the better ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// As of a perplexity.
    Lower,
    /// As of a precision: a share, told in per cent.
    Higher,
}

impl Better {
    /// The metric as a score of which lower is better, and the score as the metric again.
    pub(crate) fn score(self, value: f64) -> f64 {
        match self {
            Self::Lower => value,
            Self::Higher => -value,
        }
    }

    /// The metric in words.
    pub(crate) fn shown(self, value: f64) -> String {
        match self {
            Self::Lower => format!("{value:.2}"),
            Self::Higher => format!("{:.2}", 100.0 * value),
        }
    }
}

/// A part of the data that a model is scored on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What choices are made on.
    Valid,
    /// What is reported.
    Test,
}

impl Split {
    /// `valid` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// What a step did.
#[derive(Debug)]
pub struct StepOutcome {
    /// Its loss, the norm of its gradients and its distinct class rows: known on the host, perhaps late on a card.
    pub figures: StepFigures,
    /// Its examples, in the task's unit.
    pub examples: usize,
}

/// What an evaluation measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Its figures, the task's metric among them.
    pub score: Score,
    /// The same in words: `perplexity 117.30`, or `P@1 34.70, P@3 21.61, P@5 15.80`.
    pub text: String,
}

/// Refuses a loss or the norm of a gradient that is not finite. `step` counts the steps done before, as in [`Task::step`].
///
/// # Errors
/// [`Error::Diverged`].
pub fn check_finite(loss: f64, norm: f64, step: u64) -> Result<(), Error> {
    let what = if !loss.is_finite() {
        "loss"
    } else if !norm.is_finite() {
        "gradient"
    } else {
        return Ok(());
    };
    Err(Error::Diverged { what, step: step + 1 })
}

/// [`check_finite`] of figures that are known already; late ones pass, and are checked by the loop. Never waits.
///
/// # Errors
/// [`Error::Diverged`].
pub fn check_known(figures: &StepFigures, step: u64) -> Result<(), Error> {
    figures.known().map_or(Ok(()), |figures| check_finite(figures.loss, figures.norm, step))
}

#[cfg(test)]
mod tests {
    use rf_softmax::Figures;

    use super::*;

    #[test]
    fn what_is_not_finite_is_named_with_the_step_counted_from_one() {
        assert!(check_finite(1.5, 0.0, 0).is_ok());
        let refused = |loss, norm| check_finite(loss, norm, 6).unwrap_err().to_string();
        assert!(refused(f64::NAN, 1.0).starts_with("training diverged: the loss is not finite at step 7."));
        assert!(refused(1.0, f64::INFINITY).starts_with("training diverged: the gradient is not finite at step 7."));
    }

    #[test]
    fn figures_that_are_known_are_checked_at_once_and_late_ones_are_not_waited_for() {
        let figures = |loss| Figures { loss, norm: 1.0, rows: 3 };
        assert!(check_known(&StepFigures::Known(figures(1.5)), 6).is_ok());
        let refused = check_known(&StepFigures::Known(figures(f64::NAN)), 6);
        assert!(matches!(refused, Err(Error::Diverged { what: "loss", step: 7 })));
        assert!(check_known(&StepFigures::Late(Box::new(|| -> Figures { panic!("waited") })), 6).is_ok());
    }

    #[test]
    fn a_share_is_told_in_per_cent() {
        assert_eq!([Better::Lower.shown(117.303), Better::Higher.shown(0.34704)], ["117.30", "34.70"]);
    }

    #[test]
    fn a_score_is_lower_the_better_the_metric_and_turns_back_into_it() {
        for (better, worst, best) in [(Better::Lower, 90.0, 80.0), (Better::Higher, 0.2, 0.3)] {
            assert!(better.score(best) < better.score(worst));
            assert_eq!(better.score(better.score(best)), best);
        }
    }
}
