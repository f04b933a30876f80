//! The loop that all tasks share.

mod finish;
mod keep;
mod pending;
mod position;

use std::collections::VecDeque;
use std::time::Instant;

use rf_softmax::{LossConfig, LossKind};

use self::position::Position;
use crate::{
    Checkpoint, Departure, Error, Event, EventFile, Journal, Length, OptimizerConfig, Progress, ProgressConfig,
    RunFolder, StepFigures, StepOutcome, Stop, Summary, Task, TaskError, TaskFacts, TrainConfig, When,
};

/// The settings that steer the loop, whatever the task.
#[derive(Clone, Copy, Debug)]
pub struct RunSettings<'a> {
    /// The loss, for its name and that of its sampler.
    pub loss: &'a LossConfig,
    /// Learning rate, warm-up and schedule.
    pub optimizer: &'a OptimizerConfig,
    /// Length and intervals.
    pub train: &'a TrainConfig,
}

/// Trains a task in a run folder, from the start or from its checkpoint, and returns the summary it wrote.
///
/// The task comes as it is before the first step. A run that is resumed with another learning rate, schedule or length
/// goes on under these from the step of its checkpoint; where there is no checkpoint yet, it begins.
///
/// A graphics card is waited for once in eight steps, and before anything is told or stored: then the [`StepFigures`] of
/// all steps so far are read.
///
/// # Errors
/// Those of the task, and of the files of the run; [`Error::Diverged`] at the first step whose loss, gradient or rows
/// are not finite, or if a validation is not; [`Error::Interrupted`] once `stop` is requested, the state being stored.
/// Whatever the error, the last checkpoint is whole, and of a step before any that diverged.
pub fn run<T: Task>(
    task: T,
    settings: RunSettings<'_>,
    folder: &RunFolder,
    resume: bool,
    stop: &Stop,
) -> Result<Summary, T::Error> {
    let mut run = Run::open(task, settings, folder, resume, stop)?;
    run.after_step()?;
    while !run.is_over() {
        run.step()?;
        run.after_step()?;
    }
    run.finish()
}

struct Run<'a, T> {
    task: T,
    facts: TaskFacts,
    settings: RunSettings<'a>,
    folder: &'a RunFolder,
    position: Position,
    /// Sum of the losses since the last report, those still pending apart.
    loss_sum: f64,
    /// Steps, counted from 0, whose figures are still to be read; empty on the host.
    pending: VecDeque<(u64, StepFigures)>,
    journal: Journal,
    board: Option<EventFile>,
    progress: Progress,
    /// Steps of the whole run.
    steps: u64,
    began: Instant,
    /// Training seconds before the latest resumption, less the seconds since then that were spent on evaluation.
    offset: f64,
    /// Whether something happened since the latest checkpoint.
    unsaved: bool,
    stop: &'a Stop,
}

impl<'a, T: Task> Run<'a, T> {
    fn open(
        mut task: T,
        settings: RunSettings<'a>,
        folder: &'a RunFolder,
        resume: bool,
        stop: &'a Stop,
    ) -> Result<Self, T::Error> {
        let resume = resume && folder.checkpoint().exists();
        let (mut position, loss_sum) = if resume { load(&mut task, folder)? } else { Default::default() };
        let facts = task.facts();
        let (steps, epochs) = match settings.train.length() {
            Length::Epochs(epochs) => (epochs as u64 * facts.steps_per_epoch, Some(epochs)),
            Length::Steps(steps) => (steps, None),
        };
        let step = position.step;
        if step < steps {
            position.history.go_on();
        }
        let journal =
            if resume { Journal::resume(&folder.journal(), step) } else { Journal::create(&folder.journal()) };
        let loss = if settings.loss.kind == LossKind::Full { "loss" } else { "sampled loss" };
        let progress = ProgressConfig { loss, unit: facts.unit, epochs, steps };
        let mut run = Self {
            task,
            facts,
            settings,
            folder,
            journal: journal?,
            board: None,
            progress: Progress::start(progress, step),
            steps,
            began: Instant::now(),
            offset: position.seconds,
            position,
            loss_sum,
            pending: VecDeque::new(),
            unsaved: false,
            stop,
        };
        let (at, steps_per_epoch) = (run.when(), Some(run.facts.steps_per_epoch));
        let departure = Departure { at, steps: Some(steps), steps_per_epoch };
        run.journal.append(&if resume { Event::Resume(departure) } else { Event::Start(departure) })?;
        if folder.tensorboard().is_dir() {
            run.board = Some(EventFile::begin(folder)?);
        }
        run.progress.note(&format!("{} parameters", run.facts.parameters));
        Ok(run)
    }

    /// One step of the task, and the count of what it did.
    fn step(&mut self) -> Result<(), T::Error> {
        let step = self.position.step;
        let rate = self.rate(step + 1);
        let outcome = self.task.step(step, rate);
        if outcome.is_err() {
            // A pending step that diverged is then the cause, and comes first.
            self.settle()?;
        }
        let StepOutcome { figures, examples } = outcome.map_err(|error| at_step(error, step + 1))?;
        self.position.count(examples);
        self.progress.advance(examples);
        self.unsaved = true;
        Ok(self.take_up(step, figures)?)
    }

    fn report(&mut self) -> Result<(), Error> {
        self.settle()?;
        let at = self.when();
        let Position { reported_steps, reported_rows, .. } = self.position;
        let loss = self.loss_sum / reported_steps as f64;
        let distinct_rows = reported_rows as f64 / reported_steps as f64;
        let learning_rate = self.rate(at.step);
        let examples_per_second = self.progress.report(at.epoch, loss, distinct_rows);
        self.loss_sum = 0.0;
        (self.position.reported_steps, self.position.reported_rows) = (0, 0);
        self.record(&Event::Step { at, loss, learning_rate, examples_per_second, distinct_rows })
    }

    /// Adds an event to the journal, and to what is written for TensorBoard.
    fn record(&mut self, event: &Event) -> Result<(), Error> {
        self.journal.append(event)?;
        self.board.as_mut().map_or(Ok(()), |board| board.append(event))
    }

    /// Learning rate of a step counted from 1, as far as the validations so far tell.
    fn rate(&self, step: u64) -> f64 {
        self.settings.optimizer.rate(self.epoch_of(step), step, self.steps, &self.position.history)
    }

    fn when(&self) -> When {
        let step = self.position.step;
        When { step, epoch: self.epoch_of(step), seconds: self.seconds() }
    }

    fn seconds(&self) -> f64 {
        self.offset + self.began.elapsed().as_secs_f64()
    }

    /// Epoch of a step counted from 1; epochs are counted from 1, and 0 is before the first step.
    fn epoch_of(&self, step: u64) -> usize {
        step.div_ceil(self.facts.steps_per_epoch) as usize
    }
}

/// Puts a task where its checkpoint was stored. Returns the position, and the losses added up since the last report.
fn load<T: Task>(task: &mut T, folder: &RunFolder) -> Result<(Position, f64), T::Error> {
    let checkpoint = Checkpoint::open(&folder.checkpoint())?;
    task.load(&checkpoint)?;
    let loss_sum = checkpoint.f64("loss_sum", &[1])?[0];
    let position = checkpoint.state()?;
    folder.remove_summary()?;
    Ok((position, loss_sum))
}

/// An error of a step counted from 1, of which it is known now that the run diverged there, if it did.
fn at_step<E: TaskError>(error: E, step: u64) -> E {
    match error.into_shared() {
        Ok(error) => error.at_step(step).into(),
        Err(own) => own,
    }
}

#[cfg(test)]
mod tests;
