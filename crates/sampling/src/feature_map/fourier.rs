//! Random Fourier features of the Gaussian kernel.

use rand_distr::{Distribution, StandardNormal};

use crate::vector::{cos_sin, exp_in_place};
use crate::{Matrix, Purpose, Threads, matmul, stream};

/// Vectors mapped in one matrix product. A block is always padded to this size, so that the features of a vector do not
/// depend on its neighbours to the last bit.
const BLOCK: usize = 32;

/// The map's width is a multiple of this: rows of whole cache lines, and no odd ends in products.
const WIDTH_STEP: usize = 32;

/// `phi(u) = 1/sqrt(D) [cos(w_1·u) … cos(w_D·u), sin(w_1·u) … sin(w_D·u)]`, `2D` numbers, and zeros up to a width `F`
/// that is a multiple of 32.
///
/// With `w ~ N(0, nu I)`, `E[phi(u)·phi(v)] = exp(-nu |u - v|² / 2)` (Rahimi & Recht 2007), which for unit vectors is
/// `exp(nu (u·v - 1))`. The projection is drawn once from the seed and shared by classes and queries. The poster of
/// Rawat et al. 2019 prints `N(0, I/nu)`, which is the law of another kernel.
#[derive(Clone, Debug)]
pub struct FourierMap {
    projection: Vec<f32>,
    dim: usize,
    frequencies: usize,
    nu: f32,
}

impl FourierMap {
    /// Draws `frequencies` (D) directions of `dim` (d) components at sharpness `nu`.
    pub fn new(dim: usize, frequencies: usize, nu: f32, seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Projection, 0, 0);
        let scale = nu.sqrt();
        let normal = |_| scale * <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut rng);
        Self { projection: (0..dim * frequencies).map(normal).collect(), dim, frequencies, nu }
    }

    /// Width of the map, `F`: `2D` rounded up to a multiple of 32.
    pub fn width(&self) -> usize {
        Self::width_of(self.frequencies)
    }

    /// Width of a map of so many frequencies.
    pub(crate) fn width_of(frequencies: usize) -> usize {
        (2 * frequencies).next_multiple_of(WIDTH_STEP)
    }

    /// Maps vectors, each given scaled: vector `i` is `source(i).0 * source(i).1`. Calls `sink(i, phi)` in order.
    pub(crate) fn map<'v>(
        &self,
        count: usize,
        source: impl Fn(usize) -> (&'v [f32], f32),
        mut sink: impl FnMut(usize, &[f32]),
    ) {
        let (d, big_d) = (self.dim, self.frequencies);
        let mut block = vec![0.0; BLOCK * d];
        let mut angles = vec![0.0; BLOCK * big_d];
        let mut phi = vec![0.0; self.width()];
        let norm = 1.0 / (big_d as f32).sqrt();
        for first in (0..count).step_by(BLOCK) {
            let filled = BLOCK.min(count - first);
            for (i, target) in block.chunks_exact_mut(d).enumerate().take(filled) {
                let (vector, scale) = source(first + i);
                target.iter_mut().zip(vector).for_each(|(to, from)| *to = from * scale);
            }
            let projection = Matrix::new(&self.projection, big_d, d);
            matmul(&mut angles, big_d, 0.0, Matrix::new(&block, BLOCK, d), projection.t(), Threads::One);
            for (i, angles) in angles.chunks_exact(big_d).enumerate().take(filled) {
                let (cos, sin) = phi.split_at_mut(big_d);
                cos_sin(angles, norm, cos, &mut sin[..big_d]);
                sink(first + i, &phi);
            }
        }
    }

    /// The kernel itself, `exp(nu (x - 1))` for the product `x` of two unit vectors.
    pub(crate) fn kernel(&self, products: &mut [f32]) {
        products.iter_mut().for_each(|x| *x = self.nu * (*x - 1.0));
        exp_in_place(products);
    }

    /// Bytes of the projection.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.projection.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dot;
    use crate::half::{Half, Number};

    fn unit(seed: u64, dim: usize) -> Vec<f32> {
        let mut rng = stream(seed, Purpose::Init, 0, 0);
        let raw: Vec<f32> = (0..dim).map(|_| StandardNormal.sample(&mut rng)).collect();
        let norm = dot(&raw, &raw).sqrt();
        raw.iter().map(|x| x / norm).collect()
    }

    fn phi(map: &FourierMap, vector: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        map.map(1, |_| (vector, 1.0), |_, phi| out = phi.to_vec());
        out
    }

    #[test]
    fn products_estimate_the_gaussian_kernel_at_the_rate_of_one_over_d() {
        let (dim, nu) = (16, 4.0);
        let pairs: Vec<_> = (0..200).map(|i| (unit(2 * i, dim), unit(2 * i + 1, dim))).collect();
        let mean_squared_error = |frequencies| {
            let error = |(i, (u, v)): (usize, &(Vec<f32>, Vec<f32>))| {
                let map = FourierMap::new(dim, frequencies, nu, i as u64);
                f64::from(dot(&phi(&map, u), &phi(&map, v)) - (nu * (dot(u, v) - 1.0)).exp()).powi(2)
            };
            pairs.iter().enumerate().map(error).sum::<f64>() / pairs.len() as f64
        };
        // The variance of one frequency is at most 1/2, so the error is near 1/(2D).
        for frequencies in [64, 512] {
            let scaled = mean_squared_error(frequencies) * 2.0 * frequencies as f64;
            assert!((0.6..1.4).contains(&scaled), "D = {frequencies}: {scaled}");
        }
    }

    #[test]
    fn rounding_to_halves_moves_a_product_by_less_than_a_hundredth_of_its_error() {
        let (dim, nu) = (16, 4.0);
        let (mut rounding, mut error) = (0.0, 0.0);
        for i in 0..200 {
            let (u, v) = (unit(2 * i, dim), unit(2 * i + 1, dim));
            let map = FourierMap::new(dim, 128, nu, i);
            let (phi_u, phi_v) = (phi(&map, &u), phi(&map, &v));
            let halves: Vec<f32> = phi_v.iter().map(|&x| Half::nearest(x).widen()).collect();
            let estimate = dot(&phi_u, &phi_v);
            rounding += f64::from(dot(&phi_u, &halves) - estimate).powi(2);
            error += f64::from(estimate - (nu * (dot(&u, &v) - 1.0)).exp()).powi(2);
        }
        assert!(rounding < 1e-4 * error, "{rounding} and {error}");
    }

    #[test]
    fn features_do_not_depend_on_the_neighbours() {
        let (dim, count) = (20, 70);
        let vectors: Vec<Vec<f32>> = (0..count).map(|i| unit(i, dim)).collect();
        let map = FourierMap::new(dim, 24, 4.0, 5);
        map.map(
            count as usize,
            |i| (&vectors[i], 1.0),
            |i, together| assert_eq!(together, phi(&map, &vectors[i]), "vector {i}"),
        );
    }
}
