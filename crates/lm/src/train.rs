//! The training loop.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::optim::{AdaGradConfig, AdamConfig, ModuleOptimizer, SgdConfig};
use burn::tensor::Device;
use rf_data::{Batches, Corpus};
use rf_softmax::{LossKind, SamplerConfig};
use rf_training::{
    Event, Journal, Length, OptimizerKind, Progress, ProgressConfig, RunFolder, Score, Summary, When, peak_memory_bytes,
};

use crate::checkpoint::{self, Carried, Position};
use crate::dropout::Dropout;
use crate::evaluate::{Evaluation, score};
use crate::model::LanguageModel;
use crate::{Error, Settings};

/// Trains a language model in a run folder, from the start or from its checkpoint, and returns the summary it wrote.
///
/// The outcome is a function of settings and corpus alone: not of the number of threads, nor of interruptions.
///
/// # Errors
/// [`Error::BadSetting`], [`Error::Softmax`], [`Error::Data`] for settings that do not fit the data; [`Error::Training`]
/// for files; [`Error::Diverged`] if loss or gradient are not finite.
pub fn train(
    settings: &Settings,
    corpus: &Corpus,
    folder: &RunFolder,
    device: &Device,
    resume: bool,
) -> Result<Summary, Error> {
    let batches = Batches::new(&corpus.train, corpus.vocabulary.eos(), settings.train.batch_size, settings.train.bptt)?;
    let mut run = Run::open(settings, corpus, folder, device, &batches, resume)?;
    while run.carried.position.step < run.steps {
        run.step(&batches)?;
        run.after_step()?;
    }
    run.finish()
}

struct Run<'a> {
    settings: &'a Settings,
    corpus: &'a Corpus,
    folder: &'a RunFolder,
    model: LanguageModel,
    optimizer: ModuleOptimizer,
    carried: Carried,
    journal: Journal,
    progress: Progress,
    /// Steps of the whole run.
    steps: u64,
    /// Steps of an epoch.
    epoch: u64,
    began: Instant,
    /// Training seconds before the latest resumption, less the seconds since then that were spent on evaluation.
    offset: f64,
    /// The latest validation, and its step.
    valid: Option<(u64, Evaluation)>,
}

impl<'a> Run<'a> {
    fn open(
        settings: &'a Settings,
        corpus: &'a Corpus,
        folder: &'a RunFolder,
        device: &Device,
        batches: &Batches<'_>,
        resume: bool,
    ) -> Result<Self, Error> {
        let device = device.clone().autodiff();
        let mut model = LanguageModel::new(settings, corpus.vocabulary.counts(), &device)?;
        let mut optimizer = dense_optimizer(settings.optimizer.kind);
        let position = Position { step: 0, seconds: 0.0, tokens: 0, reported_steps: 0 };
        let mut carried = Carried { position, states: model.start(settings.train.batch_size), loss_sum: 0.0 };
        let resume = resume && folder.checkpoint().exists();
        if resume {
            optimizer = checkpoint::load(&folder.checkpoint(), &mut model, optimizer, &mut carried)?;
            folder.remove_summary()?;
        }
        let epoch = batches.len() as u64;
        let (steps, epochs) = match settings.train.length() {
            Length::Epochs(epochs) => (epochs as u64 * epoch, Some(epochs)),
            Length::Steps(steps) => (steps, None),
        };
        let loss = if settings.loss.kind == LossKind::Full { "loss" } else { "sampled loss" };
        let step = carried.position.step;
        let journal =
            if resume { Journal::resume(&folder.journal(), step) } else { Journal::create(&folder.journal()) };
        let mut run = Self {
            settings,
            corpus,
            folder,
            model,
            optimizer,
            journal: journal?,
            progress: Progress::start(ProgressConfig { loss, unit: "tokens", epochs, steps }, step),
            steps,
            epoch,
            began: Instant::now(),
            offset: carried.position.seconds,
            carried,
            valid: None,
        };
        let at = run.when();
        run.journal.append(&if resume { Event::Resume(at) } else { Event::Start(at) })?;
        run.progress.note(&format!("{} parameters", run.model.parameters()));
        Ok(run)
    }

    /// One step: draw, loss, gradient, step, refresh.
    fn step(&mut self, batches: &Batches<'_>) -> Result<(), Error> {
        let Settings { seed, model, optimizer, .. } = self.settings;
        let step = self.carried.position.step;
        let place = step % self.epoch;
        if place == 0 {
            self.carried.states = self.model.start(self.settings.train.batch_size);
        }
        let window = batches.window(place as usize);
        let rate = optimizer.schedule.rate(optimizer.learning_rate, self.epoch_of(step + 1), step + 1);
        let dropout = Dropout::training(model.dropout, *seed, step);

        let pass = self.model.loss(&window, &mut self.carried.states, dropout).map_err(|error| self.diverged(error))?;
        let mut gradients = self.model.gradients(&pass, pass.output.loss.backward());
        let norm = self.model.clip(&mut gradients, optimizer.clip_norm.unwrap_or(f64::INFINITY));
        self.check_finite(pass.output.mean, norm)?;
        self.model.step_rows(rate, &gradients).map_err(|error| self.diverged(error))?;
        self.model.encoder = self.optimizer.step(rate, self.model.encoder.clone(), gradients.dense);

        self.carried.loss_sum += pass.output.mean;
        self.carried.position.reported_steps += 1;
        self.carried.position.step += 1;
        self.carried.position.tokens += window.scored as u64;
        self.progress.advance(window.scored);
        Ok(())
    }

    /// What happens now and then: reports, evaluations, checkpoints.
    fn after_step(&mut self) -> Result<(), Error> {
        let train = &self.settings.train;
        let (step, last) = (self.carried.position.step, self.steps);
        let due = |every: u64| step.is_multiple_of(every) || step == last;
        if due(train.log_every) {
            self.report()?;
        }
        if due(train.evaluate_every.unwrap_or(self.epoch)) {
            self.validate()?;
        }
        // After the evaluation, so that a resumed run does not evaluate twice.
        if due(train.checkpoint_every.unwrap_or(self.epoch)) {
            self.carried.position.seconds = self.seconds();
            checkpoint::save(&self.folder.checkpoint(), &self.model, &self.optimizer, &self.carried)?;
            self.journal.append(&Event::Checkpoint(self.when()))?;
        }
        Ok(())
    }

    fn report(&mut self) -> Result<(), Error> {
        let optimizer = &self.settings.optimizer;
        let at = self.when();
        let loss = self.carried.loss_sum / self.carried.position.reported_steps as f64;
        let learning_rate = optimizer.schedule.rate(optimizer.learning_rate, at.epoch, at.step);
        let examples_per_second = self.progress.report(at.epoch, loss);
        (self.carried.loss_sum, self.carried.position.reported_steps) = (0.0, 0);
        Ok(self.journal.append(&Event::Step { at, loss, learning_rate, examples_per_second })?)
    }

    fn validate(&mut self) -> Result<(), Error> {
        let valid = self.evaluate("valid", &self.corpus.valid)?;
        self.valid = Some((self.carried.position.step, valid));
        Ok(())
    }

    /// Scores a text, outside the training time, and records the outcome.
    fn evaluate(&mut self, split: &str, tokens: &[u32]) -> Result<Evaluation, Error> {
        let evaluation = score(&self.model, tokens, self.corpus.vocabulary.eos(), self.settings)?;
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
        Ok(evaluation)
    }

    /// Evaluates and writes the summary last.
    fn finish(mut self) -> Result<Summary, Error> {
        let train_seconds = self.seconds();
        if self.valid.is_none_or(|(step, _)| step != self.carried.position.step) {
            self.validate()?;
        }
        let test = self.evaluate("test", &self.corpus.test)?;
        let Position { step, tokens, .. } = self.carried.position;
        let sampled = self.settings.loss.kind == LossKind::Sampled;
        let summary = Summary {
            task: "lm".into(),
            loss: if sampled { "sampled" } else { "full" }.into(),
            sampler: sampler_name(&self.settings.loss.sampler, sampled).into(),
            steps: step,
            epochs: self.epoch_of(step),
            metric: "perplexity".into(),
            valid: self.valid.map(|(_, valid)| Score::Value(valid.perplexity)),
            test: Some(Score::Value(test.perplexity)),
            examples_per_second: tokens as f64 / train_seconds.max(1e-9),
            train_seconds,
            peak_memory_bytes: peak_memory_bytes(),
            floor: self.corpus.known.map(|known| known.floor),
            extra: BTreeMap::new(),
        };
        self.journal.append(&Event::End(self.when()))?;
        summary.save(&self.folder.summary())?;
        self.progress.finish();
        Ok(summary)
    }

    fn when(&self) -> When {
        let step = self.carried.position.step;
        When { step, epoch: self.epoch_of(step), seconds: self.seconds() }
    }

    fn seconds(&self) -> f64 {
        self.offset + self.began.elapsed().as_secs_f64()
    }

    /// Epoch of a step counted from 1; epochs are counted from 1, and 0 is before the first step.
    fn epoch_of(&self, step: u64) -> usize {
        step.div_ceil(self.epoch) as usize
    }

    fn check_finite(&self, loss: f64, norm: f64) -> Result<(), Error> {
        let step = self.carried.position.step + 1;
        match (loss.is_finite(), norm.is_finite()) {
            (false, _) => Err(Error::Diverged { what: "loss", step }),
            (_, false) => Err(Error::Diverged { what: "gradient", step }),
            _ => Ok(()),
        }
    }

    /// A query or a row that is not finite means that the run diverged.
    fn diverged(&self, error: Error) -> Error {
        use rf_sampling::Error as Sampling;
        match error {
            Error::Softmax(rf_softmax::Error::Sampler(Sampling::BadQuery | Sampling::NotFinite(_))) => {
                Error::Diverged { what: "embedding", step: self.carried.position.step + 1 }
            }
            other => other,
        }
    }
}

fn sampler_name(sampler: &SamplerConfig, sampled: bool) -> &'static str {
    if sampled { sampler.name() } else { "none" }
}

fn dense_optimizer(kind: OptimizerKind) -> ModuleOptimizer {
    match kind {
        // As the lazy Adam of the tables; burn's own default for epsilon is 1e-5.
        OptimizerKind::Adam => AdamConfig::new().with_epsilon(1e-8).init(),
        OptimizerKind::Sgd => SgdConfig::new().init(),
        OptimizerKind::Adagrad => AdaGradConfig::new().with_epsilon(1e-10).init(),
    }
}
