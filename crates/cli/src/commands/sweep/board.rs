//! How far a sweep is.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rf_training::{Score, Summary};

use super::outcome::Outcome;
use super::results::digits;
use crate::sweep::Run;

/// Time from one drawing of the bar to the next.
const DRAW_EVERY: Duration = Duration::from_millis(500);

/// Parts of a run that the bar knows.
const PARTS: f64 = 1000.0;

/// Tells on the error stream how far a sweep is: a line for each run that ended, and a bar where there is a terminal.
///
/// ```text
/// 7 of 21 runs ended, 2 running, 0:12:31 left
/// ```
pub struct Board {
    bar: Option<ProgressBar>,
    runs: usize,
    /// Runs that ended, those before this sweep with them.
    ended: usize,
    /// Work that was not done here: whole runs before this sweep, and parts of runs that went on.
    before: f64,
    /// Of the runs at work.
    running: Running,
    began: Instant,
    drawn: Option<Instant>,
}

/// Work of the runs at work, in runs.
#[derive(Clone, Copy, Default)]
struct Running {
    count: usize,
    done: f64,
    /// The part of `done` that was not done here.
    before: f64,
}

impl Board {
    /// Of so many runs, of which some had `ended` before.
    pub fn start(runs: usize, ended: usize) -> Self {
        let style = ProgressStyle::with_template("{wide_bar:.dim} {percent}%\n{msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = stderr().is_terminal().then(|| ProgressBar::new((runs as f64 * PARTS) as u64).with_style(style));
        let (running, began) = (Running::default(), Instant::now());
        Self { bar, runs, ended, before: ended as f64, running, began, drawn: None }
    }

    /// Tells the outcome of a run, a part of which was done `before` its process began.
    pub fn ended(&mut self, run: &Run, outcome: &Outcome, before: f64) {
        self.ended += 1;
        self.before += before;
        let told = match outcome {
            Outcome::Done(summary) => scores(summary),
            Outcome::Failed(reason) => format!("failed: {reason}"),
            Outcome::Interrupted | Outcome::Pending => outcome.name().to_owned(),
        };
        let left = if self.bar.is_none() { self.left() } else { String::new() };
        self.say(&format!("{} of {}  {}: {told}{left}", self.ended, self.runs, run.name));
    }

    /// Draws the bar, now and then; `progress` tells of each run at work its share that is done, and the part of this that
    /// was done before.
    pub fn show(&mut self, progress: impl Iterator<Item = Option<(f64, f64)>>) {
        let Some(bar) = &self.bar else { return };
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < DRAW_EVERY) {
            return;
        }
        self.running = progress.fold(Running::default(), |sum, progress| {
            let (done, before) = progress.unwrap_or_default();
            Running { count: sum.count + 1, done: sum.done + done, before: sum.before + before }
        });
        bar.set_position(((self.ended as f64 + self.running.done) * PARTS) as u64);
        bar.set_message(self.line());
        self.drawn = Some(Instant::now());
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

    fn line(&self) -> String {
        let (ended, runs, running) = (self.ended, self.runs, self.running.count);
        format!("{ended} of {runs} runs ended, {running} running{}", self.left())
    }

    fn left(&self) -> String {
        let done = self.ended as f64 + self.running.done;
        let here = done - self.before - self.running.before;
        left(self.began.elapsed(), here, self.runs as f64 - done)
    }
}

/// Time for the work `to_come` at the pace of the work `here`, both in runs.
fn left(elapsed: Duration, here: f64, to_come: f64) -> String {
    if here <= 0.0 {
        return String::new();
    }
    let seconds = (elapsed.as_secs_f64() / here * to_come.max(0.0)) as u64;
    format!(", {}:{:02}:{:02} left", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The figures of a run in a line.
fn scores(summary: &Summary) -> String {
    let metric = &summary.metric;
    let text = |score: &Option<Score>| {
        let figure = score.as_ref().and_then(|score| score.figure(metric));
        figure.map_or("none".to_owned(), |value| format!("{value:.*}", digits(value)))
    };
    let (valid, test) = (text(&summary.valid), text(&summary.test));
    format!("valid {metric} {valid}, test {metric} {test} after {:.0} s", summary.train_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_told_at_the_pace_so_far() {
        assert_eq!(left(Duration::from_secs(100), 2.0, 3.5), ", 0:02:55 left");
        assert_eq!(left(Duration::from_secs(100), 0.0, 3.5), "");
        assert_eq!(left(Duration::from_secs(7200), 0.5, 1.0), ", 4:00:00 left");
    }

    #[test]
    fn parts_of_runs_count_but_not_those_done_before() {
        let mut board = Board::start(4, 1);
        board.began = Instant::now() - Duration::from_secs(60);
        // One run at a half, of which a quarter was there: a quarter took a minute, two and a half are to come.
        board.running = Running { count: 2, done: 0.5, before: 0.25 };
        assert_eq!(board.line(), "1 of 4 runs ended, 2 running, 0:10:00 left");
    }
}
