//! Random frequencies, and the products of vectors with them.

use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::orthogonal::orthogonalise;
use super::structured::StructuredProjection;
use crate::{Matrix, Purpose, Threads, matmul, stream};

/// Vectors projected in one matrix product. A block is always padded to this size, so that the products of a vector do
/// not depend on its neighbours to the last bit.
const BLOCK: usize = 32;

/// How the frequencies `w` of a random map are drawn. Each alone follows `N(0, nu I)` (for
/// [`Structured`](Self::Structured) nearly so); the kinds differ in how they depend on each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectionKind {
    /// Each by itself (Rahimi & Recht 2007).
    #[default]
    Independent,
    /// In blocks of `d` orthogonal ones (Yu et al. 2016, arXiv 1610.09072, section 3): a smaller error at the same cost
    /// of a map, and O(D d²) at the start.
    Orthogonal,
    /// Orthogonal ones of random signs and Walsh–Hadamard transforms (Yu et al. 2016, section 4): O(D log d) a vector.
    Structured,
}

/// `D` frequencies of `d` components, drawn once from the seed.
#[derive(Clone, Debug)]
pub(super) struct Projection {
    dim: usize,
    frequencies: usize,
    rows: Rows,
}

#[derive(Clone, Debug)]
enum Rows {
    /// `[D, d]`.
    Dense(Vec<f32>),
    Structured(StructuredProjection),
}

impl Projection {
    /// Draws `frequencies` (D) of `dim` (d) components at sharpness `nu`.
    pub fn new(kind: ProjectionKind, dim: usize, frequencies: usize, nu: f32, seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Projection, 0, 0);
        let scale = nu.sqrt();
        let mut dense = || {
            let normal = |_| scale * <StandardNormal as Distribution<f32>>::sample(&StandardNormal, &mut rng);
            (0..dim * frequencies).map(normal).collect()
        };
        let rows = match kind {
            ProjectionKind::Independent => Rows::Dense(dense()),
            ProjectionKind::Orthogonal => {
                let mut rows: Vec<f32> = dense();
                orthogonalise(&mut rows, dim);
                Rows::Dense(rows)
            }
            ProjectionKind::Structured => {
                Rows::Structured(StructuredProjection::new(dim, frequencies, scale, &mut rng))
            }
        };
        Self { dim, frequencies, rows }
    }

    /// Number of frequencies, `D`.
    pub fn frequencies(&self) -> usize {
        self.frequencies
    }

    /// Calls `sink(i, u, [w_1·u … w_D·u])` for vector `u` number `i`, `source(i).0 * source(i).1`, in order.
    pub fn map<'v>(
        &self,
        count: usize,
        source: impl Fn(usize) -> (&'v [f32], f32),
        mut sink: impl FnMut(usize, &[f32], &[f32]),
    ) {
        let (d, big_d) = (self.dim, self.frequencies);
        let mut block = vec![0.0; BLOCK * d];
        let mut products = vec![0.0; BLOCK * big_d];
        for first in (0..count).step_by(BLOCK) {
            let filled = BLOCK.min(count - first);
            for (i, target) in block.chunks_exact_mut(d).enumerate().take(filled) {
                let (vector, scale) = source(first + i);
                target.iter_mut().zip(vector).for_each(|(to, from)| *to = from * scale);
            }
            match &self.rows {
                Rows::Dense(rows) => {
                    let rows = Matrix::new(rows, big_d, d);
                    matmul(&mut products, big_d, 0.0, Matrix::new(&block, BLOCK, d), rows.t(), Threads::One);
                }
                Rows::Structured(rows) => rows.multiply(&block[..filled * d], &mut products[..filled * big_d]),
            }
            let vectors = block.chunks_exact(d).zip(products.chunks_exact(big_d)).take(filled);
            vectors.enumerate().for_each(|(i, (vector, products))| sink(first + i, vector, products));
        }
    }

    /// The frequencies themselves, `[D, d]`: of structured ones the products of the unit vectors.
    pub fn rows(&self) -> Vec<f32> {
        let (d, big_d) = (self.dim, self.frequencies);
        let structured = match &self.rows {
            Rows::Dense(rows) => return rows.clone(),
            Rows::Structured(structured) => structured,
        };
        let units: Vec<f32> = (0..d * d).map(|at| if at / d == at % d { 1.0 } else { 0.0 }).collect();
        let mut columns = vec![0.0; d * big_d];
        structured.multiply(&units, &mut columns);
        (0..big_d * d).map(|at| columns[at % d * big_d + at / d]).collect()
    }

    /// Bytes that the frequencies take.
    pub fn bytes(&self) -> usize {
        match &self.rows {
            Rows::Dense(rows) => size_of_val(rows.as_slice()),
            Rows::Structured(rows) => rows.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_vectors_are_multiplied_with() {
        let (dim, frequencies) = (5, 12);
        let vector = [0.3, -1.0, 0.2, 0.7, 2.0];
        for kind in [ProjectionKind::Independent, ProjectionKind::Orthogonal, ProjectionKind::Structured] {
            let projection = Projection::new(kind, dim, frequencies, 4.0, 5);
            let rows = projection.rows();
            projection.map(
                1,
                |_| (&vector, 1.0),
                |_, _, products| {
                    for (row, product) in rows.chunks_exact(dim).zip(products) {
                        assert!((crate::dot(row, &vector) - product).abs() < 1e-4, "{kind:?}");
                    }
                },
            );
        }
    }

    #[test]
    fn products_do_not_depend_on_the_neighbours() {
        let (dim, count, frequencies) = (20, 70, 50);
        let mut rng = stream(1, Purpose::Init, 0, 0);
        let vectors: Vec<f32> = (0..dim * count).map(|_| StandardNormal.sample(&mut rng)).collect();
        for kind in [ProjectionKind::Independent, ProjectionKind::Orthogonal, ProjectionKind::Structured] {
            let projection = Projection::new(kind, dim, frequencies, 4.0, 5);
            let vector = |i: usize| (&vectors[i * dim..][..dim], 0.3);
            let mut seen = 0;
            projection.map(count, vector, |i, u, together| {
                assert_eq!(i, seen);
                seen += 1;
                projection.map(1, |_| (u, 1.0), |_, _, alone| assert_eq!(together, alone, "{kind:?}, vector {i}"));
            });
            assert_eq!(seen, count);
        }
    }
}
