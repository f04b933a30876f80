use serde::{Deserialize, Serialize};

use super::{bad, check_share};
use crate::{Error, History};

/// Multiplied by `factor` after every `patience` validations in a row that brought no improvement.
///
/// As Keras's `ReduceLROnPlateau` without cooldown; PyTorch's waits for one validation more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// What the rate is multiplied by.
    pub factor: f64,
    /// Validations in a row without improvement after which the rate falls.
    pub patience: usize,
    /// Relative improvement on the best score so far above which it counts as one.
    pub min_improvement: f64,
    /// Share of the learning rate that it does not fall below.
    pub min_fraction: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self { factor: 0.5, patience: 1, min_improvement: 0.0, min_fraction: 0.0 }
    }
}

impl Plateau {
    /// `factor^k`, but at least `min_fraction`, where k counts the plateaus of `patience` validations so far.
    pub(super) fn share(&self, history: &History) -> f64 {
        let waits = history.waits(self.min_improvement);
        let cuts = waits.into_iter().filter(|wait| *wait > 0 && wait.is_multiple_of(self.patience)).count();
        self.factor.powi(cuts.try_into().unwrap_or(i32::MAX)).max(self.min_fraction)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if !(self.factor > 0.0 && self.factor < 1.0) {
            return bad("factor", self.factor, "it must lie between 0 and 1, both excluded");
        }
        if self.patience == 0 {
            return bad("patience", 0, "it must be at least 1");
        }
        check_share("min_improvement", self.min_improvement)?;
        check_share("min_fraction", self.min_fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares of the rate after each of these scores.
    fn shares(plateau: &Plateau, scores: &[f64]) -> Vec<f64> {
        let mut history = History::default();
        let after = |(step, score): (usize, &f64)| {
            history.record(step as u64, *score);
            plateau.share(&history)
        };
        scores.iter().enumerate().map(after).collect()
    }

    #[test]
    fn the_rate_falls_when_validation_stands_still_and_not_before() {
        let plateau = Plateau { patience: 2, ..Default::default() };
        let scores = [90.0, 80.0, 81.0, 79.0, 79.0, 79.5, 79.1, 80.0, 70.0, 71.0];
        assert_eq!(shares(&plateau, &scores), [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25]);
        assert_eq!(plateau.share(&History::default()), 1.0);
    }

    #[test]
    fn an_improvement_below_the_least_is_none() {
        let plateau = Plateau { min_improvement: 0.01, ..Default::default() };
        assert_eq!(shares(&plateau, &[100.0, 99.5, 99.1, 98.9]), [1.0, 0.5, 0.25, 0.25]);
    }

    #[test]
    fn the_rate_does_not_fall_below_its_least_share() {
        let plateau = Plateau { factor: 0.1, min_fraction: 0.03, ..Default::default() };
        assert_eq!(shares(&plateau, &[5.0, 5.0, 5.0, 5.0]), [1.0, 0.1, 0.03, 0.03]);
    }

    #[test]
    fn an_impossible_setting_is_refused_by_name() {
        let refused = |plateau: Plateau| plateau.check().unwrap_err().to_string();
        let whole = Plateau { factor: 1.0, ..Default::default() };
        assert_eq!(refused(whole), "factor = 1: it must lie between 0 and 1, both excluded");
        assert_eq!(refused(Plateau { patience: 0, ..Default::default() }), "patience = 0: it must be at least 1");
        let negative = Plateau { min_improvement: -0.1, ..Default::default() };
        assert_eq!(refused(negative), "min_improvement = -0.1: it must lie between 0 and 1");
        assert!(Plateau::default().check().is_ok());
    }
}
