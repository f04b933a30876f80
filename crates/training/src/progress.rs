use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// What the lines of progress speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressConfig {
    /// Name of the loss: `sampled loss`, or `loss` when it is exact.
    pub loss: &'static str,
    /// Plural of what a step is made of: `tokens` or `examples`.
    pub unit: &'static str,
    /// Epochs of the run, where it is measured in epochs.
    pub epochs: Option<usize>,
    /// Steps of the run.
    pub steps: u64,
}

/// Tells on the error stream how far training is: a bar on a terminal, plain lines elsewhere.
///
/// ```text
/// epoch 1/3  step 200/1328  sampled loss 5.912  2,143 rows/step  4,850 tokens/s  0:03:12 left
/// ```
///
/// # Example
/// ```
/// use rf_training::{Progress, ProgressConfig};
/// let config = ProgressConfig { loss: "sampled loss", unit: "tokens", epochs: Some(3), steps: 1328 };
/// let mut progress = Progress::start(config, 0);
/// progress.advance(700);
/// let tokens_per_second = progress.report(1, 5.912, 2143.5);
/// assert!(tokens_per_second > 0.0);
/// progress.finish();
/// ```
#[derive(Debug)]
pub struct Progress {
    config: ProgressConfig,
    bar: Option<ProgressBar>,
    /// Steps done, those before a resumption with them.
    step: u64,
    /// Steps done before this process began.
    first: u64,
    began: Instant,
    interval: Instant,
    interval_examples: usize,
}

impl Progress {
    /// Begins to count at `step`, which is 0 unless the run is resumed.
    pub fn start(config: ProgressConfig, step: u64) -> Self {
        let bar = stderr().is_terminal().then(|| bar(config.steps, step));
        let now = Instant::now();
        Self { config, bar, step, first: step, began: now, interval: now, interval_examples: 0 }
    }

    /// Counts a step with `examples` examples. It costs nothing worth saving.
    pub fn advance(&mut self, examples: usize) {
        self.step += 1;
        self.interval_examples += examples;
        if let Some(bar) = &self.bar {
            bar.set_position(self.step);
        }
    }

    /// Tells the mean `loss` and the mean number of distinct class `rows` a step since the last report, and returns the
    /// examples a second since then.
    pub fn report(&mut self, epoch: usize, loss: f64, rows: f64) -> f64 {
        let rate = self.interval_examples as f64 / self.interval.elapsed().as_secs_f64().max(1e-9);
        let line = line(&self.config, epoch, self.step, (loss, rows), rate, self.left());
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => eprintln!("{line}"),
        }
        self.begin_interval();
        rate
    }

    /// Tells something else on a line of its own, such as the outcome of an evaluation.
    ///
    /// A new interval begins with it, so that an evaluation does not count as slow training.
    pub fn note(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
        self.begin_interval();
    }

    /// Ends the bar; its last state stays on the screen.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    /// Steps done, and those of the whole run, of a line that a [`report`](Self::report) without a terminal wrote; `None` for
    /// any other line.
    ///
    /// ```
    /// let line = "epoch 1/3  step 200/1328  sampled loss 5.912  2,143 rows/step  4,850 tokens/s  0:03:12 left";
    /// assert_eq!(rf_training::Progress::steps_of(line), Some((200, 1328)));
    /// ```
    pub fn steps_of(line: &str) -> Option<(u64, u64)> {
        let (done, steps) = line.split("  ").find_map(|part| part.strip_prefix("step "))?.split_once('/')?;
        Some((done.parse().ok()?, steps.parse().ok()?))
    }

    fn begin_interval(&mut self) {
        self.interval = Instant::now();
        self.interval_examples = 0;
    }

    /// Time for the steps to come, at the mean pace of this process.
    fn left(&self) -> Duration {
        let done = (self.step - self.first).max(1) as f64;
        let to_come = self.config.steps.saturating_sub(self.step) as f64;
        // No clock of ours runs for longer than the cap, and an unlimited product could overflow the duration.
        Duration::from_secs_f64((self.began.elapsed().as_secs_f64() / done * to_come).min(1e12))
    }
}

fn bar(steps: u64, step: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar:.dim} {percent}%\n{msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style).with_position(step)
}

fn line(
    config: &ProgressConfig,
    epoch: usize,
    step: u64,
    (loss, rows): (f64, f64),
    rate: f64,
    left: Duration,
) -> String {
    let ProgressConfig { loss: label, unit, epochs, steps } = config;
    let of_epochs = epochs.map_or(String::new(), |epochs| format!("/{epochs}"));
    let (rows, rate, left) = (grouped(rows as u64), grouped(rate as u64), clock(left));
    format!(
        "epoch {epoch}{of_epochs}  step {step}/{steps}  {label} {loss:.3}  {rows} rows/step  {rate} {unit}/s  {left} left"
    )
}

/// A number with a comma every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Hours, minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ProgressConfig {
        ProgressConfig { loss: "sampled loss", unit: "tokens", epochs: Some(3), steps: 1328 }
    }

    #[test]
    fn a_line_tells_epoch_step_loss_rate_and_time_left() {
        let text = line(&config(), 1, 200, (5.9124, 2143.5), 4850.7, Duration::from_secs(192));
        assert_eq!(text, "epoch 1/3  step 200/1328  sampled loss 5.912  2,143 rows/step  4,850 tokens/s  0:03:12 left");
    }

    #[test]
    fn a_run_measured_in_steps_names_no_number_of_epochs() {
        let config = ProgressConfig { epochs: None, ..config() };
        let text = line(&config, 2, 7, (1.0, 40.0), 0.4, Duration::ZERO);
        assert_eq!(text, "epoch 2  step 7/1328  sampled loss 1.000  40 rows/step  0 tokens/s  0:00:00 left");
    }

    #[test]
    fn the_steps_of_a_line_are_read_back() {
        for epochs in [Some(3), None] {
            let text = line(&ProgressConfig { epochs, ..config() }, 1, 200, (5.9, 1.0), 2.0, Duration::ZERO);
            assert_eq!(Progress::steps_of(&text), Some((200, 1328)));
        }
        assert_eq!(Progress::steps_of("epoch 1, step 200: valid perplexity 93.1 after 3 s"), None);
    }

    #[test]
    fn digits_are_grouped_by_three() {
        let texts = [0, 12, 999, 1000, 123_456, 1_000_000].map(grouped);
        assert_eq!(texts, ["0", "12", "999", "1,000", "123,456", "1,000,000"]);
    }

    #[test]
    fn long_times_count_hours_on() {
        assert_eq!(clock(Duration::from_secs(100 * 3600 + 61)), "100:01:01");
    }

    #[test]
    fn a_resumed_run_measures_its_pace_by_its_own_steps() {
        let mut progress = Progress::start(ProgressConfig { steps: 1002, ..config() }, 1000);
        progress.began = Instant::now() - Duration::from_secs(100);
        progress.advance(1);
        assert_eq!(progress.left().as_secs(), 100);
        progress.advance(1);
        assert_eq!(progress.left(), Duration::ZERO);
    }
}
