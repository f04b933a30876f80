//! Means over seeds.

use serde::Serialize;

/// A mean, and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error: `s / sqrt(k)` of k values with the sample standard deviation s; `null` of a single one.
    pub standard_error: Option<f64>,
}

impl Mean {
    /// Of `values`; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_error = (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
        (!values.is_empty()).then_some(Self { mean, standard_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_standard_errors_are_those_by_hand() {
        // Squares 4 + 1 + 9 of the distances from 5; s² = 14 / 2 = 7, and 7 / 3 under the root.
        let Mean { mean, standard_error } = Mean::of(&[3.0, 4.0, 8.0]).unwrap();
        assert_eq!(mean, 5.0);
        assert!((standard_error.unwrap() - (7.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(Mean::of(&[2.0, 4.0]), Some(Mean { mean: 3.0, standard_error: Some(1.0) }));
        assert_eq!(Mean::of(&[2.5]), Some(Mean { mean: 2.5, standard_error: None }));
        assert_eq!(Mean::of(&[]), None);
    }
}
