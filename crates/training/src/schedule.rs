use serde::{Deserialize, Serialize};

use crate::Error;

/// How the learning rate moves in the course of training.
///
/// The rate is a function of the epoch and the step alone, so a resumed run needs no state to go on.
///
/// # Example
/// ```
/// use rf_training::ScheduleConfig;
/// let schedule = ScheduleConfig::Step { from_epoch: 3, factor: 0.5 };
/// assert_eq!(schedule.rate(0.8, 2, 999), 0.8);
/// assert_eq!(schedule.rate(0.8, 3, 1000), 0.4);
/// assert_eq!(schedule.rate(0.8, 4, 1500), 0.2);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// The same rate throughout.
    // Braces, because serde lets unknown keys pass beside the tag of a unit variant.
    Constant {},
    /// Multiplied by `factor` once an epoch, from `from_epoch` on.
    Step {
        /// First epoch with a changed rate, counted from 1.
        from_epoch: usize,
        /// What the rate is multiplied by.
        factor: f64,
    },
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Constant {}
    }
}

impl ScheduleConfig {
    /// Learning rate of `step` (counted from 1 over the whole run) in `epoch` (counted from 1).
    ///
    /// `step`: `base · factor^(epoch - from_epoch + 1)` from `from_epoch` on, `base` before.
    pub fn rate(&self, base: f64, epoch: usize, _step: u64) -> f64 {
        match *self {
            Self::Constant {} => base,
            Self::Step { from_epoch, factor } => {
                let times = (epoch + 1).saturating_sub(from_epoch);
                base * factor.powi(times.try_into().unwrap_or(i32::MAX))
            }
        }
    }

    /// Refuses a setting outside its range.
    ///
    /// # Errors
    /// [`Error::BadSetting`] when `from_epoch` is 0 or `factor` is not positive and finite.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |field, value, why| Err(Error::BadSetting { field, value, why });
        match *self {
            Self::Step { from_epoch: 0, .. } => bad("from_epoch", "0".into(), "epochs are counted from 1"),
            Self::Step { factor, .. } if !(factor > 0.0 && factor.is_finite()) => {
                bad("factor", factor.to_string(), "it must be positive and finite")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate_stays() {
        assert_eq!(ScheduleConfig::default().rate(0.3, 40, 1_000_000), 0.3);
    }

    #[test]
    fn a_step_is_taken_once_an_epoch_from_the_first_one_on() {
        let schedule = ScheduleConfig::Step { from_epoch: 1, factor: 0.1 };
        for (epoch, wanted) in [(1, 0.1), (2, 0.01), (3, 0.001)] {
            assert!((schedule.rate(1.0, epoch, 0) - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn an_impossible_setting_is_refused_by_name() {
        let error = ScheduleConfig::Step { from_epoch: 2, factor: f64::NAN }.check().unwrap_err();
        assert_eq!(error.to_string(), "factor = NaN: it must be positive and finite");
        assert!(ScheduleConfig::Step { from_epoch: 0, factor: 0.5 }.check().is_err());
        assert!(ScheduleConfig::Constant {}.check().is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused_in_every_variant() {
        for text in [r#"{"kind":"constant","factor":1}"#, r#"{"kind":"step","from_epoch":1,"factor":1,"by":2}"#] {
            assert!(serde_json::from_str::<ScheduleConfig>(text).unwrap_err().to_string().contains("unknown field"));
        }
    }
}
