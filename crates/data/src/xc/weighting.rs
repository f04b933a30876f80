//! What a feature of a point weighs.

use serde::{Deserialize, Serialize};

use super::SparseRows;

/// What is made of the value of a feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Values {
    /// The value itself.
    #[default]
    Given,
    /// 1 for every value but 0.
    Binary,
    /// The value itself, which must not be negative.
    Counts,
    /// `v · (ln((1 + N) / (1 + df)) + 1)` for a value `v ≥ 0`, N training points, and `df` of them with the feature.
    TfIdf,
}

/// How the values of a data set are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValuesConfig {
    /// What is made of each value.
    pub values: Values,
    /// Whether the rows are then scaled to length 1.
    pub normalize: bool,
}

/// A weighting of feature values: fitted on the training points, applied to any.
///
/// Each value is weighted as [`Values`] says; then, if it is asked for, each row is scaled to an ℓ2 norm of 1, and a
/// row of zeros stays. The inverse document frequency is the smooth one of scikit-learn, a feature of value 0 not
/// being shown.
///
/// # Example
/// ```
/// use rf_data::{SparseRows, Values, ValuesConfig, Weighting};
/// let mut rows = SparseRows::new(vec![0, 2, 3], vec![0, 1, 0], vec![1.0, 1.0, 5.0]);
/// let config = ValuesConfig { values: Values::TfIdf, normalize: false };
/// let weighting = Weighting::fit(&config, &rows, 2);
/// weighting.apply(&mut rows);
/// assert_eq!(rows.row(1).1, [5.0]); // both points show feature 0
/// assert_eq!(rows.row(0).1, [1.0, 1.5_f32.ln() + 1.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Weighting {
    config: ValuesConfig,
    idf: Vec<f32>,
}

impl Default for ValuesConfig {
    /// The given values, rows of length 1.
    fn default() -> Self {
        Self { values: Values::Given, normalize: true }
    }
}

impl ValuesConfig {
    /// Whether a negative value has a meaning.
    pub(super) fn allows_negative(self) -> bool {
        matches!(self.values, Values::Given | Values::Binary)
    }
}

impl Weighting {
    /// The weighting that `config` makes of the training points.
    ///
    /// # Panics
    /// If a row has an id that is not below `features`.
    pub fn fit(config: &ValuesConfig, train: &SparseRows, features: usize) -> Self {
        let idf = if config.values == Values::TfIdf { idf(train, features) } else { Vec::new() };
        Self { config: *config, idf }
    }

    /// A weighting that was fitted before: `idf` is what [`idf`](Self::idf) gave.
    ///
    /// # Panics
    /// If there is an `idf` without tf-idf, or none with it.
    pub fn with_idf(config: &ValuesConfig, idf: Vec<f32>) -> Self {
        assert_eq!(config.values == Values::TfIdf, !idf.is_empty(), "{:?} with {} idf", config.values, idf.len());
        Self { config: *config, idf }
    }

    /// Weighs the rows, once.
    ///
    /// # Panics
    /// If a row has an id that is not among the features fitted.
    pub fn apply(&self, rows: &mut SparseRows) {
        for row in 0..rows.len() {
            let (ids, values) = rows.row_mut(row);
            let norm = if self.config.normalize { self.norm(ids, values) } else { 1.0 };
            for (&id, value) in ids.iter().zip(values) {
                *value = (self.weigh(id, *value) / norm) as f32;
            }
        }
    }

    /// Inverse document frequencies; empty unless the values are weighted by tf-idf.
    ///
    /// # Shapes
    /// `[features]`
    pub fn idf(&self) -> &[f32] {
        &self.idf
    }

    /// What it was made from.
    pub fn config(&self) -> ValuesConfig {
        self.config
    }

    /// Length of a weighted row; 1 for a row of zeros.
    fn norm(&self, ids: &[u32], values: &[f32]) -> f64 {
        let square: f64 = ids.iter().zip(values).map(|(&id, &value)| self.weigh(id, value).powi(2)).sum();
        if square > 0.0 { square.sqrt() } else { 1.0 }
    }

    /// In `f64`, where the square of no `f32` overflows.
    fn weigh(&self, id: u32, value: f32) -> f64 {
        match self.config.values {
            Values::Given | Values::Counts => f64::from(value),
            Values::Binary => f64::from(u8::from(value != 0.0)),
            Values::TfIdf => f64::from(value) * f64::from(self.idf[id as usize]),
        }
    }
}

/// Smooth inverse document frequencies.
fn idf(train: &SparseRows, features: usize) -> Vec<f32> {
    let mut shown = vec![0_u32; features];
    for row in 0..train.len() {
        let (ids, values) = train.row(row);
        for (&id, _) in ids.iter().zip(values).filter(|(_, value)| **value != 0.0) {
            shown[id as usize] += 1;
        }
    }
    let points = 1.0 + train.len() as f64;
    shown.into_iter().map(|df| ((points / (1.0 + f64::from(df))).ln() + 1.0) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighted(values: Values, normalize: bool) -> Vec<f32> {
        let mut rows =
            SparseRows::new(vec![0, 3, 4, 5], vec![0, 1, 3, 3, 1], vec![3.0, 0.0, -4.0, 0.0, f32::MIN_POSITIVE]);
        Weighting::fit(&ValuesConfig { values, normalize }, &rows, 5).apply(&mut rows);
        (0..3).flat_map(|row| rows.row(row).1.to_vec()).collect()
    }

    #[test]
    fn rows_are_scaled_to_length_one_and_zeros_stay() {
        assert_eq!(weighted(Values::Given, true), [0.6, 0.0, -0.8, 0.0, 1.0]);
        assert_eq!(weighted(Values::Given, false), [3.0, 0.0, -4.0, 0.0, f32::MIN_POSITIVE]);
        let half = 0.5_f32.sqrt();
        assert_eq!(weighted(Values::Binary, true), [half, 0.0, half, 0.0, 1.0]);
        assert_eq!(weighted(Values::Binary, false), [1.0, 0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_row_of_the_largest_values_does_not_overflow() {
        let mut rows = SparseRows::new(vec![0, 2], vec![0, 1], vec![f32::MAX, f32::MAX]);
        let config = ValuesConfig { values: Values::TfIdf, normalize: true };
        Weighting::fit(&config, &rows, 2).apply(&mut rows);
        assert_eq!(rows.row(0).1, [0.5_f32.sqrt(); 2]);
    }

    /// ```python
    /// from sklearn.feature_extraction.text import TfidfTransformer
    /// TfidfTransformer().fit_transform([[3, 0, 1], [2, 0, 0], [3, 0, 0], [4, 0, 0], [3, 2, 0], [3, 0, 2]]).toarray()
    /// ```
    /// The table stands in scikit-learn's user guide, section "Tf-idf term weighting".
    #[test]
    fn tf_idf_is_that_of_scikit_learn() {
        let ids = vec![0, 2, 0, 0, 0, 0, 1, 0, 2];
        let counts = vec![3.0, 1.0, 2.0, 3.0, 4.0, 3.0, 2.0, 3.0, 2.0];
        let mut rows = SparseRows::new(vec![0, 2, 3, 4, 5, 7, 9], ids, counts);
        let config = ValuesConfig { values: Values::TfIdf, normalize: true };
        Weighting::fit(&config, &rows, 3).apply(&mut rows);
        let expected = [0.85151335, 0.52433293, 1.0, 1.0, 1.0, 0.55422893, 0.83236428, 0.63035731, 0.77630514];
        let found: Vec<f32> = (0..6).flat_map(|row| rows.row(row).1.to_vec()).collect();
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{found} {expected}");
        }
    }

    #[test]
    fn a_weighting_kept_by_its_idf_is_the_same() {
        let rows = SparseRows::new(vec![0, 2, 3], vec![0, 1, 0], vec![1.0, 1.0, 5.0]);
        let config = ValuesConfig { values: Values::TfIdf, normalize: true };
        let fitted = Weighting::fit(&config, &rows, 4);
        assert_eq!(Weighting::with_idf(&config, fitted.idf().to_vec()), fitted);
        assert_eq!(fitted.idf().len(), 4);
        assert!(Weighting::fit(&ValuesConfig::default(), &rows, 4).idf().is_empty());
    }
}
