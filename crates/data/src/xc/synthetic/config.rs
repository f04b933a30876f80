//! The numbers of synthetic points.

use serde::{Deserialize, Serialize};

use crate::{Error, Split};

/// Synthetic points with planted labels: the law, and the sizes of the splits.
///
/// A point is made in three steps.
/// 1. A hidden cell `z` of `K = labels / inclusion.len()` is drawn, with probability proportional to
///    `(z + 1)^-skew`.
/// 2. The cell owns the labels `j K + z`. Each of them is given with probability `inclusion[j]`, independently of the
///    others, so a point may have no label.
/// 3. The point shows the feature `z`, which no other cell has. Each of the `shared` features that the cell has in
///    common with its neighbours (7 of them, fewer for the last) is shown with probability 1/2, and features of noise
///    fill up to `features_per_point` on average, the earlier ones more often. All values are 1.
///
/// Whoever reads feature `z` knows the cell, and nothing else says more about the labels. So the best precisions are
/// known exactly: see [`XcKnown`].
///
/// Labels that are left over by the division by `inclusion.len()` are never given, as labels are in real data.
/// The law depends on the config alone, the points on the seed too.
///
/// # Example
/// ```
/// use rf_data::{XcDataConfig, XcSyntheticConfig};
/// let config = XcSyntheticConfig { inclusion: vec![0.9, 0.5], ..Default::default() };
/// let known = XcDataConfig::Synthetic(config).known()?.unwrap();
/// assert_eq!(known.best_precision[0], 0.9);
/// assert_eq!(known.best_precision[1], (0.9 + 0.5) / 3.0);
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct XcSyntheticConfig {
    /// Labels, n.
    pub labels: usize,
    /// One entry per label of a cell: the probability that a point of the cell has it.
    pub inclusion: Vec<f64>,
    /// How much more frequent the first cells are: 0 for all alike, 1 for Zipf's law.
    pub skew: f64,
    /// Features.
    pub features: usize,
    /// Features that a point shows on average.
    pub features_per_point: f64,
    /// Features that each eight cells in a row have in common.
    pub shared: usize,
    /// Training points.
    pub train_points: usize,
    /// Validation points.
    pub valid_points: usize,
    /// Test points.
    pub test_points: usize,
}

/// What the best model reaches on synthetic points, in expectation over the points, those without labels included.
///
/// With the inclusion probabilities `p` in descending order, the best P@k is `(p_1 + … + p_k) / k`. On the points with
/// labels alone it is that divided by [`labelled`](Self::labelled).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct XcKnown {
    /// Best P@1, P@3 and P@5.
    pub best_precision: [f64; 3],
    /// Share of the points that have a label: `1 - Π (1 - p_j)`.
    pub labelled: f64,
    /// Mean number of labels: `Σ p_j`.
    pub labels_per_point: f64,
}

/// Cells in a row that share features.
pub(super) const NEIGHBOURS: usize = 8;

/// Probability that a shared feature is shown.
pub(super) const SHOWN: f64 = 0.5;

impl Default for XcSyntheticConfig {
    /// Quick to learn: the rarest of 500 cells has 13 of 20,000 points.
    fn default() -> Self {
        Self {
            labels: 2_000,
            inclusion: vec![0.9, 0.6, 0.4, 0.2],
            skew: 0.7,
            features: 5_000,
            features_per_point: 10.0,
            shared: 4,
            train_points: 20_000,
            valid_points: 2_000,
            test_points: 4_000,
        }
    }
}

impl XcSyntheticConfig {
    /// Points of a split.
    pub fn points(&self, split: Split) -> usize {
        match split {
            Split::Train => self.train_points,
            Split::Valid => self.valid_points,
            Split::Test => self.test_points,
        }
    }

    /// Hidden cells, K.
    pub fn cells(&self) -> usize {
        self.labels / self.inclusion.len()
    }

    /// What the best model reaches.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that make no data set.
    pub fn known(&self) -> Result<XcKnown, Error> {
        self.check()?;
        let mut inclusion = self.inclusion.clone();
        inclusion.sort_unstable_by(|a, b| b.total_cmp(a));
        let best = |k| inclusion.iter().take(k).sum::<f64>() / k as f64;
        Ok(XcKnown {
            best_precision: [best(1), best(3), best(5)],
            labelled: 1.0 - inclusion.iter().map(|p| 1.0 - p).product::<f64>(),
            labels_per_point: inclusion.iter().sum(),
        })
    }

    /// Features of noise that a point shows on average.
    pub(super) fn noise_per_point(&self) -> f64 {
        self.features_per_point - 1.0 - SHOWN * self.shared as f64
    }

    /// The first feature of noise, behind those of the cells and those shared.
    pub(super) fn first_noise(&self) -> usize {
        self.cells() + self.shared * self.cells().div_ceil(NEIGHBOURS)
    }

    /// Refuses numbers that make no data set.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.check_inclusion()?;
        let most = 1 << 31;
        for (field, number) in [("labels", self.labels), ("features", self.features)] {
            if !(1..=most).contains(&number) {
                return Err(Error::config(field, number, format!("must be 1 to {most}")));
            }
        }
        if self.cells() == 0 {
            let rule = format!("must be at least the {} labels of a cell", self.inclusion.len());
            return Err(Error::config("labels", self.labels, rule));
        }
        if !(0.0..=10.0).contains(&self.skew) {
            return Err(Error::config("skew", self.skew, "must be 0 to 10"));
        }
        self.check_features()?;
        for (field, points) in [
            ("train_points", self.train_points),
            ("valid_points", self.valid_points),
            ("test_points", self.test_points),
        ] {
            if !(1..=most).contains(&points) {
                return Err(Error::config(field, points, format!("must be 1 to {most}")));
            }
        }
        Ok(())
    }

    fn check_inclusion(&self) -> Result<(), Error> {
        if self.inclusion.is_empty() {
            return Err(Error::config("inclusion", "[]", "must have at least one entry"));
        }
        for (index, p) in self.inclusion.iter().enumerate() {
            if !(*p > 0.0 && *p <= 1.0) {
                return Err(Error::config(format!("inclusion[{index}]"), p, "must be above 0 and at most 1"));
            }
        }
        Ok(())
    }

    fn check_features(&self) -> Result<(), Error> {
        if self.shared > 1000 {
            return Err(Error::config("shared", self.shared, "must be 0 to 1000"));
        }
        let noise = self.noise_per_point();
        if !(0.0..=1e4).contains(&noise) {
            let rule = format!("must be {} to 10000", 1.0 + SHOWN * self.shared as f64);
            return Err(Error::config("features_per_point", self.features_per_point, rule));
        }
        // Half of the noise stays unseen, so that a draw soon finds a feature that the point does not show yet.
        let least = self.first_noise() + 2 * noise.ceil() as usize;
        if self.features < least {
            let rule = format!("must be at least {least}: {} of the cells, the rest noise", self.first_noise());
            return Err(Error::config("features", self.features, rule));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_precisions_are_means_of_the_largest_inclusion_probabilities() {
        let config = XcSyntheticConfig { inclusion: vec![0.5, 1.0, 0.25], ..Default::default() };
        let known = config.known().unwrap();
        assert_eq!(known.best_precision, [1.0, 1.75 / 3.0, 1.75 / 5.0]);
        assert_eq!((known.labelled, known.labels_per_point), (1.0, 1.75));
        let known = XcSyntheticConfig::default().known().unwrap();
        assert!((known.labelled - (1.0 - 0.1 * 0.4 * 0.6 * 0.8)).abs() < 1e-12);
    }

    #[test]
    fn numbers_that_make_no_points_are_refused_by_name() {
        let base = XcSyntheticConfig::default;
        for (config, message) in [
            (XcSyntheticConfig { labels: 0, ..base() }, "labels = 0: must be 1 to 2147483648"),
            (XcSyntheticConfig { labels: 3, ..base() }, "labels = 3: must be at least the 4 labels of a cell"),
            (XcSyntheticConfig { inclusion: vec![], ..base() }, "inclusion = []: must have at least one entry"),
            (
                XcSyntheticConfig { inclusion: vec![0.5, 1.5], ..base() },
                "inclusion[1] = 1.5: must be above 0 and at most 1",
            ),
            (
                XcSyntheticConfig { inclusion: vec![f64::NAN], ..base() },
                "inclusion[0] = NaN: must be above 0 and at most 1",
            ),
            (XcSyntheticConfig { skew: -1.0, ..base() }, "skew = -1: must be 0 to 10"),
            (XcSyntheticConfig { shared: 2000, ..base() }, "shared = 2000: must be 0 to 1000"),
            (XcSyntheticConfig { features_per_point: 2.9, ..base() }, "features_per_point = 2.9: must be 3 to 10000"),
            (
                XcSyntheticConfig { features: 765, ..base() },
                "features = 765: must be at least 766: 752 of the cells, the rest noise",
            ),
            (XcSyntheticConfig { test_points: 0, ..base() }, "test_points = 0: must be 1 to 2147483648"),
        ] {
            assert_eq!(config.check().unwrap_err().to_string(), message);
        }
        base().check().unwrap();
    }
}
