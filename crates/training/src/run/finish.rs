//! The end of a run.

use std::collections::BTreeMap;

use rf_softmax::LossKind;

use super::Run;
use crate::{Checkpoint, Error, Event, Score, Split, Summary, Task, Validation, peak_memory_bytes};

impl<T: Task> Run<'_, T> {
    /// Evaluates the best model, or the last where the best is not kept, and writes the summary.
    pub(super) fn finish(mut self) -> Result<Summary, T::Error> {
        let (train_seconds, step) = (self.seconds(), self.position.step);
        if step < self.steps {
            self.record(&Event::EarlyStop(self.when()))?;
            self.progress.note(&format!("training ends early, at step {step}: validation no longer improves"));
        }
        let scored = self.take_best()?;
        let test = if self.task.has(Split::Test) {
            Some(self.evaluate(Split::Test)?.ok_or(Error::Interrupted { step })?)
        } else {
            None
        };
        let summary = self.summary(train_seconds, scored, test);
        self.record(&Event::End(self.when()))?;
        summary.save(&self.folder.summary())?;
        self.progress.finish();
        Ok(summary)
    }

    /// Puts the best model in place of the last, if it is kept and another one, and returns the validation of the model
    /// that is then there.
    fn take_best(&mut self) -> Result<Option<Validation>, T::Error> {
        let history = &self.position.history;
        let (latest, best) = (history.latest().cloned(), history.best().cloned());
        if !self.settings.train.keep_best || best == latest {
            return Ok(latest);
        }
        let path = self.folder.best();
        if !path.exists() {
            return Ok(latest);
        }
        let checkpoint = Checkpoint::open(&path)?;
        // A file of another step is what is left of another history.
        if checkpoint.step() != best.as_ref().map(|best| best.step) {
            return Ok(latest);
        }
        self.task.load_model(&checkpoint)?;
        if let Some(Validation { step, score, .. }) = best {
            let (metric, better) = (self.facts.metric, self.facts.better);
            let value = better.shown(better.score(score));
            self.progress.note(&format!("back to the best model: step {step}, valid {metric} {value}"));
        }
        Ok(best)
    }

    fn summary(&self, train_seconds: f64, scored: Option<Validation>, test: Option<Score>) -> Summary {
        let (loss, position, step) = (self.settings.loss, &self.position, self.position.step);
        let sampled = loss.kind == LossKind::Sampled;
        Summary {
            task: self.facts.name.into(),
            loss: if sampled { "sampled" } else { "full" }.into(),
            sampler: if sampled { loss.sampler.name() } else { "none" }.into(),
            steps: step,
            epochs: self.epoch_of(step),
            stopped_early: step < self.steps,
            scored_step: Some(scored.as_ref().map_or(step, |scored| scored.step)),
            metric: self.facts.metric.into(),
            valid: scored.map(|scored| self.valid_score(scored)),
            test,
            examples_per_second: position.examples as f64 / train_seconds.max(1e-9),
            train_seconds,
            peak_memory_bytes: peak_memory_bytes(),
            floor: self.facts.floor,
            extra: BTreeMap::from([("distinct_rows".into(), (position.rows as f64 / step.max(1) as f64).into())]),
        }
    }

    /// What a validation measured.
    fn valid_score(&self, Validation { score, figures, .. }: Validation) -> Score {
        if figures.is_empty() { Score::Value(self.facts.better.score(score)) } else { Score::Values(figures) }
    }
}
