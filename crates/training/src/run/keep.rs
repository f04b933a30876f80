//! What happens between steps: validation, checkpoints, interruptions.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Run;
use crate::{CheckpointWriter, Error, Event, Score, Split, Task, Validation};

impl<T: Task> Run<'_, T> {
    /// What happens now and then: reports, evaluations, checkpoints. Nothing is done twice, so a resumed run calls it
    /// first, and does what its interruption left undone.
    pub(super) fn after_step(&mut self) -> Result<(), T::Error> {
        let (train, epoch) = (self.settings.train, self.facts.steps_per_epoch);
        if self.is_due(train.log_every) && self.position.reported_steps > 0 {
            self.report()?;
        }
        if self.is_due(train.evaluate_every.unwrap_or(epoch)) && self.task.has(Split::Valid) {
            self.validate()?;
        }
        // After the evaluation, so that a resumed run does not evaluate twice.
        if self.is_due(train.checkpoint_every.unwrap_or(epoch)) || self.is_best() || self.is_over() {
            self.save()?;
        }
        if self.stop.is_requested() { self.interrupt() } else { Ok(()) }
    }

    fn is_due(&self, every: u64) -> bool {
        let step = self.position.step;
        step > 0 && (step.is_multiple_of(every) || step == self.steps)
    }

    /// Whether the state is the best so far, and the best is to be kept. One that was validated only because the run ends
    /// needs no keeping: it is the latest, and does not count if the run goes on.
    fn is_best(&self) -> bool {
        let best = self.position.history.best();
        self.settings.train.keep_best && best.is_some_and(|best| best.step == self.position.step && !best.at_end)
    }

    /// Whether the run has its length, or has waited for an improvement long enough.
    pub(super) fn is_over(&self) -> bool {
        let train = self.settings.train;
        let wait = self.position.history.wait(train.min_improvement);
        self.position.step >= self.steps || train.patience.is_some_and(|patience| wait >= patience)
    }

    /// Scores the validation data, once a step, and remembers the outcome.
    fn validate(&mut self) -> Result<(), T::Error> {
        let step = self.position.step;
        if self.position.history.latest().is_some_and(|latest| latest.step == step) {
            return Ok(());
        }
        self.settle()?;
        let before = self.rate(step + 1);
        let Some(score) = self.evaluate(Split::Valid)? else { return Ok(()) };
        let validation = self.validation(score);
        self.position.history.push(validation);
        self.unsaved = true;
        if let Some(best) = self.position.history.best().filter(|best| best.step != step) {
            let better = self.facts.better;
            let value = better.shown(better.score(best.score));
            self.progress.note(&format!("no improvement: the best is still {value}, of step {}", best.step));
        }
        let after = self.rate(step + 1);
        if after < before {
            self.progress.note(&format!("the learning rate falls from {before} to {after}"));
        }
        Ok(())
    }

    /// What the history keeps of a score on the validation data.
    fn validation(&self, score: Score) -> Validation {
        let step = self.position.step;
        let every = self.settings.train.evaluate_every.unwrap_or(self.facts.steps_per_epoch);
        let value = self.metric(&score);
        let figures = match score {
            Score::Value(_) => BTreeMap::new(),
            Score::Values(figures) => figures,
        };
        Validation { step, score: self.facts.better.score(value), at_end: !step.is_multiple_of(every), figures }
    }

    /// Scores a split, outside the training time, and records the outcome; `None` if asked to stop before the end.
    pub(super) fn evaluate(&mut self, split: Split) -> Result<Option<Score>, T::Error> {
        let began = Instant::now();
        let evaluated = self.task.evaluate(split, self.stop)?;
        self.offset -= began.elapsed().as_secs_f64();
        let Some(evaluated) = evaluated else { return Ok(None) };
        let (at, score) = (self.when(), evaluated.score);
        if !self.metric(&score).is_finite() {
            return Err(Error::Diverged { what: "loss", step: at.step }.into());
        }
        let (name, text) = (split.name(), evaluated.text);
        self.progress.note(&format!("epoch {}, step {}: {name} {text} after {:.0} s", at.epoch, at.step, at.seconds));
        let (split, metric) = (name.to_string(), self.facts.metric.to_string());
        self.record(&Event::Evaluation { at, split, metric, score: score.clone() })?;
        Ok(Some(score))
    }

    /// The figure that counts.
    fn metric(&self, score: &Score) -> f64 {
        let metric = self.facts.metric;
        score.figure(metric).unwrap_or_else(|| panic!("an evaluation must measure {metric}"))
    }

    /// Stores the state, unless that is done, and keeps it if it is the best.
    fn save(&mut self) -> Result<(), T::Error> {
        self.settle()?;
        if self.unsaved {
            self.position.seconds = self.seconds();
            self.position.place = self.task.place();
            let writer = CheckpointWriter::new().f64("loss_sum", &[1], vec![self.loss_sum]).state(&self.position);
            self.task.save(writer)?.write(&self.folder.checkpoint())?;
            self.unsaved = false;
            self.record(&Event::Checkpoint(self.when()))?;
        }
        if self.is_best() { Ok(self.folder.keep_best()?) } else { Ok(()) }
    }

    /// Stores the state of a run that was asked to end.
    fn interrupt(&mut self) -> Result<(), T::Error> {
        self.save()?;
        let at = self.when();
        self.record(&Event::Interrupted(at))?;
        Err(Error::Interrupted { step: at.step }.into())
    }
}
