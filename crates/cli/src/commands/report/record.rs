//! One run, as its folder tells it.

use std::collections::BTreeMap;
use std::path::Path;

use rf_training::{Event, Journal, RunFolder, Score, Summary, When};
use toml::Value;

use crate::commands::told::grouped;
use crate::exit::OrBadInput;
use crate::experiment;
use crate::plan::flat;
use crate::task::Task;

/// Settings of a sampled loss, which a full one does not use.
const OF_SAMPLES: [&str; 5] = ["loss.sampler", "loss.estimator", "loss.draws", "loss.sharing", "loss.points"];

/// What a run folder tells.
#[derive(Clone, Debug)]
pub struct Record {
    pub name: String,
    pub folder: RunFolder,
    pub task: Task,
    pub seed: i64,
    /// Every setting that the run uses by its dotted key, the seed apart.
    pub settings: BTreeMap<String, Value>,
    /// Evaluations on the validation data, oldest first.
    pub validations: Vec<Validated>,
    /// Examples a second of each logging interval.
    pub speeds: Vec<f64>,
    /// Distinct class rows a step, likewise.
    pub rows: Vec<f64>,
    /// Steps done, and seconds of training.
    pub steps: u64,
    pub seconds: f64,
    pub steps_per_epoch: Option<f64>,
    /// The outcome, where the run has come to its end.
    pub summary: Option<Summary>,
    /// What is to be said about how far it came, where that is not simply its end.
    pub remark: Option<String>,
}

/// An evaluation on the validation data.
#[derive(Clone, Debug, PartialEq)]
pub struct Validated {
    pub at: When,
    pub metric: String,
    pub score: Score,
}

impl Record {
    /// Reads the folder at `path`: all of the plan, and of journal and summary what is there.
    ///
    /// # Errors
    /// Bad input if the plan cannot be read.
    pub fn read(path: &Path, name: String) -> anyhow::Result<Self> {
        let folder = RunFolder::open(path).or_bad_input()?;
        let document = experiment::load(&folder.plan(), &[])?;
        let task = document.task()?;
        let mut settings = flat(document.table());
        let seed = settings.remove("seed").and_then(|seed| seed.as_integer()).unwrap_or(1);
        if settings.get("loss.kind").and_then(Value::as_str) == Some("full") {
            settings.retain(|key, _| !OF_SAMPLES.iter().any(|unused| is_at_or_below(key, unused)));
        }
        let (events, damage) = match Journal::read_whole_lines(&folder.journal()) {
            Ok((events, damage)) => (events, damage.map(|damage| damage.to_string())),
            // There is none before the first step.
            Err(_) => (Vec::new(), None),
        };
        let summary = Summary::load(&folder.summary()).ok();
        let remark = damage.or_else(|| remark(&events, summary.as_ref()));
        let mut record = Self {
            name,
            folder,
            task,
            seed,
            settings,
            validations: Vec::new(),
            speeds: Vec::new(),
            rows: Vec::new(),
            steps: 0,
            seconds: 0.0,
            steps_per_epoch: steps_per_epoch(&events, summary.as_ref()),
            summary,
            remark,
        };
        events.into_iter().for_each(|event| record.take(event));
        Ok(record)
    }

    /// Whether the run has come to its end.
    pub fn is_finished(&self) -> bool {
        self.summary.is_some()
    }

    fn take(&mut self, event: Event) {
        let at = event.when();
        (self.steps, self.seconds) = (at.step, at.seconds);
        match event {
            Event::Step { examples_per_second, distinct_rows, .. } => {
                self.speeds.push(examples_per_second);
                self.rows.push(distinct_rows);
            }
            Event::Evaluation { at, split, metric, score } if split == "valid" => {
                self.validations.push(Validated { at, metric, score });
            }
            _ => {}
        }
    }
}

impl Validated {
    /// The figure that counts.
    pub fn figure(&self) -> Option<f64> {
        self.score.figure(&self.metric).filter(|figure| figure.is_finite())
    }
}

fn is_at_or_below(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// How far a run came, if it did not simply come to its end.
fn remark(events: &[Event], summary: Option<&Summary>) -> Option<String> {
    if let Some(summary) = summary {
        return summary.stopped_early.then(|| format!("stopped early, after step {}", grouped(summary.steps)));
    }
    let Some(last) = events.last() else { return Some("unfinished: not begun".into()) };
    let step = grouped(last.when().step);
    let planned = events.iter().rev().find_map(|event| match event {
        Event::Start(departure) | Event::Resume(departure) => departure.steps,
        _ => None,
    });
    let of = planned.map_or(String::new(), |steps| format!(" of {}", grouped(steps)));
    let how = if matches!(last, Event::Interrupted(_)) { "interrupted" } else { "unfinished" };
    Some(format!("{how}: step {step}{of}"))
}

/// Steps of an epoch: as the journal tells; an older one does not, but has an event at the end of an epoch as a rule.
fn steps_per_epoch(events: &[Event], summary: Option<&Summary>) -> Option<f64> {
    let told = events.iter().rev().find_map(|event| match event {
        Event::Start(departure) | Event::Resume(departure) => departure.steps_per_epoch,
        _ => None,
    });
    if let Some(steps) = told {
        return Some(steps as f64);
    }
    let whens = || events.iter().map(Event::when).filter(|at| at.epoch > 0);
    let has_whole_epochs = whens().any(|at| at.epoch > 1) || summary.is_some_and(|summary| summary.epochs > 1);
    // Step s of epoch e is at most e times the length of an epoch, and just that at the epoch's end.
    let least = whens().map(|at| at.step as f64 / at.epoch as f64).fold(0.0, f64::max);
    (has_whole_epochs && least > 0.0).then_some(least)
}

#[cfg(test)]
pub mod tests {
    use rf_training::Departure;

    use super::*;

    /// The folder of a run of `events` under a plan.
    pub fn folder(plan: &str, events: &[Event]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("plan.toml"), plan).unwrap();
        let mut journal = Journal::create(&place.path().join("journal.jsonl")).unwrap();
        events.iter().for_each(|event| journal.append(event).unwrap());
        place
    }

    pub fn at(step: u64) -> When {
        When { step, epoch: step.div_ceil(100) as usize, seconds: step as f64 / 10.0 }
    }

    pub fn start() -> Event {
        Event::Start(Departure { at: at(0), steps: Some(1200), steps_per_epoch: Some(100) })
    }

    pub fn validation(step: u64, figure: f64) -> Event {
        let score = Score::Value(figure);
        Event::Evaluation { at: at(step), split: "valid".into(), metric: "perplexity".into(), score }
    }

    pub fn read(plan: &str, events: &[Event]) -> Record {
        Record::read(folder(plan, events).path(), "a".into()).unwrap()
    }

    #[test]
    fn a_run_that_is_not_finished_is_told_with_what_its_journal_has() {
        let step =
            Event::Step { at: at(50), loss: 1.0, learning_rate: 0.1, examples_per_second: 900.0, distinct_rows: 40.0 };
        let events = [start(), step, validation(100, 90.0)];
        let record = read("task = 'lm'\nseed = 4\n", &events);
        assert_eq!((record.seed, record.steps, record.seconds), (4, 100, 10.0));
        assert_eq!(record.remark.as_deref(), Some("unfinished: step 100 of 1,200"));
        assert_eq!((record.speeds, record.rows, record.steps_per_epoch), (vec![900.0], vec![40.0], Some(100.0)));
        assert_eq!(record.validations[0].figure(), Some(90.0));
        let interrupted = read("task = 'lm'", &[start(), Event::Interrupted(at(7))]);
        assert_eq!(interrupted.remark.as_deref(), Some("interrupted: step 7 of 1,200"));
        assert_eq!(read("task = 'xmc'", &[]).remark.as_deref(), Some("unfinished: not begun"));
    }

    #[test]
    fn a_damaged_journal_is_told_up_to_the_damage() {
        let place = folder("task = 'lm'", &[start(), validation(100, 90.0)]);
        let path = place.path().join("journal.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}oops\n{text}")).unwrap();
        let record = Record::read(place.path(), "a".into()).unwrap();
        assert_eq!(record.validations.len(), 1);
        assert!(record.remark.unwrap().ends_with("line 3: this is no event of a journal"));
    }

    #[test]
    fn settings_of_samplers_are_no_settings_of_a_full_softmax() {
        let keys = |kind: &str| -> Vec<String> {
            let plan = format!("task = 'lm'\n[loss]\nkind = '{kind}'\ndraws = 5\ntau = 2\n[loss.sampler]\nnu = 4\n");
            read(&plan, &[]).settings.into_keys().collect()
        };
        assert_eq!(keys("full"), ["loss.kind", "loss.tau", "task"]);
        assert_eq!(keys("sampled"), ["loss.draws", "loss.kind", "loss.sampler.nu", "loss.tau", "task"]);
    }

    #[test]
    fn epochs_of_an_older_journal_are_found_where_one_ended() {
        let start = Event::Start(Departure::at(at(0)));
        let of = |events: &[Event]| steps_per_epoch(&[std::slice::from_ref(&start), events].concat(), None);
        assert_eq!(of(&[validation(100, 1.0), validation(150, 1.0), validation(200, 1.0)]), Some(100.0));
        assert_eq!(of(&[validation(50, 1.0)]), None);
    }

    #[test]
    fn a_plan_that_is_no_plan_is_refused_with_its_line() {
        let place = folder("task = 'lm'\noops\n", &[]);
        let error = Record::read(place.path(), "a".into()).unwrap_err().to_string();
        assert!(error.contains("plan.toml, line 2: "), "{error}");
    }
}
