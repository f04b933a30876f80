//! The training loop.

mod finish;
mod keep;

use std::time::Instant;

use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use rf_data::{Corpus, Windows};
use rf_softmax::LossKind;
use rf_training::{Event, Journal, Length, Progress, ProgressConfig, RunFolder, Stop, Summary, When};

use crate::checkpoint::{self, Carried, Position};
use crate::dropout::Dropout;
use crate::model::LanguageModel;
use crate::optimizer::dense_optimizer;
use crate::{Error, Settings};

/// Trains a language model in a run folder, from the start or from its checkpoint, and returns the summary it wrote.
///
/// The outcome is a function of settings and corpus alone: not of the number of threads, nor of interruptions. A run
/// that is resumed with another learning rate, schedule or length goes on under these from the step of its checkpoint.
///
/// # Errors
/// [`Error::BadSetting`], [`Error::Softmax`], [`Error::Data`] for settings that do not fit the data; [`Error::Training`]
/// for files; [`Error::Diverged`] if loss or gradient are not finite; [`Error::Interrupted`] once `stop` is requested,
/// the state being stored. Whatever the error, the last checkpoint is whole.
pub fn train(
    settings: &Settings,
    corpus: &Corpus,
    folder: &RunFolder,
    device: &Device,
    resume: bool,
    stop: &Stop,
) -> Result<Summary, Error> {
    let mut run = Run::open(settings, corpus, folder, device, resume, stop)?;
    run.after_step()?;
    while !run.is_over() {
        run.step()?;
        run.after_step()?;
    }
    run.finish()
}

struct Run<'a> {
    settings: &'a Settings,
    corpus: &'a Corpus,
    windows: Windows<'a>,
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
    /// Whether something happened since the latest checkpoint.
    unsaved: bool,
    stop: &'a Stop,
}

impl<'a> Run<'a> {
    fn open(
        settings: &'a Settings,
        corpus: &'a Corpus,
        folder: &'a RunFolder,
        device: &Device,
        resume: bool,
        stop: &'a Stop,
    ) -> Result<Self, Error> {
        let mut windows = corpus.windows(settings.train.batch_size, settings.train.bptt)?;
        let device = device.clone().autodiff();
        let mut model = LanguageModel::new(settings, corpus.vocabulary.counts(), &device)?;
        let mut optimizer = dense_optimizer(&settings.optimizer);
        let mut carried =
            Carried { position: Position::default(), states: model.start(settings.train.batch_size), loss_sum: 0.0 };
        let resume = resume && folder.checkpoint().exists();
        if resume {
            optimizer = checkpoint::load(&folder.checkpoint(), &mut model, optimizer, &mut carried)?;
            windows.go_to(carried.position.step, carried.position.text.as_ref())?;
            folder.remove_summary()?;
        }
        let epoch = windows.per_epoch();
        let (steps, epochs) = match settings.train.length() {
            Length::Epochs(epochs) => (epochs as u64 * epoch, Some(epochs)),
            Length::Steps(steps) => (steps, None),
        };
        let loss = if settings.loss.kind == LossKind::Full { "loss" } else { "sampled loss" };
        let step = carried.position.step;
        if step < steps {
            carried.position.history.go_on();
        }
        let journal =
            if resume { Journal::resume(&folder.journal(), step) } else { Journal::create(&folder.journal()) };
        let mut run = Self {
            settings,
            corpus,
            windows,
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
            unsaved: false,
            stop,
        };
        let at = run.when();
        run.journal.append(&if resume { Event::Resume(at) } else { Event::Start(at) })?;
        run.progress.note(&format!("{} parameters", run.model.parameters()));
        Ok(run)
    }

    /// One step: draw, loss, gradient, step, refresh.
    fn step(&mut self) -> Result<(), Error> {
        let Settings { seed, model, optimizer, .. } = self.settings;
        let step = self.carried.position.step;
        if self.windows.start_anew() {
            self.carried.states = self.model.start(self.settings.train.batch_size);
        }
        let window = self.windows.next_window()?;
        let rate = self.rate(step + 1);
        let dropout = Dropout::training(model, *seed, step);

        let pass =
            self.model.loss(&window, &mut self.carried.states, dropout).map_err(|error| error.at_step(step + 1))?;
        let mut gradients = self.model.gradients(&pass, pass.output.loss.backward());
        let norm = self.model.clip(&mut gradients, optimizer.clip_norm.unwrap_or(f64::INFINITY));
        self.check_finite(pass.output.mean, norm)?;
        self.model.step_rows(rate, &gradients).map_err(|error| error.at_step(step + 1))?;
        self.model.encoder = self.optimizer.step(rate, self.model.encoder.clone(), gradients.dense);

        self.carried.loss_sum += pass.output.mean;
        self.carried.position.rows += pass.output.classes.len() as u64;
        self.carried.position.reported_rows += pass.output.classes.len() as u64;
        self.carried.position.reported_steps += 1;
        self.carried.position.step += 1;
        self.carried.position.tokens += window.scored as u64;
        self.progress.advance(window.scored);
        self.unsaved = true;
        Ok(())
    }

    fn report(&mut self) -> Result<(), Error> {
        let at = self.when();
        let Position { reported_steps, reported_rows, .. } = self.carried.position;
        let loss = self.carried.loss_sum / reported_steps as f64;
        let distinct_rows = reported_rows as f64 / reported_steps as f64;
        let learning_rate = self.rate(at.step);
        let examples_per_second = self.progress.report(at.epoch, loss, distinct_rows);
        self.carried.loss_sum = 0.0;
        (self.carried.position.reported_steps, self.carried.position.reported_rows) = (0, 0);
        Ok(self.journal.append(&Event::Step { at, loss, learning_rate, examples_per_second, distinct_rows })?)
    }

    /// Learning rate of a step counted from 1, as far as the validations so far tell.
    fn rate(&self, step: u64) -> f64 {
        let history = &self.carried.position.history;
        self.settings.optimizer.rate(self.epoch_of(step), step, self.steps, history)
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
}
