//! Event files for TensorBoard.

mod message;
mod record;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Event, Journal, RunFolder, Score};

/// A run's journal as TensorBoard reads it.
///
/// The file is a function of the journal: it begins with the plan as a text and all events that the journal has, and each
/// further event goes into both. So a run that is resumed has every step once, whatever happened after its checkpoint, and
/// one that was begun without such a file has its whole history in it.
///
/// Tags are `train/loss`, `train/learning_rate`, `train/examples_per_second`, `train/distinct_rows`, and `valid/` or `test/`
/// and the name of a figure. Times are the seconds of training that the journal has, counted so that the present is now.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    /// When the run began, in seconds since 1970, if it had never been interrupted.
    began: f64,
}

impl EventFile {
    /// Begins the file of a run, from its journal as it stands; older ones in the folder are removed.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::BadEvent`] for a journal with a damaged line.
    pub fn begin(folder: &RunFolder) -> Result<Self, Error> {
        let events = Journal::read(&folder.journal())?;
        let place = folder.tensorboard();
        fs::create_dir_all(&place).map_err(Error::at(&place))?;
        remove_files(&place)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        // Readers look for `tfevents` in names, and take later names for later files.
        let path = place.join(format!("events.out.tfevents.{:010}.rfs", now as u64));
        let file = File::create(&path).map_err(Error::at(&path))?;
        let seconds = events.last().map_or(0.0, |event| event.when().seconds);
        let mut board = Self { path, file, began: now - seconds };
        board.write(&message::version(board.began))?;
        board.write(&message::start(board.began))?;
        if let Ok(plan) = fs::read_to_string(folder.plan()) {
            board.write(&message::text(board.began, "plan/text_summary", &code(&plan)))?;
        }
        events.iter().try_for_each(|event| board.append(event))?;
        Ok(board)
    }

    /// Adds the numbers of `event`, if it has any.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written, for example because the disk is full.
    pub fn append(&mut self, event: &Event) -> Result<(), Error> {
        let (at, values) = (event.when(), scalars(event));
        if values.is_empty() {
            Ok(())
        } else {
            self.write(&message::scalars(self.began + at.seconds, at.step, &values))
        }
    }

    fn write(&mut self, message: &[u8]) -> Result<(), Error> {
        // One write for the whole record: a reader who looks on sees it whole or not at all.
        self.file.write_all(&record::record(message)).map_err(Error::at(&self.path))
    }
}

fn scalars(event: &Event) -> Vec<(String, f64)> {
    let tagged = |(tag, value): (&str, f64)| (tag.to_owned(), value);
    match event {
        Event::Step { loss, learning_rate, examples_per_second, distinct_rows, .. } => [
            ("train/loss", *loss),
            ("train/learning_rate", *learning_rate),
            ("train/examples_per_second", *examples_per_second),
            ("train/distinct_rows", *distinct_rows),
        ]
        .map(tagged)
        .to_vec(),
        Event::Evaluation { split, metric, score: Score::Value(value), .. } => {
            vec![(format!("{split}/{metric}"), *value)]
        }
        Event::Evaluation { split, score: Score::Values(values), .. } => {
            values.iter().map(|(name, value)| (format!("{split}/{name}"), *value)).collect()
        }
        _ => Vec::new(),
    }
}

/// Lines as Markdown leaves them alone.
fn code(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn remove_files(place: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(place).map_err(Error::at(place))? {
        let path = entry.map_err(Error::at(place))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("events.out.tfevents.") && name.ends_with(".rfs") {
            fs::remove_file(&path).map_err(Error::at(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
