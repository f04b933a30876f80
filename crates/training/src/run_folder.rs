use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// The folder that keeps everything about one run.
///
/// ```text
/// plan.toml                      what is done, every value resolved; there before the first step
/// vocabulary.txt                 one word a line, where the task has a vocabulary
/// journal.jsonl                  what happened, one event a line
/// checkpoint/model.safetensors   the latest state
/// best/model.safetensors         the state with the best of the regular validations, where it is kept
/// summary.json                   the outcome, written last
/// tensorboard/                   the journal for TensorBoard; a run writes it where this folder is
/// diagnose.json                  what samplers are worth on its model, where `rfs diagnose` measured it
/// ```
///
/// A folder *holds a run* from the first line of its journal on; a plan alone can still be replaced.
///
/// # Example
/// ```
/// use rf_training::{Error, RunFolder};
/// # let place = tempfile::tempdir()?;
/// # let path = place.path().join("runs/ptb");
/// let folder = RunFolder::create(&path, false)?;
/// std::fs::write(folder.journal(), "")?;
/// assert!(matches!(RunFolder::create(&path, false), Err(Error::HoldsARun { .. })));
/// assert!(RunFolder::create(&path, true).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder at `path`, made if it is not there, together with its parents.
    ///
    /// # Errors
    /// [`Error::HoldsARun`] when it holds a run and `resume` is false; [`Error::Io`].
    pub fn create(path: &Path, resume: bool) -> Result<Self, Error> {
        let folder = Self { path: path.to_owned() };
        if !resume && folder.holds_a_run() {
            return Err(Error::HoldsARun { path: folder.path });
        }
        let checkpoints = folder.path.join("checkpoint");
        fs::create_dir_all(&checkpoints).map_err(Error::at(&checkpoints))?;
        Ok(folder)
    }

    /// The folder of a run at `path`.
    ///
    /// # Errors
    /// [`Error::NotARun`] when there is no `plan.toml` in it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let folder = Self { path: path.to_owned() };
        if folder.plan().is_file() { Ok(folder) } else { Err(Error::NotARun { path: folder.path }) }
    }

    /// Whether training has begun here.
    pub fn holds_a_run(&self) -> bool {
        [self.journal(), self.checkpoint(), self.summary()].iter().any(|path| path.exists())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `plan.toml`.
    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.toml")
    }

    /// `journal.jsonl`.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// `checkpoint/model.safetensors`.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint").join("model.safetensors")
    }

    /// `best/model.safetensors`.
    pub fn best(&self) -> PathBuf {
        self.path.join("best").join("model.safetensors")
    }

    /// Keeps the latest checkpoint as the best one too, in place of the best so far.
    ///
    /// It is a second name for the same file where the file system has such, else a copy.
    ///
    /// # Errors
    /// [`Error::Io`]; the best one so far then stands.
    pub fn keep_best(&self) -> Result<(), Error> {
        fs::create_dir_all(self.path.join("best")).map_err(Error::at(&self.best()))?;
        link(&self.checkpoint(), &self.best())
    }

    /// Makes the best checkpoint the latest one too, for a run that is to go on from it.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] when no best one is kept; [`Error::Io`], the latest so far then stands.
    pub fn back_to_best(&self) -> Result<(), Error> {
        let path = self.best();
        if path.exists() { link(&path, &self.checkpoint()) } else { Err(Error::NoCheckpoint { path }) }
    }

    /// `summary.json`.
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// `tensorboard`, the folder of event files.
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// `diagnose.json`.
    pub fn diagnosis(&self) -> PathBuf {
        self.path.join("diagnose.json")
    }

    /// `vocabulary.txt`.
    pub fn vocabulary(&self) -> PathBuf {
        self.path.join("vocabulary.txt")
    }

    /// Takes away `summary.json`, since a run that goes on has no outcome yet.
    ///
    /// # Errors
    /// [`Error::Io`] when it is there and cannot be removed.
    pub fn remove_summary(&self) -> Result<(), Error> {
        remove_if_there(&self.summary())
    }
}

/// Writes a file aside and then puts it in its place: whatever happens, `path` holds the old content or the new.
///
/// The new content is on the disk before it gets its name, and the name is too when this returns.
///
/// # Errors
/// [`Error::Io`], also for what `write` returns; the old file then stands untouched.
pub fn replace_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Error> {
    let aside = aside(path);
    let written = write_and_sync(&aside, write);
    put_in_place(&aside, path, written)
}

/// Gives the file at `from` the name `to` as well, in place of what has that name.
fn link(from: &Path, to: &Path) -> Result<(), Error> {
    let aside = aside(to);
    remove_if_there(&aside)?;
    let linked = fs::hard_link(from, &aside).or_else(|_| copy(from, &aside));
    put_in_place(&aside, to, linked)?;
    // Between two names of one file a move does nothing, and leaves both.
    remove_if_there(&aside)
}

/// Where a file is written before it gets its name.
fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".tmp");
    PathBuf::from(aside)
}

/// Gives the file `aside`, if it was `written`, the name `path`; else leaves nothing of it.
fn put_in_place(aside: &Path, path: &Path, written: std::io::Result<()>) -> Result<(), Error> {
    let outcome = written.and_then(|()| fs::rename(aside, path));
    if outcome.is_err() {
        // The first error says what is wrong; that this file may stay behind adds nothing.
        let _ = fs::remove_file(aside);
    }
    outcome.and_then(|()| sync_folder_of(path)).map_err(Error::at(path))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::Io { path: path.to_owned(), source }),
        _ => Ok(()),
    }
}

/// Text of the file at `path`.
pub(crate) fn read_file(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::at(path))
}

fn write_and_sync(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut buffer = BufWriter::with_capacity(1 << 20, File::create(path)?);
    write(&mut buffer)?;
    buffer.into_inner().map_err(|error| error.into_error())?.sync_all()
}

/// Puts the names in the folder of `path` on the disk; elsewhere than on Unix a folder cannot be opened for that.
fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(parent)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_made_and_a_plan_alone_is_no_run() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b/run");
        let folder = RunFolder::create(&path, false).unwrap();
        fs::write(folder.plan(), "").unwrap();
        assert!(!folder.holds_a_run());
        assert_eq!(RunFolder::create(&path, false).unwrap(), folder);
        assert_eq!(RunFolder::open(&path).unwrap(), folder);
    }

    #[test]
    fn a_folder_that_holds_a_run_is_refused_unless_resuming() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        for path in [folder.journal(), folder.checkpoint(), folder.summary()] {
            fs::write(&path, "").unwrap();
            assert!(matches!(RunFolder::create(place.path(), false), Err(Error::HoldsARun { .. })));
            assert!(RunFolder::create(place.path(), true).is_ok());
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_folder_without_a_plan_is_no_run() {
        let place = tempfile::tempdir().unwrap();
        let error = RunFolder::open(place.path()).unwrap_err();
        assert!(error.to_string().ends_with("is not a run folder: it has no plan.toml"));
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        replace_file(&path, |file| file.write_all(b"old")).unwrap();
        let full = |file: &mut dyn Write| file.write_all(b"ne").and(Err(ErrorKind::StorageFull.into()));
        assert!(matches!(replace_file(&path, full), Err(Error::Io { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_an_interrupted_write_left_behind_does_no_harm() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(place.path().join("file.tmp"), "half of something long").unwrap();
        replace_file(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_best_checkpoint_stays_when_the_latest_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        let save = |text: &str| replace_file(&folder.checkpoint(), |file| file.write_all(text.as_bytes())).unwrap();
        let best = || fs::read_to_string(folder.best()).unwrap();
        save("one");
        folder.keep_best().unwrap();
        // Once more, now that both names are of one file.
        folder.keep_best().unwrap();
        save("two");
        assert_eq!(best(), "one");
        folder.keep_best().unwrap();
        assert_eq!(best(), "two");
        assert_eq!(fs::read_dir(place.path().join("best")).unwrap().count(), 1);
        fs::remove_file(folder.checkpoint()).unwrap();
        assert!(folder.keep_best().is_err() && best() == "two");
        folder.back_to_best().unwrap();
        assert_eq!(fs::read_to_string(folder.checkpoint()).unwrap(), "two");
        fs::remove_file(folder.best()).unwrap();
        assert!(matches!(folder.back_to_best(), Err(Error::NoCheckpoint { .. })));
    }

    #[test]
    fn a_summary_is_removed_once() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        fs::write(folder.summary(), "{}").unwrap();
        folder.remove_summary().unwrap();
        folder.remove_summary().unwrap();
        assert!(!folder.summary().exists());
    }
}
