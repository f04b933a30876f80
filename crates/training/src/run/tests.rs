use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pending::IN_FLIGHT;
use super::*;
use crate::{Better, CheckpointWriter, Evaluated, Figures, Score, Split, check_known};

/// One weight that a step moves by its rate, and a place in the data that steps move.
#[derive(Clone, Debug, Default)]
struct Counter {
    weight: f32,
    place: u64,
    /// The weight with the best precision.
    best: f32,
    /// Whether there is no data but the training data.
    alone: bool,
    /// The step, counted from 0, whose rows are not finite.
    breaks_at: Option<u64>,
    /// The step, counted from 0, from which on the loss is not finite.
    diverges_from: Option<u64>,
    /// The step, counted from 0, in which `stop` is requested.
    stops_at: Option<u64>,
    stop: Stop,
    /// Where figures are that come late; `None` as on the host.
    flight: Option<Flight>,
}

/// A card, as far as the loop sees it: how many late figures are still to be read, and the most that ever were.
#[derive(Clone, Debug, Default)]
struct Flight {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Flight {
    fn late(&self, figures: Figures) -> StepFigures {
        let now = self.now.clone();
        self.most.fetch_max(1 + now.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        StepFigures::Late(Box::new(move || {
            now.fetch_sub(1, Ordering::SeqCst);
            figures
        }))
    }
}

impl Counter {
    fn figures(&self, step: u64, loss: f32) -> StepFigures {
        let diverges = self.diverges_from.is_some_and(|from| step >= from);
        let loss = if diverges { f64::NAN } else { f64::from(loss) };
        let figures = Figures { loss, norm: 1.0, rows: 3 + step as usize % 2 };
        self.flight.as_ref().map_or(StepFigures::Known(figures), |flight| flight.late(figures))
    }
}

#[derive(Debug, thiserror::Error)]
enum CounterError {
    #[error("the counter broke")]
    Broken,
    #[error(transparent)]
    Training(#[from] Error),
}

impl TaskError for CounterError {
    fn into_shared(self) -> Result<Error, Self> {
        match self {
            Self::Training(error) => Ok(error),
            own => Err(own),
        }
    }
}

impl Task for Counter {
    type Error = CounterError;

    fn facts(&self) -> TaskFacts {
        TaskFacts {
            name: "counter",
            unit: "points",
            metric: "P@1",
            better: Better::Higher,
            steps_per_epoch: 5,
            parameters: 1,
            floor: None,
        }
    }

    fn step(&mut self, step: u64, rate: f64) -> Result<StepOutcome, CounterError> {
        assert_eq!(step, self.place);
        if self.breaks_at == Some(step) {
            return Err(Error::from(rf_softmax::Error::from(rf_sampling::Error::NotFinite(3))).into());
        }
        if self.stops_at == Some(step) {
            self.stop.request();
        }
        let weight = self.weight + rate as f32;
        let figures = self.figures(step, weight);
        check_known(&figures, step)?;
        (self.weight, self.place) = (weight, step + 1);
        Ok(StepOutcome { figures, examples: 2 })
    }

    fn has(&self, _split: Split) -> bool {
        !self.alone
    }

    fn evaluate(&self, split: Split, _stop: &Stop) -> Result<Option<Evaluated>, CounterError> {
        let off = match split {
            Split::Valid => f64::from((self.weight - self.best).abs()),
            Split::Test => f64::from(self.weight),
        };
        let score = Score::Values(BTreeMap::from([("P@1".into(), 1.0 - off), ("P@3".into(), 1.0 - off / 2.0)]));
        Ok(Some(Evaluated { score, text: "P@1".into() }))
    }

    fn place(&self) -> Option<serde_json::Value> {
        Some(self.place.into())
    }

    fn save<'a>(&'a self, writer: CheckpointWriter<'a>) -> Result<CheckpointWriter<'a>, CounterError> {
        Ok(writer.f32("weight", &[1], vec![self.weight]))
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), CounterError> {
        self.load_model(checkpoint)?;
        self.place = checkpoint.place()?.ok_or(CounterError::Broken)?;
        assert_eq!(checkpoint.step(), Some(self.place));
        Ok(())
    }

    fn load_model(&mut self, checkpoint: &Checkpoint) -> Result<(), CounterError> {
        self.weight = checkpoint.f32("weight", &[1])?[0];
        Ok(())
    }
}

/// A run of so many steps at rate 1, validated every fourth.
fn outcome(task: Counter, folder: &RunFolder, steps: u64, resume: bool) -> Result<Summary, CounterError> {
    let train = TrainConfig { steps: Some(steps), evaluate_every: Some(4), ..Default::default() };
    trained(task, &train, folder, resume)
}

/// A run at rate 1.
fn trained(task: Counter, train: &TrainConfig, folder: &RunFolder, resume: bool) -> Result<Summary, CounterError> {
    let optimizer = OptimizerConfig { learning_rate: 1.0, ..Default::default() };
    let settings = RunSettings { loss: &LossConfig::default(), optimizer: &optimizer, train };
    let stop = task.stop.clone();
    run(task, settings, folder, resume, &stop)
}

/// A run of at most 100 steps that tells and stores nothing before its end.
fn quiet(steps: u64) -> TrainConfig {
    let (evaluate_every, checkpoint_every) = (Some(100), Some(100));
    TrainConfig { steps: Some(steps), log_every: 100, evaluate_every, checkpoint_every, ..Default::default() }
}

fn folder() -> (tempfile::TempDir, RunFolder) {
    let place = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(place.path(), false).unwrap();
    (place, folder)
}

fn figures(at_1: f64, at_3: f64) -> Option<Score> {
    Some(Score::Values(BTreeMap::from([("P@1".into(), at_1), ("P@3".into(), at_3)])))
}

/// A summary but for what a clock or the machine tells.
fn timeless(summary: Summary) -> Summary {
    Summary { examples_per_second: 0.0, train_seconds: 0.0, peak_memory_bytes: None, ..summary }
}

/// Position and sum of losses in a checkpoint, but for what a clock tells.
fn stored(path: &Path) -> (Position, Vec<f64>) {
    let checkpoint = Checkpoint::open(path).unwrap();
    let position: Position = checkpoint.state().unwrap();
    (Position { seconds: 0.0, ..position }, checkpoint.f64("loss_sum", &[1]).unwrap())
}

/// The events of a journal, but for what a clock tells.
fn told(folder: &RunFolder) -> Vec<serde_json::Value> {
    let timeless = |event: &Event| {
        let mut event = serde_json::to_value(event).unwrap();
        for field in ["seconds", "examples_per_second"] {
            event.as_object_mut().unwrap().remove(field);
        }
        event
    };
    Journal::read(&folder.journal()).unwrap().iter().map(timeless).collect()
}

#[test]
fn of_a_metric_that_should_be_high_the_highest_is_the_best() {
    let (_place, folder) = folder();
    let summary = outcome(Counter { best: 5.0, ..Default::default() }, &folder, 12, false).unwrap();
    assert_eq!((summary.task.as_str(), summary.metric.as_str()), ("counter", "P@1"));
    assert_eq!((summary.steps, summary.scored_step), (12, Some(4)));
    assert_eq!((summary.valid, summary.test), (figures(0.0, 0.5), figures(-3.0, -1.0)));
    assert_eq!(Checkpoint::open(&folder.best()).unwrap().step(), Some(4));
}

#[test]
fn without_other_data_than_to_train_on_nothing_is_scored() {
    let (_place, folder) = folder();
    let summary = outcome(Counter { alone: true, ..Default::default() }, &folder, 12, false).unwrap();
    assert_eq!((summary.valid, summary.test, summary.scored_step), (None, None, Some(12)));
    assert!(Checkpoint::open(&folder.checkpoint()).unwrap().history().best().is_none());
    assert!(!folder.best().exists());
    let events = Journal::read(&folder.journal()).unwrap();
    assert!(!events.iter().any(|event| matches!(event, Event::Evaluation { .. })));
}

#[test]
fn a_run_that_goes_on_is_the_run_of_the_greater_length() {
    let ((_here, whole), (_there, parts)) = (folder(), folder());
    let task = || Counter { best: 9.0, ..Default::default() };
    let wanted = timeless(outcome(task(), &whole, 13, false).unwrap());
    outcome(task(), &parts, 6, false).unwrap();
    assert_eq!(timeless(outcome(task(), &parts, 13, true).unwrap()), wanted);
    let (parts, whole) = (stored(&parts.checkpoint()), stored(&whole.checkpoint()));
    assert_eq!(parts, whole);
    assert_eq!(whole.0.history.best().unwrap().figures.len(), 2);
}

#[test]
fn a_row_that_is_not_finite_is_told_with_its_step_and_the_last_checkpoint_stands() {
    let (_place, folder) = folder();
    let task = Counter { breaks_at: Some(7), ..Default::default() };
    let error = outcome(task, &folder, 12, false).unwrap_err();
    let CounterError::Training(Error::Diverged { what, step }) = error else { panic!("{error}") };
    assert_eq!((what, step), ("embedding", 8));
    assert_eq!(Checkpoint::open(&folder.checkpoint()).unwrap().step(), Some(5));
    assert!(!folder.summary().exists());
    fs::remove_file(folder.checkpoint()).unwrap();
    assert_eq!(outcome(Counter::default(), &folder, 12, true).unwrap().steps, 12);
}

#[test]
fn a_run_that_is_asked_to_end_stores_its_state() {
    let (_place, folder) = folder();
    let (train, optimizer) = (TrainConfig::default(), OptimizerConfig::default());
    let settings = RunSettings { loss: &LossConfig::default(), optimizer: &optimizer, train: &train };
    let stop = Stop::default();
    stop.request();
    let error = run(Counter::default(), settings, &folder, false, &stop).unwrap_err();
    assert!(matches!(error, CounterError::Training(Error::Interrupted { step: 0 })));
    assert!(matches!(Journal::read(&folder.journal()).unwrap().last(), Some(Event::Interrupted(_))));
}

#[test]
fn figures_that_come_late_change_nothing_that_is_told_or_stored() {
    let ((_here, known), (_there, late)) = (folder(), folder());
    let train = TrainConfig { log_every: 3, evaluate_every: Some(11), checkpoint_every: Some(10), ..quiet(23) };
    let summary = |flight, folder: &RunFolder| {
        timeless(trained(Counter { best: 9.0, flight, ..Default::default() }, &train, folder, false).unwrap())
    };
    assert_eq!(summary(Some(Flight::default()), &late), summary(None, &known));
    assert_eq!(told(&late), told(&known));
    assert_eq!(stored(&late.checkpoint()), stored(&known.checkpoint()));
    assert_eq!(stored(&late.best()), stored(&known.best()));
    // The best is of step 11, after a report at step 9.
    assert_eq!(stored(&late.best()).1, [10.0 + 11.0]);
}

#[test]
fn the_loop_waits_once_so_many_steps_are_under_way_and_at_the_end() {
    let (_place, folder) = folder();
    let flight = Flight::default();
    trained(Counter { flight: Some(flight.clone()), ..Default::default() }, &quiet(30), &folder, false).unwrap();
    assert_eq!(flight.most.load(Ordering::SeqCst), IN_FLIGHT);
    assert_eq!(flight.now.load(Ordering::SeqCst), 0);
}

#[test]
fn a_loss_that_comes_late_and_is_not_finite_is_known_before_anything_is_told_or_stored() {
    let base = TrainConfig { checkpoint_every: Some(4), ..quiet(40) };
    let report = TrainConfig { log_every: 6, ..base.clone() };
    let validation = TrainConfig { evaluate_every: Some(6), ..base.clone() };
    let checkpoint = TrainConfig { checkpoint_every: Some(2), ..base.clone() };
    let end = TrainConfig { steps: Some(6), ..base };
    for train in [report, validation, checkpoint, end] {
        let (_place, folder) = folder();
        let task = Counter { diverges_from: Some(4), flight: Some(Flight::default()), ..Default::default() };
        let error = trained(task, &train, &folder, false).unwrap_err();
        let CounterError::Training(Error::Diverged { what, step }) = error else { panic!("{error}") };
        assert_eq!((what, step), ("loss", 5));
        let events = Journal::read(&folder.journal()).unwrap();
        assert!(events.iter().all(|event| event.when().step < 5), "{events:?}");
        assert_eq!(Checkpoint::open(&folder.checkpoint()).unwrap().step(), Some(4));
        assert!(!folder.summary().exists());
    }
}

#[test]
fn of_a_step_that_fails_the_cause_is_an_earlier_one_that_diverged_if_there_is_one() {
    let cause = |diverges_from| {
        let (_place, folder) = folder();
        let flight = Some(Flight::default());
        let task = Counter { breaks_at: Some(6), diverges_from, flight, ..Default::default() };
        match trained(task, &quiet(40), &folder, false) {
            Err(CounterError::Training(Error::Diverged { what, step })) => (what, step),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(cause(Some(4)), ("loss", 5));
    assert_eq!(cause(None), ("embedding", 7));
}

#[test]
fn a_run_that_is_asked_to_end_stores_what_comes_late() {
    let interrupted = |flight| {
        let (_place, folder) = folder();
        let task = Counter { stops_at: Some(6), flight, ..Default::default() };
        let error = trained(task, &quiet(40), &folder, false).unwrap_err();
        assert!(matches!(error, CounterError::Training(Error::Interrupted { step: 7 })), "{error}");
        (stored(&folder.checkpoint()), told(&folder))
    };
    let ((position, loss_sum), events) = interrupted(Some(Flight::default()));
    assert_eq!((position.rows, loss_sum.as_slice()), (4 * 3 + 3 * 4, &[28.0][..]));
    assert_eq!(((position, loss_sum), events), interrupted(None));
}
