//! Orthogonal random features.

use rayon::prelude::*;

use crate::{add_scaled, dot};

/// Times a row is freed of its parts along the rows before it: after the second, what rounding left of the first is
/// gone.
const PASSES: usize = 2;

/// Makes Gaussian rows orthogonal in blocks of `dim` (Yu et al. 2016, arXiv 1610.09072, equation 4), each row keeping
/// its length. O(D d²).
///
/// Gram–Schmidt turns a block of independent Gaussian directions into a uniformly random orthogonal frame. The length
/// of a Gaussian vector follows `chi(d)` and depends neither on its direction nor on the other rows, so the lengths at
/// hand are those that the paper draws anew, and every row alone stays Gaussian.
///
/// # Shapes
/// - rows: `[D, dim]`; the last block may have fewer than `dim` rows
pub(super) fn orthogonalise(rows: &mut [f32], dim: usize) {
    rows.par_chunks_mut(dim * dim).for_each(|block| {
        let lengths: Vec<f32> = block.chunks_exact(dim).map(length).collect();
        for at in 0..lengths.len() {
            let (before, rest) = block.split_at_mut(at * dim);
            let row = &mut rest[..dim];
            for _ in 0..PASSES {
                before.chunks_exact(dim).for_each(|unit| add_scaled(row, -dot(row, unit), unit));
                scale(row, 1.0 / length(row));
            }
        }
        block.chunks_exact_mut(dim).zip(lengths).for_each(|(row, length)| scale(row, length));
    });
}

fn length(row: &[f32]) -> f32 {
    dot(row, row).sqrt()
}

fn scale(row: &mut [f32], factor: f32) {
    row.iter_mut().for_each(|x| *x *= factor);
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::{Purpose, stream};

    #[test]
    fn rows_of_a_block_are_orthogonal_and_keep_their_lengths() {
        let mut rng = stream(1, Purpose::Init, 0, 0);
        for (dim, count) in [(1, 3), (7, 7), (40, 100)] {
            let before: Vec<f32> = (0..dim * count).map(|_| StandardNormal.sample(&mut rng)).collect();
            let mut rows = before.clone();
            orthogonalise(&mut rows, dim);
            let row = |rows: &[f32], i: usize| rows[i * dim..][..dim].to_vec();
            for i in 0..count {
                let (old, new) = (length(&row(&before, i)), length(&row(&rows, i)));
                assert!((old - new).abs() < 1e-5 * old, "d = {dim}, row {i}: {new} for {old}");
                for j in i / dim * dim..i {
                    let cosine = dot(&row(&rows, i), &row(&rows, j)) / (new * length(&row(&rows, j)));
                    assert!(cosine.abs() < 1e-6, "d = {dim}, rows {i} and {j}: {cosine}");
                }
            }
        }
    }
}
