//! The end of a run.

use std::collections::BTreeMap;

use rf_softmax::LossKind;
use rf_training::{Checkpoint, Event, Score, Summary, Validation, peak_memory_bytes};

use super::Run;
use crate::checkpoint::Position;
use crate::{Error, checkpoint};

impl Run<'_> {
    /// Evaluates the best model, or the last where the best is not kept, and writes the summary.
    pub(super) fn finish(mut self) -> Result<Summary, Error> {
        let (train_seconds, step) = (self.seconds(), self.carried.position.step);
        let stopped_early = step < self.steps;
        if stopped_early {
            self.journal.append(&Event::EarlyStop(self.when()))?;
            self.progress.note(&format!("training ends early, at step {step}: validation no longer improves"));
        }
        let scored = self.take_best()?;
        let test = self.evaluate("test", &self.corpus.test)?.ok_or(Error::Interrupted { step })?;
        let Position { tokens, rows, .. } = self.carried.position;
        let sampled = self.settings.loss.kind == LossKind::Sampled;
        let summary = Summary {
            task: "lm".into(),
            loss: if sampled { "sampled" } else { "full" }.into(),
            sampler: if sampled { self.settings.loss.sampler.name() } else { "none" }.into(),
            steps: step,
            epochs: self.epoch_of(step),
            stopped_early,
            scored_step: scored.map(|scored| scored.step),
            metric: "perplexity".into(),
            valid: scored.map(|scored| Score::Value(scored.score)),
            test: Some(Score::Value(test.perplexity)),
            examples_per_second: tokens as f64 / train_seconds.max(1e-9),
            train_seconds,
            peak_memory_bytes: peak_memory_bytes(),
            floor: self.corpus.known.map(|known| known.floor),
            extra: BTreeMap::from([("distinct_rows".into(), (rows as f64 / step.max(1) as f64).into())]),
        };
        self.journal.append(&Event::End(self.when()))?;
        summary.save(&self.folder.summary())?;
        self.progress.finish();
        Ok(summary)
    }

    /// Puts the best model in place of the last, if it is kept and another one, and returns the validation of the model
    /// that is then there.
    fn take_best(&mut self) -> Result<Option<Validation>, Error> {
        let history = &self.carried.position.history;
        let (latest, best) = (history.latest(), history.best());
        if !self.settings.train.keep_best || best == latest {
            return Ok(latest);
        }
        let path = self.folder.best();
        // A file of another step is what is left of another history.
        if !path.exists() || Checkpoint::open(&path)?.step() != best.map(|best| best.step) {
            return Ok(latest);
        }
        checkpoint::load_model(&mut self.model, &path)?;
        if let Some(Validation { step, score, .. }) = best {
            self.progress.note(&format!("back to the best model: step {step}, valid perplexity {score:.2}"));
        }
        Ok(best)
    }
}
