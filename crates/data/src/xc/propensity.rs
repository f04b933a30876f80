//! How likely a label that is right is also noted.

use serde::{Deserialize, Serialize};

use crate::Error;

/// The constants of the propensity model, with which rare labels weigh more in a score.
///
/// A label with `N_l` of N training points is noted, where it is right, with probability `p_l`, and
/// ```text
/// 1 / p_l = 1 + C (N_l + B)^-A,      C = (ln N - 1) (B + 1)^A
/// ```
/// Section 2 of Jain, Prabhu and Varma, "Extreme Multi-label Loss Functions for Recommendation, Tagging, Ranking &
/// Other Missing Label Applications", KDD 2016, as pyxclib computes it: N is the number of training points, those
/// without labels included.
///
/// # Example
/// ```
/// use rf_data::Propensity;
/// let inverse = Propensity::default().inverse(&[0, 1, 1000], 100_000);
/// assert!(inverse[0] > inverse[1] && inverse[1] > inverse[2] && inverse[2] > 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Propensity {
    /// A, from 0 up.
    pub a: f64,
    /// B, above 0.
    pub b: f64,
}

impl Default for Propensity {
    /// The constants for data sets that have none of their own.
    fn default() -> Self {
        Self { a: 0.55, b: 1.5 }
    }
}

impl Propensity {
    /// The constants that scores on a data set of the repository are published with; `None` for a name that is not in
    /// the table. Upper and lower case are the same.
    pub fn known(name: &str) -> Option<Self> {
        let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if is(&WIKIPEDIA) {
            Some(Self { a: 0.5, b: 0.4 })
        } else if is(&AMAZON) {
            Some(Self { a: 0.6, b: 2.6 })
        } else {
            is(&OTHER).then(Self::default)
        }
    }

    /// Inverse propensities of labels with `counts` of `points` training points.
    ///
    /// # Shapes
    /// - counts: `[labels]`
    /// - result: `[labels]`, above 1 where `points` ≥ 3
    pub fn inverse(&self, counts: &[u64], points: usize) -> Vec<f64> {
        let Self { a, b } = *self;
        let c = ((points as f64).ln() - 1.0) * (b + 1.0).powf(a);
        counts.iter().map(|&count| 1.0 + c * (count as f64 + b).powf(-a)).collect()
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if !(0.0..=100.0).contains(&self.a) {
            return Err(Error::config("propensity.a", self.a, "must be 0 to 100"));
        }
        if !(self.b > 0.0 && self.b <= 1e9) {
            return Err(Error::config("propensity.b", self.b, "must be above 0 and at most 1000000000"));
        }
        Ok(())
    }
}

const WIKIPEDIA: [&str; 5] =
    ["WikiLSHTC-325K", "Wikipedia-500K", "Wiki-500K", "LF-Wikipedia-500K", "LF-WikiTitles-500K"];

const AMAZON: [&str; 7] = [
    "Amazon-670K",
    "AmazonTitles-670K",
    "Amazon-3M",
    "AmazonTitles-3M",
    "LF-Amazon-131K",
    "LF-AmazonTitles-131K",
    "LF-AmazonTitles-1.3M",
];

const OTHER: [&str; 9] = [
    "AmazonCat-13K",
    "AmazonCat-14K",
    "Bibtex",
    "Delicious",
    "Delicious-200K",
    "EURLex-4K",
    "EURLex-4.3K",
    "Mediamill",
    "Wiki10-31K",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// ```python
    /// import numpy as np
    /// def compute_inv_propesity(freqs, num_instances, A, B):   # pyxclib, xclib/evaluation/xc_metrics.py
    ///     C = (np.log(num_instances)-1)*np.power(B+1, A)
    ///     return 1.0 + C*np.power(freqs+B, -A)
    /// ```
    #[test]
    fn inverse_propensities_are_those_of_pyxclib() {
        for ((a, b), expected) in [
            ((0.55, 1.5), [14.923_242_831_995, 11.512_925_464_970, 1.389_253_535_287]),
            ((0.5, 0.4), [20.667_882_611_305, 11.512_925_464_970, 1.393_279_004_289]),
        ] {
            let found = Propensity { a, b }.inverse(&[0, 1, 1000], 100_000);
            assert_eq!(found.len(), 3);
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "{found} {expected}");
            }
        }
    }

    #[test]
    fn data_sets_of_the_repository_have_their_constants() {
        let known = |name| Propensity::known(name).map(|p| (p.a, p.b));
        assert_eq!(known("wikilshtc-325k"), Some((0.5, 0.4)));
        assert_eq!(known("Amazon-670K"), Some((0.6, 2.6)));
        assert_eq!(known("AmazonCat-13K"), Some((0.55, 1.5)));
        assert_eq!(known("my-own"), None);
    }

    #[test]
    fn constants_without_a_meaning_are_refused() {
        assert!(Propensity { a: -0.1, b: 1.0 }.check().is_err());
        assert!(Propensity { a: f64::NAN, b: 1.0 }.check().is_err());
        let error = Propensity { a: 0.5, b: 0.0 }.check().unwrap_err();
        assert_eq!(error.to_string(), "propensity.b = 0: must be above 0 and at most 1000000000");
    }
}
