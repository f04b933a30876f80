//! How far a long job on bytes is.

use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::commands::told::size;

/// Seconds from one line to the next where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Tells on the error stream how many bytes are done: a bar on a terminal, a line now and then elsewhere.
///
/// ```text
/// lm1b.tar.gz  412.0 MB of 1.8 GB, 45.1 MB/s, 0:00:31 left
/// ```
pub struct Meter {
    what: String,
    total: Option<u64>,
    /// Bytes that were done before.
    from: u64,
    began: Instant,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

/// What changes.
struct State {
    done: u64,
    line: Instant,
}

impl Meter {
    /// Begins at `from` of `total` bytes, where that is known.
    pub fn start(what: impl Into<String>, from: u64, total: Option<u64>) -> Self {
        let bar = stderr().is_terminal().then(|| bar(total, from));
        let now = Instant::now();
        Self { what: what.into(), total, from, began: now, bar, state: Mutex::new(State { done: from, line: now }) }
    }

    /// Begins at none of the bytes of `files`.
    pub fn of_files(what: &str, files: &[PathBuf]) -> Self {
        let total = files.iter().map(|path| bytes_of(path)).sum();
        let plural = if files.len() == 1 { "" } else { "s" };
        let meter = Self::start(what, 0, Some(total));
        meter.say(&format!("{what}: {} file{plural}, {}", files.len(), size(total)));
        meter
    }

    /// Counts a file that is done.
    pub fn add_file(&self, path: &Path) {
        self.add(bytes_of(path));
    }

    /// Counts bytes that are done.
    pub fn add(&self, bytes: u64) {
        // A panic of another thread while it counted leaves a number, and numbers do not break.
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.done += bytes;
        let line = || format!("{}  {}", self.what, progress(self.from, state.done, self.total, self.began.elapsed()));
        match &self.bar {
            Some(bar) => {
                bar.set_position(state.done);
                bar.set_message(line());
            }
            None if state.line.elapsed() >= LINE_EVERY => {
                eprintln!("{}", line());
                state.line = Instant::now();
            }
            None => {}
        }
    }

    /// Tells something else on a line of its own.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Ends the bar and takes it off the screen.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Size of a file; 0 for one that is not there, which others complain about.
fn bytes_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

fn bar(total: Option<u64>, from: u64) -> ProgressBar {
    let template = if total.is_some() { "{wide_bar:.dim} {percent}%\n{msg}" } else { "{spinner} {msg}" };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(style).with_position(from)
}

/// Bytes done, their rate, and the time left at that rate.
fn progress(from: u64, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let rate = (done - from) as f64 / elapsed.as_secs_f64().max(1e-9);
    let (done_text, rate_text) = (size(done), size(rate as u64));
    let Some(total) = total else { return format!("{done_text}, {rate_text}/s") };
    // A rate of next to nothing must not make a time that no clock can show.
    let seconds = (total.saturating_sub(done) as f64 / rate.max(1.0)) as u64;
    let left = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{done_text} of {}, {rate_text}/s, {left} left", size(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_bytes_rate_and_time_left() {
        let text = progress(200_000_000, 600_000_000, Some(1_800_000_000), Duration::from_secs(10));
        assert_eq!(text, "600.0 MB of 1.8 GB, 40.0 MB/s, 0:00:30 left");
        assert_eq!(progress(0, 50_000, None, Duration::from_secs(1)), "50.0 kB, 50.0 kB/s");
        assert_eq!(progress(0, 0, Some(7_200), Duration::from_secs(1)), "0 B of 7.2 kB, 0 B/s, 2:00:00 left");
    }
}
