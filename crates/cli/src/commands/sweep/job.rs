//! One run, trained by a process of its own: what breaks there breaks nothing else.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, bail};
use clap::ValueEnum;
use rf_training::Progress;

use crate::args::DeviceChoice;
use crate::resume::line;
use crate::sweep::Run;

/// Bytes at the end of a log that the latest lines are in.
const TAIL: u64 = 8 << 10;

/// A run in training.
pub struct Job {
    child: Child,
    log: PathBuf,
    /// Length of the log before this process wrote to it.
    from: u64,
    /// Share of the run that was done before.
    first: Option<f64>,
}

impl Job {
    /// Starts the training of `run`, or goes on with it. What it prints goes to `output.log` in its folder.
    pub fn start(run: &Run, threads: usize, device: DeviceChoice) -> anyhow::Result<Self> {
        let path = run.folder.join("output.log");
        let mut log = open_log(&path)?;
        let begins = !run.folder.join("journal.jsonl").exists();
        let program = std::env::current_exe().context("cannot find this program")?;
        let arguments = arguments(run, threads, device);
        let words = ["rfs".to_owned()].into_iter().chain(arguments.iter().cloned());
        writeln!(log, "$ {}", line(words)).with_context(|| path.display().to_string())?;
        let from = log.metadata().with_context(|| path.display().to_string())?.len();
        let mut command = Command::new(program);
        command.args(&arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // In a group of its own, so that a Ctrl-C reaches it once: from the sweep, and not from the terminal as well.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().context("cannot start the run")?;
        Ok(Self { child, log: path, from, first: begins.then_some(0.0) })
    }

    /// How it ended, if it did.
    pub fn poll(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it to store its state and end.
    pub fn interrupt(&mut self) {
        // A run that is over already needs no asking.
        #[cfg(unix)]
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::INT);
        }
        #[cfg(not(unix))]
        self.kill();
    }

    /// Ends it where it is; its last checkpoint stands.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Shares of the run that are done, now and when this process began, as far as the log tells.
    pub fn progress(&mut self) -> Option<(f64, f64)> {
        let text = self.tail();
        let (step, steps) = text.lines().rev().find_map(Progress::steps_of)?;
        let now = step as f64 / steps.max(1) as f64;
        Some((now, *self.first.get_or_insert(now)))
    }

    /// Why it failed, as it said itself, or else how it ended.
    pub fn reason(&self, status: ExitStatus) -> String {
        let text = self.tail();
        let error = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
        let error = error.map_or_else(|| format!("it ended with {status}"), str::to_owned);
        format!("{error} ({})", self.log.display())
    }

    /// The end of what this process wrote.
    fn tail(&self) -> String {
        tail(&self.log, self.from).unwrap_or_default()
    }
}

fn tail(path: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL))))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The log at `path`, to write at its end, locked by whoever has it open: a process that outlives its sweep holds on to it,
/// so that no second one trains in the same folder.
fn open_log(path: &Path) -> anyhow::Result<File> {
    let place = || path.display().to_string();
    path.parent().map_or(Ok(()), std::fs::create_dir_all).with_context(place)?;
    let log = OpenOptions::new().append(true).create(true).open(path).with_context(place)?;
    match if cfg!(unix) { log.try_lock() } else { Ok(()) } {
        Err(TryLockError::WouldBlock) => bail!("another process is training this run ({})", path.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(place),
        Ok(()) => Ok(log),
    }
}

/// What `rfs` is told.
fn arguments(run: &Run, threads: usize, device: DeviceChoice) -> Vec<String> {
    let device = device.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
    let [base, folder] = [&run.base, &run.folder].map(|path| path.display().to_string());
    let mut arguments = vec!["train".to_owned(), base];
    arguments.extend(run.changes.iter().flat_map(|change| ["--set".to_owned(), change.typed()]));
    let threads = threads.to_string();
    arguments.extend(["--run", &folder, "--threads", &threads, "--device", &device, "--resume"].map(str::to_owned));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_someone_writes_to_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run/output.log");
        let log = open_log(&path).unwrap();
        let handed_on = log.try_clone().unwrap();
        drop(log);
        let error = open_log(&path).unwrap_err().to_string();
        assert!(error.starts_with("another process is training this run ("), "{error}");
        drop(handed_on);
        assert!(open_log(&path).is_ok());
    }

    #[test]
    fn the_tail_is_what_came_last_and_of_this_process() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        std::fs::write(&path, "old\nnew\n").unwrap();
        assert_eq!(tail(&path, 4).unwrap(), "new\n");
        std::fs::write(&path, "x".repeat(20_000) + "end").unwrap();
        let text = tail(&path, 4).unwrap();
        assert!(text.len() == TAIL as usize && text.ends_with("xend"), "{}", text.len());
    }
}
