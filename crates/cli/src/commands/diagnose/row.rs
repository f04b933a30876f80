//! One row of the outcome, and how it is measured.

use std::collections::BTreeMap;
use std::fmt;

use rf_sampling::{ErrorParts, GradientError, MeanQuality, Probes, Sampler, Trial, gradient_errors, mean_quality};
use serde::Serialize;
use serde_json::{Map, Value};

use super::entry::{Entry, settings};
use super::subject::Subject;
use super::timing::{Clock, Timing};

/// Numbers of draws at which gradients are compared, with as many repetitions as their cost allows.
pub const TRIALS: [Trial; 3] =
    [Trial { draws: 10, repeats: 30 }, Trial { draws: 100, repeats: 30 }, Trial { draws: 1000, repeats: 10 }];

/// What was measured of a sampler. Times and counts are of one query. A figure that is not finite is `null` in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub sampler: String,
    /// Whether the run trains with it.
    pub own: bool,
    /// Mean of `KL(p‖q)`, in nats.
    pub kl: f64,
    /// Mean of `sum p²/q`.
    pub chi_squared: f64,
    /// Mean of `m / chi_squared`, each query's own.
    pub effective_sample_size: f64,
    /// Mean of `sum q`.
    pub total_probability: f64,
    pub draw_milliseconds: f64,
    pub refresh_milliseconds: f64,
    /// Class rows (under the leaf law `features`, their features) that a query scores; 0 where no row is read.
    pub rows_read: f64,
    /// Bytes that the sampler keeps.
    pub bytes: u64,
    /// By the number of draws, relative to the length of the full gradient.
    pub gradient_bias: BTreeMap<usize, Parts>,
    /// By the number of draws, relative to the squared length of the full gradient.
    pub gradient_variance: BTreeMap<usize, Parts>,
    /// The bias that chance alone shows, by the number of draws.
    pub gradient_bias_noise: BTreeMap<usize, Parts>,
    /// All settings of the sampler.
    pub settings: Map<String, Value>,
}

/// A figure of the gradient of the query, and of that of the class rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Parts {
    pub h: f64,
    pub classes: f64,
}

/// A sampler that cannot be built over these classes.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    pub sampler: String,
    pub why: String,
}

/// What all rows are measured with.
pub struct Bench<'a> {
    pub subject: &'a Subject,
    /// The queries at which gradients are compared.
    pub few: Probes,
    pub clock: Clock<'a>,
    pub seed: u64,
}

impl Bench<'_> {
    /// Builds a sampler and measures it.
    ///
    /// # Errors
    /// If it cannot be built or cannot draw here.
    pub fn measure(&mut self, entry: &Entry) -> Result<Row, rf_sampling::Error> {
        let (Subject { head, counts, probes, .. }, seed) = (self.subject, self.seed);
        let classes = head.class_rows();
        let mut sampler = entry.config.build(classes, counts, seed)?;
        let bytes = sampler.bytes() as u64;
        let MeanQuality { mean, efficiency } = mean_quality(&sampler, probes, classes)?;
        let errors = gradient_errors(&sampler, &self.few, classes, &TRIALS, seed)?;
        let Timing { draw, refresh, rows_read } = self.clock.time(&entry.config, &mut sampler)?;
        Ok(Row {
            sampler: entry.name.clone(),
            own: entry.is_own,
            kl: mean.kl,
            chi_squared: mean.chi_squared,
            effective_sample_size: self.clock.draws as f64 * efficiency,
            total_probability: mean.total,
            draw_milliseconds: draw,
            refresh_milliseconds: refresh,
            rows_read,
            bytes,
            gradient_bias: by_draws(&errors, |parts| parts.bias),
            gradient_variance: by_draws(&errors, |parts| parts.variance),
            gradient_bias_noise: by_draws(&errors, |parts| parts.noise),
            settings: settings(&entry.config),
        })
    }
}

fn by_draws(errors: &[GradientError], figure: fn(&ErrorParts) -> f64) -> BTreeMap<usize, Parts> {
    let parts = |error: &GradientError| Parts { h: figure(&error.query), classes: figure(&error.classes) };
    TRIALS.iter().map(|trial| trial.draws).zip(errors.iter().map(parts)).collect()
}

impl Row {
    /// Draws and refresh of a query, in milliseconds.
    pub fn milliseconds(&self) -> f64 {
        self.draw_milliseconds + self.refresh_milliseconds
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sampler, kl, draw_milliseconds, refresh_milliseconds, .. } = self;
        write!(
            f,
            "{sampler}: KL {kl:.3}, draws {draw_milliseconds:.4} ms, refresh {refresh_milliseconds:.4} ms a query"
        )
    }
}
