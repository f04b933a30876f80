//! The quadratic kernel and its exact feature map.

use std::f32::consts::SQRT_2;

use super::{MapForm, Term};
use crate::{Matrix, Threads, matmul};

/// Rows whose squares are summed in one matrix product: bounds the workspace, whatever the size of a leaf.
const BLOCK: usize = 256;

/// The map's width is a multiple of this: rows of whole cache lines, and no odd ends in products.
const WIDTH_STEP: usize = 32;

/// `K(u, v) = alpha (u·v)² + 1` (Blanc & Rendle 2018, section 3.3), as the product of two feature vectors.
///
/// `phi(u) = [sqrt(alpha) u_i u_j (times sqrt 2 where i < j), 1]`: the upper triangle of `u uᵀ`, row by row, and a
/// constant, `d(d + 1)/2 + 1` numbers, and zeros up to a width `F` that is a multiple of 32. The paper maps to all `d²` products; the triangle holds the same kernel in
/// half the memory. `K >= 1`, so estimates are never negative.
#[derive(Clone, Debug)]
pub struct QuadraticMap {
    dim: usize,
    /// `sqrt(alpha)`.
    root: f32,
    directions: bool,
}

impl QuadraticMap {
    /// The map of vectors of `dim` (d) components; `directions` says that they enter divided by their norm.
    pub fn new(dim: usize, alpha: f32, directions: bool) -> Self {
        Self { dim, root: alpha.sqrt(), directions }
    }

    /// Width of the map, `F`: `d(d + 1)/2 + 1` rounded up to a multiple of 32.
    pub fn width(&self) -> usize {
        (self.triangle() + 1).next_multiple_of(WIDTH_STEP)
    }

    /// Entries of the upper triangle; the constant stands after them.
    fn triangle(&self) -> usize {
        self.dim * (self.dim + 1) / 2
    }

    /// As [`FeatureMap::form`](super::FeatureMap::form).
    pub(crate) fn form(&self) -> MapForm {
        MapForm::Quadratic { alpha: self.root * self.root, directions: self.directions }
    }

    pub(crate) fn takes_directions(&self) -> bool {
        self.directions
    }

    /// As [`FeatureMap::map`](super::FeatureMap::map), one vector at a time.
    pub(crate) fn map<'v>(
        &self,
        count: usize,
        source: impl Fn(usize) -> (&'v [f32], f32),
        mut sink: impl FnMut(usize, &[f32]),
    ) {
        let mut phi = vec![0.0; self.width()];
        phi[self.triangle()] = 1.0;
        let mut scaled = vec![0.0; self.dim];
        for i in 0..count {
            let (vector, scale) = source(i);
            scaled.iter_mut().zip(vector).for_each(|(to, from)| *to = from * scale);
            let mut rest = &mut phi[..];
            for (at, x) in scaled.iter().enumerate() {
                let (row, after) = rest.split_at_mut(self.dim - at);
                let factor = SQRT_2 * self.root * x;
                row[0] = self.root * x * x;
                row[1..].iter_mut().zip(&scaled[at + 1..]).for_each(|(to, y)| *to = factor * y);
                rest = after;
            }
            sink(i, &phi);
        }
    }

    /// Adds the weighted features of all terms to one sum: their squares are the matrix product `Cᵀ W C`.
    pub(crate) fn add_terms(&self, terms: &[Term<'_>], sum: &mut [f32]) {
        let d = self.dim;
        let mut square = vec![0.0; d * d];
        let (mut rows, mut weighted) = (Vec::new(), Vec::new());
        for (number, terms) in terms.chunks(BLOCK).enumerate() {
            rows.clear();
            weighted.clear();
            for term in terms {
                rows.extend(term.row.iter().map(|x| x * term.scale));
                weighted.extend(term.row.iter().map(|x| x * term.scale * term.weight));
            }
            let (rows, weighted) = (Matrix::new(&rows, terms.len(), d), Matrix::new(&weighted, terms.len(), d));
            let beta = if number == 0 { 0.0 } else { 1.0 };
            matmul(&mut square, d, beta, rows.t(), weighted, Threads::One);
        }
        self.add_triangle(&square, sum);
        sum[self.triangle()] += terms.iter().map(|term| term.weight).sum::<f32>();
    }

    /// Adds the upper triangle of a symmetric `[d, d]` matrix, scaled as features are.
    fn add_triangle(&self, square: &[f32], sum: &mut [f32]) {
        let mut rest = sum;
        for (at, row) in square.chunks_exact(self.dim).enumerate() {
            let (sums, after) = rest.split_at_mut(self.dim - at);
            sums[0] += self.root * row[at];
            sums[1..].iter_mut().zip(&row[at + 1..]).for_each(|(sum, x)| *sum += SQRT_2 * self.root * x);
            rest = after;
        }
    }

    /// `alpha x² + 1` for the product `x` of two vectors.
    pub(crate) fn kernel(&self, products: &mut [f32]) {
        products.iter_mut().for_each(|x| {
            let x_root = self.root * *x;
            *x = x_root * x_root + 1.0;
        });
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::{Purpose, dot, stream};

    const DIM: usize = 7;

    fn vectors(count: usize) -> Vec<Vec<f32>> {
        let mut rng = stream(3, Purpose::Init, 0, 0);
        (0..count).map(|_| (0..DIM).map(|_| StandardNormal.sample(&mut rng)).collect()).collect()
    }

    fn features(map: &QuadraticMap, vectors: &[Vec<f32>], scale: f32) -> Vec<Vec<f32>> {
        let mut out = Vec::new();
        map.map(vectors.len(), |i| (&vectors[i], scale), |_, phi| out.push(phi.to_vec()));
        out
    }

    #[test]
    fn products_of_features_are_the_kernel() {
        let map = QuadraticMap::new(DIM, 100.0, false);
        let (vectors, scale) = (vectors(12), 0.5);
        let phi = features(&map, &vectors, scale);
        assert_eq!(phi[0].len(), map.width());
        for (u, phi_u) in vectors.iter().zip(&phi) {
            for (v, phi_v) in vectors.iter().zip(&phi) {
                let product = dot(u, v) * scale * scale;
                let want = 100.0 * product * product + 1.0;
                let mut kernel = [product];
                map.kernel(&mut kernel);
                assert!((kernel[0] - want).abs() < 1e-5 * want);
                // Rounding is relative to the lengths of the features, sqrt(K(u, u) K(v, v)).
                let length = (dot(phi_u, phi_u) * dot(phi_v, phi_v)).sqrt();
                assert!((dot(phi_u, phi_v) - want).abs() < 1e-6 * length, "{} and {want}", dot(phi_u, phi_v));
            }
        }
    }

    #[test]
    fn a_sum_of_many_terms_is_the_sum_of_their_features() {
        let map = QuadraticMap::new(DIM, 100.0, false);
        let (vectors, scale) = (vectors(2 * BLOCK + 9), 0.3);
        let weight = |i: usize| 0.1 * (i % 7) as f32 - 0.2;
        let term = |(i, row)| Term { place: 0, row, scale, weight: weight(i) };
        let terms: Vec<Term<'_>> = vectors.iter().map(Vec::as_slice).enumerate().map(term).collect();
        let (mut got, mut want) = (vec![0.5; map.width()], vec![0.5f64; map.width()]);
        map.add_terms(&terms, &mut got);
        for (i, phi) in features(&map, &vectors, scale).iter().enumerate() {
            want.iter_mut().zip(phi).for_each(|(sum, phi)| *sum += f64::from(weight(i) * phi));
        }
        for (got, want) in got.iter().zip(want) {
            assert!((f64::from(*got) - want).abs() < 1e-4 * want.abs().max(1.0), "{got} and {want}");
        }
    }
}
