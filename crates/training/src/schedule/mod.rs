//! How the learning rate moves in the course of training.
//!
//! | schedule | share of `learning_rate` at a step |
//! |---|---|
//! | [`Constant`](ScheduleConfig::Constant) | 1 |
//! | [`StepDecay`] | `factor^k` in the k-th epoch from `from_epoch` on |
//! | [`Plateau`] | `factor^k` after k times that validation stood still |
//! | [`Cosine`] | half a wave, from 1 at the first step to `final_fraction` at the last |

mod cosine;
mod plateau;
mod step;

pub use cosine::Cosine;
pub use plateau::Plateau;
pub use step::StepDecay;

use serde::{Deserialize, Serialize};

use crate::{Error, History};

/// How the learning rate moves.
///
/// It is a function of where the run stands and of the validations so far, and of nothing else: what a resumed run needs
/// is in its checkpoint. Linear warm-up goes with every schedule and is a setting of the optimizer.
///
/// # Example
/// ```
/// use rf_training::{History, Moment, ScheduleConfig};
/// let schedule: ScheduleConfig = serde_json::from_str(r#"{"kind": "step", "from_epoch": 3, "factor": 0.5}"#)?;
/// let share = |epoch| schedule.share(Moment { epoch, step: 1, steps: 10, warmup: 0 }, &History::default());
/// assert_eq!([2, 3, 4].map(share), [1.0, 0.5, 0.25]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// The same rate throughout.
    // Braces, because serde lets unknown keys pass beside the tag of a unit variant.
    Constant {},
    /// Multiplied by a factor once an epoch.
    Step(StepDecay),
    /// Multiplied by a factor whenever validation stands still.
    Plateau(Plateau),
    /// Half a wave of the cosine over the whole run.
    Cosine(Cosine),
}

/// A step of a run, as far as the learning rate depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Epoch of the step, counted from 1.
    pub epoch: usize,
    /// The step, counted from 1 over the whole run.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps of the warm-up at its beginning.
    pub warmup: u64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self::Constant {}
    }
}

impl ScheduleConfig {
    /// What the learning rate is multiplied by at a step, after these validations.
    pub fn share(&self, at: Moment, history: &History) -> f64 {
        match self {
            Self::Constant {} => 1.0,
            Self::Step(step) => step.share(at.epoch),
            Self::Plateau(plateau) => plateau.share(history),
            Self::Cosine(cosine) => cosine.share(at),
        }
    }

    /// Refuses a setting outside its range.
    ///
    /// # Errors
    /// [`Error::BadSetting`] with the name of the field.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Constant {} => Ok(()),
            Self::Step(step) => step.check(),
            Self::Plateau(plateau) => plateau.check(),
            Self::Cosine(cosine) => cosine.check(),
        }
    }
}

fn bad(field: &'static str, value: impl ToString, why: &'static str) -> Result<(), Error> {
    Err(Error::BadSetting { field, value: value.to_string(), why })
}

/// Refuses what is no share of a learning rate.
fn check_share(field: &'static str, value: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { bad(field, value, "it must lie between 0 and 1") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_rate_stays() {
        let at = Moment { epoch: 40, step: 1_000_000, steps: 2_000_000, warmup: 0 };
        assert_eq!(ScheduleConfig::default().share(at, &History::default()), 1.0);
        assert!(ScheduleConfig::default().check().is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused_in_every_variant() {
        for text in [
            r#"{"kind":"constant","by":2}"#,
            r#"{"kind":"step","from_epoch":1,"factor":1,"by":2}"#,
            r#"{"kind":"plateau","by":2}"#,
            r#"{"kind":"cosine","by":2}"#,
        ] {
            assert!(serde_json::from_str::<ScheduleConfig>(text).unwrap_err().to_string().contains("unknown field"));
        }
    }
}
