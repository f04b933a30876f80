//! Structured orthogonal random features.

use multiversion::multiversion;
use rand::{Rng, RngExt};
use rand_distr::{ChiSquared, Distribution};

use super::hadamard::rotated_hadamard;

/// Products with random signs, each followed by a transform.
const ROUNDS: usize = 3;

/// Frequencies as rows of `L H D1 H D2 H D3` (Yu et al. 2016, arXiv 1610.09072, section 4): `H` the Walsh–Hadamard
/// matrix of `p` rows over `sqrt p`, `D1 D2 D3` diagonals of random signs, `L` a diagonal of lengths. The products of a
/// vector with `p` frequencies cost O(p log p), and the frequencies take `16 D` bytes.
///
/// Vectors are padded with zeros to the next power of two, `p`; for more than `p` frequencies there are several such
/// blocks, for fewer than a multiple of `p` the last block is cut.
///
/// The paper gives all rows the length `sqrt p`. Here lengths follow `chi(p)`, as those of Gaussian vectors do, which
/// costs nothing: with equal lengths the estimate of the kernel has a bias that more frequencies do not remove
/// (measured: -0.0022 at d = 64, nu = 1, cosine 0.5; -0.044 at d = 8, cosine 0; none is seen with `chi`).
///
/// Padding spoils the orthogonality: rows cut to `d` components meet at an angle. At d = 200 and D = d the error is 2.5
/// times that of [orthogonal](super::ProjectionKind::Orthogonal) frequencies, and a third of that of independent ones.
/// Measured for 32 vectors with AVX-512 at D = 1024, the cosines and sines included, a map takes 1.06 times as long as
/// with a matrix product at d = 64, 0.47 at 128, 0.30 at 256 and 0.15 at 512; for a single vector, which a product pads
/// to a whole block, less than a tenth.
#[derive(Clone, Debug)]
pub(super) struct StructuredProjection {
    dim: usize,
    padded: usize,
    frequencies: usize,
    /// `[blocks, ROUNDS, p]`.
    signs: Vec<f32>,
    /// What the products of the unscaled transforms are multiplied with, `[D]`.
    lengths: Vec<f32>,
}

impl StructuredProjection {
    /// Draws `frequencies` (D) of `dim` (d) components, with normal components of deviation `scale`.
    pub fn new(dim: usize, frequencies: usize, scale: f32, rng: &mut impl Rng) -> Self {
        let padded = dim.next_power_of_two();
        let blocks = frequencies.div_ceil(padded);
        let sign = |positive: bool| if positive { 1.0 } else { -1.0 };
        let signs = (0..blocks * ROUNDS * padded).map(|_| sign(rng.random())).collect();
        let squared = ChiSquared::new(padded as f32).expect("there is at least one component");
        // Each of the three transforms lengthens a vector by sqrt p.
        let unit = scale / (padded as f32).powf(0.5 * ROUNDS as f32);
        let lengths = (0..frequencies).map(|_| unit * squared.sample(rng).sqrt()).collect();
        Self { dim, padded, frequencies, signs, lengths }
    }

    /// Products of vectors with all frequencies.
    ///
    /// # Shapes
    /// - vectors: `[k, d]`
    /// - products: `[k, D]`
    pub fn multiply(&self, vectors: &[f32], products: &mut [f32]) {
        let p = self.padded;
        let (mut work, mut other) = (vec![0.0; p], vec![0.0; p]);
        for (vector, products) in vectors.chunks_exact(self.dim).zip(products.chunks_exact_mut(self.frequencies)) {
            let blocks = self.signs.chunks_exact(ROUNDS * p).zip(self.lengths.chunks(p)).zip(products.chunks_mut(p));
            for ((signs, lengths), products) in blocks {
                multiply_block(vector, signs, lengths, [&mut work, &mut other], products);
            }
        }
    }

    /// Bytes of signs and lengths.
    pub fn bytes(&self) -> usize {
        size_of_val(self.signs.as_slice()) + size_of_val(self.lengths.as_slice())
    }
}

/// Products of a vector with the frequencies of one block.
///
/// # Shapes
/// - vector: `[d]`
/// - signs: `[ROUNDS, p]`
/// - lengths, products: at most `[p]`
/// - work: twice `[p]`
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn multiply_block(vector: &[f32], signs: &[f32], lengths: &[f32], work: [&mut [f32]; 2], products: &mut [f32]) {
    let [work, other] = work;
    // A length known to the compiler saves a third of the time at 128; at 64 it loses more than that.
    match work.len() {
        128 => transform(vector, signs, &mut work[..128], &mut other[..128]),
        _ => transform(vector, signs, work, other),
    }
    products.iter_mut().zip(work.iter().zip(lengths)).for_each(|(to, (x, length))| *to = x * length);
}

/// `work ← H D1 H D2 H D3 vector`, up to the order of the rows and a factor.
#[inline(always)]
fn transform(vector: &[f32], signs: &[f32], work: &mut [f32], other: &mut [f32]) {
    let (filled, padding) = work.split_at_mut(vector.len());
    filled.copy_from_slice(vector);
    padding.fill(0.0);
    for signs in signs.chunks_exact(work.len()) {
        work.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
        rotated_hadamard(work, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, dot, stream};

    /// The frequencies themselves, `[D, d]`: the products of the unit vectors.
    fn rows(dim: usize, frequencies: usize, scale: f32) -> Vec<Vec<f32>> {
        let projection = StructuredProjection::new(dim, frequencies, scale, &mut stream(3, Purpose::Projection, 0, 0));
        let units: Vec<f32> = (0..dim * dim).map(|at| if at / dim == at % dim { 1.0 } else { 0.0 }).collect();
        let mut columns = vec![f32::NAN; dim * frequencies];
        projection.multiply(&units, &mut columns);
        (0..frequencies).map(|row| (0..dim).map(|column| columns[column * frequencies + row]).collect()).collect()
    }

    #[test]
    fn rows_of_a_block_are_orthogonal_where_nothing_is_padded() {
        for (dim, frequencies) in [(1, 2), (8, 8), (64, 150)] {
            let rows = rows(dim, frequencies, 2.0);
            for i in 0..frequencies {
                for j in i / dim * dim..i {
                    let cosine = dot(&rows[i], &rows[j]) / (dot(&rows[i], &rows[i]) * dot(&rows[j], &rows[j])).sqrt();
                    assert!(cosine.abs() < 1e-5, "d = {dim}, rows {i} and {j}: {cosine}");
                }
            }
        }
    }

    #[test]
    fn components_have_the_variance_that_was_asked_for() {
        for dim in [40, 64] {
            let rows = rows(dim, 4096, 2.0);
            let mean = rows.iter().map(|row| dot(row, row)).sum::<f32>() / (4096 * dim) as f32;
            assert!((mean / 4.0 - 1.0).abs() < 0.02, "d = {dim}: {mean}");
        }
    }
}
