use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::{Moment, check_share};
use crate::Error;

/// Half a wave of the cosine: the whole rate at the end of the warm-up, `final_fraction` of it at the last step.
///
/// Loshchilov & Hutter 2017 (arXiv 1608.03983), eq. (5), without restarts, by steps instead of epochs. A run that is
/// resumed with another length goes on along the curve of the new length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Share of the learning rate at the last step.
    pub final_fraction: f64,
}

impl Cosine {
    /// `e + (1 - e) (1 + cos(pi x)) / 2`, where `e` is the final fraction and `x` goes from 0 at the last step of the
    /// warm-up (the first step without one) to 1 at the last step of the run.
    pub(super) fn share(&self, at: Moment) -> f64 {
        let first = at.warmup.max(1);
        let done = at.step.saturating_sub(first) as f64;
        let all = at.steps.saturating_sub(first).max(1) as f64;
        let wave = (1.0 + (PI * (done / all).min(1.0)).cos()) / 2.0;
        self.final_fraction + (1.0 - self.final_fraction) * wave
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check_share("final_fraction", self.final_fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(final_fraction: f64, warmup: u64, step: u64) -> f64 {
        Cosine { final_fraction }.share(Moment { epoch: 1, step, steps: 101, warmup })
    }

    #[test]
    fn the_rate_falls_from_the_whole_at_the_first_step_to_the_end_at_the_last() {
        for (step, wanted) in [(1, 1.0), (26, 0.853_553_390_593), (51, 0.5), (76, 0.146_446_609_407), (101, 0.0)] {
            assert!((share(0.0, 0, step) - wanted).abs() < 1e-12, "step {step}");
        }
        assert!((share(0.1, 0, 51) - 0.55).abs() < 1e-12 && (share(0.1, 0, 101) - 0.1).abs() < 1e-12);
        assert!((2..=101).all(|step| share(0.1, 0, step) < share(0.1, 0, step - 1)));
    }

    #[test]
    fn the_wave_begins_where_the_warm_up_ends() {
        assert_eq!((share(0.0, 21, 3), share(0.0, 21, 21)), (1.0, 1.0));
        assert!((share(0.0, 21, 61) - 0.5).abs() < 1e-12 && share(0.0, 21, 101).abs() < 1e-12);
    }

    #[test]
    fn a_run_of_one_step_or_of_warm_up_alone_has_a_rate() {
        let at = |steps, warmup| Moment { epoch: 1, step: 1, steps, warmup };
        let cosine = Cosine { final_fraction: 0.2 };
        assert_eq!((cosine.share(at(1, 0)), cosine.share(at(1, 50))), (1.0, 1.0));
    }

    #[test]
    fn a_final_fraction_above_the_whole_is_refused() {
        assert!(Cosine { final_fraction: 1.0 }.check().is_ok());
        let error = Cosine { final_fraction: 1.5 }.check().unwrap_err();
        assert_eq!(error.to_string(), "final_fraction = 1.5: it must lie between 0 and 1");
        assert!(Cosine { final_fraction: f64::NAN }.check().is_err());
    }
}
