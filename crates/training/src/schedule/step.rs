use serde::{Deserialize, Serialize};

use super::bad;
use crate::Error;

/// Multiplied by `factor` once an epoch, from `from_epoch` on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepDecay {
    /// First epoch with a changed rate, counted from 1.
    pub from_epoch: usize,
    /// What the rate is multiplied by.
    pub factor: f64,
}

impl StepDecay {
    /// `factor^(epoch - from_epoch + 1)` from `from_epoch` on, 1 before.
    pub(super) fn share(&self, epoch: usize) -> f64 {
        let times = (epoch + 1).saturating_sub(self.from_epoch);
        self.factor.powi(times.try_into().unwrap_or(i32::MAX))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.from_epoch == 0 {
            return bad("from_epoch", 0, "epochs are counted from 1");
        }
        if !(self.factor > 0.0 && self.factor.is_finite()) {
            return bad("factor", self.factor, "it must be positive and finite");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_taken_once_an_epoch_from_the_first_one_on() {
        let schedule = StepDecay { from_epoch: 2, factor: 0.1 };
        for (epoch, wanted) in [(1, 1.0), (2, 0.1), (3, 0.01)] {
            assert!((schedule.share(epoch) - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn an_impossible_setting_is_refused_by_name() {
        let error = StepDecay { from_epoch: 2, factor: f64::NAN }.check().unwrap_err();
        assert_eq!(error.to_string(), "factor = NaN: it must be positive and finite");
        assert!(StepDecay { from_epoch: 0, factor: 0.5 }.check().is_err());
        assert!(StepDecay { from_epoch: 1, factor: 2.0 }.check().is_ok());
    }
}
