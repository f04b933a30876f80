//! The random maps a configuration can name.

use serde::{Deserialize, Serialize};

use super::{FeatureMap, FourierMap, PositiveMap, ProjectionKind, padded_width};

/// A random map of the Gaussian kernel by name, as in a configuration file. All have the same width for the same `D`.
///
/// | map | mean squared error of a product of unit vectors, `r = |u - v|` | a vector |
/// |---|---|---|
/// | `fourier` | `(1 - exp(-nu r²))² / (2D)` | O(dD) |
/// | `orthogonal` | smaller for near vectors, an eighth at `nu r² = 1.3` and D = d = 256; the same for far ones | O(dD) |
/// | `structured` | as `orthogonal` where d is a power of two | O(D log d), faster from d = 128 |
/// | `positive` | smaller for far vectors alone, never negative: see [`PositiveMap`] | O(dD) |
///
/// `examples/kernel_error.rs` measures the errors, `benches/feature_maps.rs` the times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureMapKind {
    /// Cosines and sines of independent frequencies, as published.
    #[default]
    Fourier,
    /// Cosines and sines of [orthogonal](ProjectionKind::Orthogonal) frequencies.
    Orthogonal,
    /// Cosines and sines of [structured](ProjectionKind::Structured) frequencies.
    Structured,
    /// Exponentials, which are never negative: [`PositiveMap`].
    Positive,
}

impl FeatureMapKind {
    /// Every map.
    pub const ALL: [Self; 4] = [Self::Fourier, Self::Orthogonal, Self::Structured, Self::Positive];

    /// The map of vectors of `dim` (d) components with `frequencies` (D) frequencies at sharpness `nu`.
    pub fn build(self, dim: usize, frequencies: usize, nu: f32, seed: u64) -> FeatureMap {
        let fourier = |kind| FeatureMap::Fourier(FourierMap::new(kind, dim, frequencies, nu, seed));
        match self {
            Self::Fourier => fourier(ProjectionKind::Independent),
            Self::Orthogonal => fourier(ProjectionKind::Orthogonal),
            Self::Structured => fourier(ProjectionKind::Structured),
            Self::Positive => FeatureMap::Positive(PositiveMap::new(dim, frequencies, nu, seed)),
        }
    }

    /// Width of the map of so many frequencies, `F`.
    pub(crate) fn width(self, frequencies: usize) -> usize {
        padded_width(frequencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dot;
    use crate::feature_map::testing::{phi, unit};

    /// Two unit vectors of product `x`.
    fn pair(dim: usize, x: f32, seed: u64) -> (Vec<f32>, Vec<f32>) {
        let (u, other) = (unit(2 * seed, dim), unit(2 * seed + 1, dim));
        let product = dot(&u, &other);
        let across: Vec<f32> = other.iter().zip(&u).map(|(y, u)| y - product * u).collect();
        let scale = ((1.0 - x * x) / dot(&across, &across)).sqrt();
        let v = u.iter().zip(&across).map(|(u, y)| x * u + scale * y).collect();
        (u, v)
    }

    /// Mean and mean square of the errors of as many maps, each with a pair of its own.
    fn errors(kind: FeatureMapKind, dim: usize, frequencies: usize, nu: f32, x: f32, maps: u64) -> (f64, f64) {
        let error = |seed| {
            let (u, v) = pair(dim, x, seed);
            let map = kind.build(dim, frequencies, nu, seed);
            f64::from(dot(&phi(&map, &u), &phi(&map, &v)) - (nu * (x - 1.0)).exp())
        };
        let errors: Vec<f64> = (0..maps).map(error).collect();
        let mean = |of: &dyn Fn(f64) -> f64| errors.iter().map(|&error| of(error)).sum::<f64>() / maps as f64;
        (mean(&|error| error), mean(&|error| error * error))
    }

    /// The mean squared error of one independent frequency, by the formulas of both kinds of features.
    fn theory(kind: FeatureMapKind, nu: f64, x: f64) -> f64 {
        if kind == FeatureMapKind::Positive {
            ((4.0 * nu * x).exp() - (2.0 * nu * (x - 1.0)).exp()) * (1.0 - (-2.0 * nu * (1.0 + x)).exp()) / 2.0
        } else {
            (1.0 - (-2.0 * nu * (1.0 - x)).exp()).powi(2) / 2.0
        }
    }

    const MAPS: u64 = 400;

    #[test]
    fn estimates_have_no_bias_and_at_most_the_error_of_independent_frequencies() {
        let (dim, nu) = (16, 2.0);
        for kind in FeatureMapKind::ALL {
            for (frequencies, x) in [(16, -0.3), (64, 0.3)] {
                let (bias, squared) = errors(kind, dim, frequencies, nu, x, MAPS);
                let name = format!("{kind:?}, D = {frequencies}, x = {x}");
                assert!(bias.abs() < 4.0 * (squared / MAPS as f64).sqrt(), "{name}: bias {bias}, {squared} squared");
                let ratio = squared * frequencies as f64 / theory(kind, f64::from(nu), f64::from(x));
                let least = if kind == FeatureMapKind::Fourier { 0.8 } else { 0.2 };
                assert!((least..1.25).contains(&ratio), "{name}: {ratio} of the error in theory");
            }
        }
    }

    #[test]
    fn orthogonal_frequencies_err_less_than_independent_ones() {
        let (dim, nu, x) = (32, 1.0, 0.4);
        let squared = |kind| errors(kind, dim, dim, nu, x, MAPS).1;
        let independent = squared(FeatureMapKind::Fourier);
        for kind in [FeatureMapKind::Orthogonal, FeatureMapKind::Structured] {
            let ratio = squared(kind) / independent;
            assert!(ratio < 0.6, "{kind:?}: {ratio} of the error of independent frequencies");
        }
    }

    #[test]
    fn names_are_those_of_a_configuration() {
        let names = FeatureMapKind::ALL.map(|kind| serde_json::to_value(kind).unwrap());
        assert_eq!(names, ["fourier", "orthogonal", "structured", "positive"]);
    }
}
