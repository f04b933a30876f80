use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::{Better, CheckpointWriter, Evaluated, Score, Split, StepOutcome};

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
        self.weight += rate as f32;
        self.place += 1;
        Ok(StepOutcome { loss: f64::from(self.weight), rows: 3, examples: 2 })
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
    let optimizer = OptimizerConfig { learning_rate: 1.0, ..Default::default() };
    let settings = RunSettings { loss: &LossConfig::default(), optimizer: &optimizer, train: &train };
    run(task, settings, folder, resume, &Stop::default())
}

fn folder() -> (tempfile::TempDir, RunFolder) {
    let place = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(place.path(), false).unwrap();
    (place, folder)
}

fn figures(at_1: f64, at_3: f64) -> Option<Score> {
    Some(Score::Values(BTreeMap::from([("P@1".into(), at_1), ("P@3".into(), at_3)])))
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
    let timeless =
        |summary: Summary| Summary { examples_per_second: 0.0, train_seconds: 0.0, peak_memory_bytes: None, ..summary };
    let wanted = timeless(outcome(task(), &whole, 13, false).unwrap());
    outcome(task(), &parts, 6, false).unwrap();
    assert_eq!(timeless(outcome(task(), &parts, 13, true).unwrap()), wanted);
    let state = |folder: &RunFolder| {
        let state: Position = Checkpoint::open(&folder.checkpoint()).unwrap().state().unwrap();
        Position { seconds: 0.0, ..state }
    };
    assert_eq!(state(&parts), state(&whole));
    assert_eq!(state(&whole).history.best().unwrap().figures.len(), 2);
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
