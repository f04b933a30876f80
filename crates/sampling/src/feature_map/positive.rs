//! Positive random features.

use super::projection::{Projection, ProjectionKind};
use super::{MapForm, gaussian_kernel, padded_width};
use crate::dot;
use crate::vector::exp_in_place;

/// Largest exponent of a feature. Two features of `e^15`, the largest weight of a class, `e^40`, and 10⁸ classes still
/// multiply to a number of 32 bits, and so do features of 16 bits, which have the same range. A vector meets the limit
/// only where `w·u` lies more than `2 sqrt 15 = 7.7` standard deviations from zero, at any `nu`.
const LARGEST_EXPONENT: f32 = 15.0;

/// `phi(u) = exp(-nu |u|²)/sqrt(2D) [exp(w_1·u) … exp(w_D·u), exp(-w_1·u) … exp(-w_D·u)]`, `2D` numbers, and zeros up
/// to a width `F` that is a multiple of 32: the positive random features of Choromanski et al. 2021 (arXiv 2009.14794,
/// lemma 1), scaled to the kernel of [`FourierMap`](super::FourierMap).
///
/// With `w ~ N(0, nu I)`, `E[phi(u)·phi(v)] = exp(-nu |u - v|² / 2)`, and no estimate is ever negative. For unit
/// vectors of product `x` the mean squared error of independent frequencies is
/// `(exp(4 nu x) - exp(2 nu (x - 1))) (1 - exp(-2 nu (1 + x))) / (2D)`: below that of cosines and sines where the kernel
/// is small, `x < 0`, and far above it where it is not.
///
/// Frequencies are orthogonal, as in the paper (at nu = 1, x = 0.36, d = D = 256 an error of 3.1e-3 is measured; by the
/// formula independent ones have 7.2e-3), and come in pairs `±w`, its `SM^hyp+`: that is the last factor of the error,
/// 0.93 there, for half of the matrix product that `2D` single ones take.
#[derive(Clone, Debug)]
pub struct PositiveMap {
    projection: Projection,
    nu: f32,
}

impl PositiveMap {
    /// Largest `nu` whose features lie in the range of 32-bit numbers: products of two are near `exp(-2 nu)`.
    pub const LARGEST_NU: f32 = 40.0;

    /// Draws `frequencies` (D) directions of `dim` (d) components at sharpness `nu`.
    pub fn new(dim: usize, frequencies: usize, nu: f32, seed: u64) -> Self {
        Self { projection: Projection::new(ProjectionKind::Orthogonal, dim, frequencies, nu, seed), nu }
    }

    /// Width of the map, `F`: `2D` rounded up to a multiple of 32.
    pub fn width(&self) -> usize {
        padded_width(self.projection.frequencies())
    }

    /// As [`FeatureMap::map`](super::FeatureMap::map).
    pub(crate) fn map<'v>(
        &self,
        count: usize,
        source: impl Fn(usize) -> (&'v [f32], f32),
        mut sink: impl FnMut(usize, &[f32]),
    ) {
        let big_d = self.projection.frequencies();
        let mut phi = vec![0.0; self.width()];
        let ln_norm = -0.5 * (2.0 * big_d as f32).ln();
        self.projection.map(count, source, |i, vector, products| {
            let ln_scale = -self.nu * dot(vector, vector);
            let exponent = |product: f32| (product + ln_scale).min(LARGEST_EXPONENT) + ln_norm;
            let (plus, minus) = phi[..2 * big_d].split_at_mut(big_d);
            plus.iter_mut().zip(products).for_each(|(to, &product)| *to = exponent(product));
            minus.iter_mut().zip(products).for_each(|(to, &product)| *to = exponent(-product));
            exp_in_place(&mut phi[..2 * big_d]);
            sink(i, &phi);
        });
    }

    /// The kernel itself, `exp(nu (x - 1))` for the product `x` of two unit vectors.
    pub(crate) fn kernel(&self, products: &mut [f32]) {
        gaussian_kernel(self.nu, products);
    }

    /// As [`FeatureMap::form`](super::FeatureMap::form).
    pub(crate) fn form(&self) -> MapForm {
        MapForm::Positive { frequencies: self.projection.rows(), nu: self.nu }
    }

    /// Bytes of the projection.
    pub(crate) fn bytes(&self) -> usize {
        self.projection.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FeatureMap;
    use crate::feature_map::testing::{phi, unit};
    use crate::half::{Half, Number};

    #[test]
    fn features_are_never_negative_and_stay_in_range_even_along_a_frequency() {
        let (dim, frequencies) = (128, 64);
        for nu in [0.1, 4.0, 11.0, PositiveMap::LARGEST_NU] {
            let map = PositiveMap::new(dim, frequencies, nu, 3);
            let unit_vectors: Vec<Vec<f32>> =
                (0..dim).map(|at| (0..dim).map(|i| if i == at { 1.0 } else { 0.0 }).collect()).collect();
            // The first frequency, from its products with the unit vectors.
            let mut along = Vec::new();
            map.projection.map(dim, |i| (&unit_vectors[i], 1.0), |_, _, products| along.push(products[0]));
            let norm = dot(&along, &along).sqrt();
            along.iter_mut().for_each(|x| *x /= norm);
            let map = FeatureMap::Positive(map);
            // A feature against its own frequency may vanish; of a vector like any other, none does.
            for (vector, least) in [(along, 0.0), (unit(1, dim), f32::MIN_POSITIVE), (vec![0.0; dim], 0.01)] {
                let phi = phi(&map, &vector);
                assert!(phi.iter().all(|&x| x >= 0.0 && Half::nearest(x).widen().is_finite()), "nu = {nu}");
                assert!(phi[..2 * frequencies].iter().all(|&x| x >= least), "nu = {nu}");
                assert!((dot(&phi, &phi) * 40.0f32.exp() * 1e8).is_finite(), "nu = {nu}");
            }
        }
    }
}
