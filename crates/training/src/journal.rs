use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Score};

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// Steps done since the run began.
    pub step: u64,
    /// Epoch, counted from 1; 0 before the first step.
    pub epoch: usize,
    /// Seconds spent in the run, interruptions left out.
    pub seconds: f64,
}

/// A run sets out, for the first time or once more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Departure {
    /// When.
    #[serde(flatten)]
    pub at: When,
    /// Steps of the whole run; `None` in journals that do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Steps of an epoch; `None` in journals that do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_per_epoch: Option<u64>,
}

impl Departure {
    /// Of a run that does not tell its length.
    pub fn at(at: When) -> Self {
        Self { at, steps: None, steps_per_epoch: None }
    }
}

/// Something that happened in a run: one line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    Start(Departure),
    /// A logging interval of steps ended.
    Step {
        /// When.
        #[serde(flatten)]
        at: When,
        /// Mean loss of the interval's examples, in nats; of a sampled loss it is no likelihood.
        loss: f64,
        /// Learning rate of the last step.
        learning_rate: f64,
        /// Examples a second over the interval.
        examples_per_second: f64,
        /// Mean number of distinct class rows that a step touched; 0 in journals that do not tell.
        #[serde(default)]
        distinct_rows: f64,
    },
    /// The model was evaluated over all classes.
    Evaluation {
        /// When.
        #[serde(flatten)]
        at: When,
        /// Which part of the data: `valid` or `test`.
        split: String,
        /// What was measured, for example `perplexity`.
        metric: String,
        /// The figures.
        score: Score,
    },
    /// A checkpoint was stored.
    Checkpoint(When),
    /// The run was taken up again from its checkpoint.
    Resume(Departure),
    /// Training ended before its length, because validation no longer improved.
    EarlyStop(When),
    /// The run was asked to end, and its state was stored.
    Interrupted(When),
    /// The run ended as planned.
    End(When),
}

impl Event {
    /// When it happened.
    pub fn when(&self) -> When {
        match self {
            Self::Start(departure) | Self::Resume(departure) => departure.at,
            Self::Checkpoint(at) | Self::EarlyStop(at) | Self::Interrupted(at) | Self::End(at) => *at,
            Self::Step { at, .. } | Self::Evaluation { at, .. } => *at,
        }
    }
}

/// The history of a run: a file of one JSON event a line, each handed to the system at once.
///
/// # Example
/// ```
/// use rf_training::{Departure, Event, Journal, When};
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("journal.jsonl");
/// let mut journal = Journal::create(&path)?;
/// journal.append(&Event::Start(Departure::at(When { step: 0, epoch: 0, seconds: 0.0 })))?;
/// assert_eq!(Journal::read(&path)?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins a history at `path`; one that is there is replaced.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::at(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Goes on with the history at `path` as it stood when the checkpoint of `step` was stored.
    ///
    /// What happened after that checkpoint is taken off the file, because it will happen again, and so is a last
    /// line cut short. Where the checkpoint's own event is missing, events up to `step` stay. Without a file a
    /// history begins.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::BadEvent`] for a damaged line that is not the last.
    pub fn resume(path: &Path, step: u64) -> Result<Self, Error> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::at(path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::at(path))?;
        let kept = kept_length(&parse(&bytes, path)?, step);
        file.set_len(kept).and_then(|()| file.seek(SeekFrom::Start(kept))).map_err(Error::at(path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// All events at `path`, oldest first; a last line cut short is left out.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::BadEvent`] for a damaged line that is not the last.
    pub fn read(path: &Path) -> Result<Vec<Event>, Error> {
        let bytes = fs::read(path).map_err(Error::at(path))?;
        Ok(parse(&bytes, path)?.into_iter().map(|(event, _)| event).collect())
    }

    /// The events at `path` up to its end or to a damaged line, and that damage.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read_whole_lines(path: &Path) -> Result<(Vec<Event>, Option<Error>), Error> {
        let bytes = fs::read(path).map_err(Error::at(path))?;
        let (events, damage) = parse_to_damage(&bytes, path);
        Ok((events.into_iter().map(|(event, _)| event).collect(), damage))
    }

    /// Adds `event` as a line.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written, for example because the disk is full.
    pub fn append(&mut self, event: &Event) -> Result<(), Error> {
        let mut line =
            serde_json::to_vec(event).map_err(|source| Error::BadJson { path: self.path.clone(), source })?;
        line.push(b'\n');
        // One write for the whole line: a reader who looks on sees it whole or not at all.
        self.file.write_all(&line).map_err(Error::at(&self.path))
    }
}

/// The events of a journal, each with the file offset behind its line.
fn parse(bytes: &[u8], path: &Path) -> Result<Vec<(Event, u64)>, Error> {
    let (events, damage) = parse_to_damage(bytes, path);
    damage.map_or(Ok(events), Err)
}

/// The same up to a damaged line, and that damage.
fn parse_to_damage(bytes: &[u8], path: &Path) -> (Vec<(Event, u64)>, Option<Error>) {
    let mut events = Vec::new();
    let mut end = 0;
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        end += line.len();
        if !line.ends_with(b"\n") {
            break;
        }
        match serde_json::from_slice(line) {
            Ok(event) => events.push((event, end as u64)),
            // After a power failure the last line may be whole in length and empty in content.
            Err(_) if end == bytes.len() => break,
            Err(source) => return (events, Some(Error::BadEvent { path: path.to_owned(), line: index + 1, source })),
        }
    }
    (events, None)
}

/// Length of the part of a journal that a checkpoint of `step` answers for.
fn kept_length(events: &[(Event, u64)], step: u64) -> u64 {
    let is_checkpoint = |event: &Event| matches!(event, Event::Checkpoint(at) if at.step == step);
    let last = events
        .iter()
        .rposition(|(event, _)| is_checkpoint(event))
        .or_else(|| events.iter().rposition(|(event, _)| event.when().step <= step));
    last.map_or(0, |index| events[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u64) -> When {
        When { step, epoch: 1, seconds: step as f64 / 3.0 }
    }

    fn start() -> Event {
        Event::Start(Departure { at: at(0), steps: Some(9), steps_per_epoch: Some(5) })
    }

    fn step(step: u64) -> Event {
        Event::Step {
            at: at(step),
            loss: 5.912,
            learning_rate: 0.1,
            examples_per_second: 4850.0,
            distinct_rows: 2143.5,
        }
    }

    fn evaluation(step: u64) -> Event {
        let score = Score::Value(93.25);
        Event::Evaluation { at: at(step), split: "valid".into(), metric: "perplexity".into(), score }
    }

    fn written(path: &Path, events: &[Event]) {
        let mut journal = Journal::create(path).unwrap();
        events.iter().for_each(|event| journal.append(event).unwrap());
    }

    #[test]
    fn every_event_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let events = [
            start(),
            step(7),
            evaluation(7),
            Event::Checkpoint(at(7)),
            Event::Resume(Departure::at(at(7))),
            Event::Interrupted(at(8)),
            Event::EarlyStop(at(9)),
            Event::End(at(9)),
        ];
        written(&path, &events);
        assert_eq!(Journal::read(&path).unwrap(), events);
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(r#"{"event":"start","step":0,"epoch":1,"seconds":0.0,"steps":9,"steps_per_epoch":5}"#),
            "{text}"
        );
    }

    #[test]
    fn a_journal_that_does_not_tell_its_length_is_read() {
        let event = serde_json::from_str::<Event>(r#"{"event":"start","step":0,"epoch":1,"seconds":0.0}"#).unwrap();
        assert_eq!(event, Event::Start(Departure::at(at(0))));
    }

    #[test]
    fn resuming_takes_off_what_happened_after_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let before = [start(), step(10), evaluation(10), Event::Checkpoint(at(10))];
        let after = [evaluation(10), step(20), Event::End(at(20))];
        written(&path, &[&before[..], &after[..]].concat());
        Journal::resume(&path, 10).unwrap().append(&Event::Resume(Departure::at(at(10)))).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), [&before[..], &[Event::Resume(Departure::at(at(10)))]].concat());
    }

    #[test]
    fn a_checkpoint_whose_event_was_lost_keeps_the_events_up_to_its_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        written(&path, &[start(), step(5), Event::Checkpoint(at(5)), step(10), step(15)]);
        Journal::resume(&path, 10).unwrap();
        assert_eq!(Journal::read(&path).unwrap().last(), Some(&step(10)));
    }

    #[test]
    fn a_last_line_cut_short_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        for tail in [r#"{"event":"st"#, "\0\0\0\n"] {
            written(&path, &[start(), Event::Checkpoint(at(4))]);
            let whole = fs::read_to_string(&path).unwrap();
            fs::write(&path, format!("{whole}{tail}")).unwrap();
            assert_eq!(Journal::read(&path).unwrap().len(), 2);
            Journal::resume(&path, 4).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_refused_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        written(&path, &[start()]);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}oops\n{text}")).unwrap();
        assert!(matches!(Journal::read(&path), Err(Error::BadEvent { line: 2, .. })));
        let (events, damage) = Journal::read_whole_lines(&path).unwrap();
        assert!(events == [start()] && matches!(damage, Some(Error::BadEvent { line: 2, .. })), "{events:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_named_with_the_file() {
        let mut journal = Journal::create(Path::new("/dev/full")).unwrap();
        let Err(Error::Io { path, source }) = journal.append(&step(7)) else { panic!("nothing went wrong") };
        assert_eq!((path.to_str(), source.kind()), (Some("/dev/full"), std::io::ErrorKind::StorageFull));
    }

    #[test]
    fn resuming_without_a_file_begins_a_history() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        Journal::resume(&path, 0).unwrap().append(&start()).unwrap();
        assert_eq!(Journal::read(&path).unwrap(), [start()]);
    }
}
