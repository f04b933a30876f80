//! What happens between steps: validation, checkpoints, interruptions.

use rf_training::{Event, Score};

use super::Run;
use crate::checkpoint::Position;
use crate::evaluate::{Evaluation, score};
use crate::{Error, checkpoint};

impl Run<'_> {
    /// What happens now and then: reports, evaluations, checkpoints. Nothing is done twice, so a resumed run calls it
    /// first, and does what its interruption left undone.
    pub(super) fn after_step(&mut self) -> Result<(), Error> {
        let train = &self.settings.train;
        if self.is_due(train.log_every) && self.carried.position.reported_steps > 0 {
            self.report()?;
        }
        if self.is_due(train.evaluate_every.unwrap_or(self.epoch)) {
            self.validate()?;
        }
        // After the evaluation, so that a resumed run does not evaluate twice.
        if self.is_due(train.checkpoint_every.unwrap_or(self.epoch)) || self.is_best() || self.is_over() {
            self.save()?;
        }
        if self.stop.is_requested() { self.interrupt() } else { Ok(()) }
    }

    fn is_due(&self, every: u64) -> bool {
        let step = self.carried.position.step;
        step > 0 && (step.is_multiple_of(every) || step == self.steps)
    }

    /// Whether the state is the best so far, and the best is to be kept. One that was validated only because the run ends
    /// needs no keeping: it is the latest, and does not count if the run goes on.
    fn is_best(&self) -> bool {
        let (train, Position { step, history, .. }) = (&self.settings.train, &self.carried.position);
        train.keep_best && history.best().is_some_and(|best| best.step == *step && !best.at_end)
    }

    /// Whether the run has its length, or has waited for an improvement long enough.
    pub(super) fn is_over(&self) -> bool {
        let train = &self.settings.train;
        let wait = self.carried.position.history.wait(train.min_improvement);
        self.carried.position.step >= self.steps || train.patience.is_some_and(|patience| wait >= patience)
    }

    /// Scores the validation data, once a step, and remembers the outcome.
    fn validate(&mut self) -> Result<(), Error> {
        let step = self.carried.position.step;
        if self.carried.position.history.latest().is_some_and(|latest| latest.step == step) {
            return Ok(());
        }
        let before = self.rate(step + 1);
        let Some(valid) = self.evaluate("valid", self.settings.train.validation(&self.corpus.valid))? else {
            return Ok(());
        };
        let history = &mut self.carried.position.history;
        if step.is_multiple_of(self.settings.train.evaluate_every.unwrap_or(self.epoch)) {
            history.record(step, valid.perplexity);
        } else {
            history.record_end(step, valid.perplexity);
        }
        self.unsaved = true;
        if let Some(best) = history.best().filter(|best| best.step != step) {
            let text = format!("no improvement: the best is still {:.2}, of step {}", best.score, best.step);
            self.progress.note(&text);
        }
        let after = self.rate(step + 1);
        if after < before {
            self.progress.note(&format!("the learning rate falls from {before} to {after}"));
        }
        Ok(())
    }

    /// Scores a text, outside the training time, and records the outcome; `None` if asked to stop before the end.
    pub(super) fn evaluate(&mut self, split: &str, tokens: &[u32]) -> Result<Option<Evaluation>, Error> {
        let evaluation = score(&self.model, tokens, self.corpus.vocabulary.eos(), self.settings, self.stop)?;
        let Some(evaluation) = evaluation else { return Ok(None) };
        self.offset -= evaluation.seconds;
        let (at, perplexity) = (self.when(), evaluation.perplexity);
        if !perplexity.is_finite() {
            return Err(Error::Diverged { what: "loss", step: at.step });
        }
        let text = format!(
            "epoch {}, step {}: {split} perplexity {perplexity:.2} after {:.0} s",
            at.epoch, at.step, at.seconds
        );
        self.progress.note(&text);
        let score = Score::Value(perplexity);
        let (split, metric) = (split.to_string(), "perplexity".to_string());
        self.journal.append(&Event::Evaluation { at, split, metric, score })?;
        Ok(Some(evaluation))
    }

    /// Stores the state, unless that is done, and keeps it if it is the best.
    fn save(&mut self) -> Result<(), Error> {
        if self.unsaved {
            self.carried.position.seconds = self.seconds();
            self.carried.position.text = self.windows.place();
            checkpoint::save(&self.folder.checkpoint(), &self.model, &self.optimizer, &self.carried)?;
            self.unsaved = false;
            self.journal.append(&Event::Checkpoint(self.when()))?;
        }
        if self.is_best() { Ok(self.folder.keep_best()?) } else { Ok(()) }
    }

    /// Stores the state of a run that was asked to end.
    fn interrupt(&mut self) -> Result<(), Error> {
        self.save()?;
        let at = self.when();
        self.journal.append(&Event::Interrupted(at))?;
        Err(Error::Interrupted { step: at.step })
    }
}
