//! How far a diagnosis is.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// Tells on the error stream which sampler is measured: a bar on a terminal, lines elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins with none of so many samplers done.
    pub fn start(samplers: usize) -> Self {
        let style = ProgressStyle::with_template("{wide_bar:.dim} {pos}/{len}\n{msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = stderr().is_terminal().then(|| ProgressBar::new(samplers as u64).with_style(style));
        Self { bar }
    }

    /// Begins a sampler.
    pub fn begin(&self, name: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("{name} …")),
            None => eprintln!("{name} …"),
        }
    }

    /// Ends a sampler with a line about it.
    pub fn end(&self, outcome: impl Display) {
        match &self.bar {
            Some(bar) => {
                bar.println(outcome.to_string());
                bar.inc(1);
            }
            None => eprintln!("    {outcome}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
