//! Random Fourier features of the Gaussian kernel.

use super::projection::{Projection, ProjectionKind};
use super::{MapForm, gaussian_kernel, padded_width};
use crate::vector::cos_sin;

/// `phi(u) = 1/sqrt(D) [cos(w_1·u) … cos(w_D·u), sin(w_1·u) … sin(w_D·u)]`, `2D` numbers, and zeros up to a width `F`
/// that is a multiple of 32.
///
/// With `w ~ N(0, nu I)`, `E[phi(u)·phi(v)] = exp(-nu |u - v|² / 2)` (Rahimi & Recht 2007), which for unit vectors is
/// `exp(nu (u·v - 1))`. The projection is drawn once from the seed and shared by classes and queries. The poster of
/// Rawat et al. 2019 prints `N(0, I/nu)`, which is the law of another kernel.
#[derive(Clone, Debug)]
pub struct FourierMap {
    projection: Projection,
    nu: f32,
}

impl FourierMap {
    /// Draws `frequencies` (D) directions of `dim` (d) components at sharpness `nu`.
    pub fn new(kind: ProjectionKind, dim: usize, frequencies: usize, nu: f32, seed: u64) -> Self {
        Self { projection: Projection::new(kind, dim, frequencies, nu, seed), nu }
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
        let norm = 1.0 / (big_d as f32).sqrt();
        self.projection.map(count, source, |i, _, angles| {
            let (cos, sin) = phi.split_at_mut(big_d);
            cos_sin(angles, norm, cos, &mut sin[..big_d]);
            sink(i, &phi);
        });
    }

    /// The kernel itself, `exp(nu (x - 1))` for the product `x` of two unit vectors.
    pub(crate) fn kernel(&self, products: &mut [f32]) {
        gaussian_kernel(self.nu, products);
    }

    /// As [`FeatureMap::form`](super::FeatureMap::form).
    pub(crate) fn form(&self) -> MapForm {
        MapForm::Fourier { frequencies: self.projection.rows(), nu: self.nu }
    }

    /// Bytes of the projection.
    pub(crate) fn bytes(&self) -> usize {
        self.projection.bytes()
    }
}

#[cfg(test)]
mod tests {
    use crate::FeatureMapKind;
    use crate::dot;
    use crate::feature_map::testing::{phi, unit};
    use crate::half::{Half, Number};

    #[test]
    fn rounding_to_halves_moves_a_product_by_less_than_a_hundredth_of_its_error() {
        let (dim, nu) = (16, 4.0);
        let (mut rounding, mut error) = (0.0, 0.0);
        for i in 0..200 {
            let (u, v) = (unit(2 * i, dim), unit(2 * i + 1, dim));
            let map = FeatureMapKind::Fourier.build(dim, 128, nu, i);
            let (phi_u, phi_v) = (phi(&map, &u), phi(&map, &v));
            let halves: Vec<f32> = phi_v.iter().map(|&x| Half::nearest(x).widen()).collect();
            let estimate = dot(&phi_u, &phi_v);
            rounding += f64::from(dot(&phi_u, &halves) - estimate).powi(2);
            error += f64::from(estimate - (nu * (dot(&u, &v) - 1.0)).exp()).powi(2);
        }
        assert!(rounding < 1e-4 * error, "{rounding} and {error}");
    }
}
