//! What is known of the classes below each node: weight, weighted sum of the rows, sum of their squares.

use super::Dispersion;
use crate::vector::{add_scaled, exp_in_place};

/// Raw moments of the nodes, `[nodes, 1 + d + s]`, and what a query is multiplied with, `[nodes, d + s]`; `s` numbers of
/// dispersion: 0, 1 or `d`.
///
/// With weights `w_i = e^{b_i}` the second-order expansion of the cumulant function is `ln sum w_i exp(h·c_i) ≈ ln W +
/// h·mu + h'Sigma h / 2`, `mu` and `Sigma` the weighted mean and covariance: with the operand `[h, h²]` one product.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    dim: usize,
    dispersion: Dispersion,
    /// `[W, sum w c, sum w c²]` of each node.
    pub sums: Vec<f32>,
    /// `[mu, s²/2]` of each node.
    pub operands: Vec<f32>,
    /// `ln W` of each node.
    pub ln_weights: Vec<f32>,
}

impl Moments {
    pub fn zeros(nodes: usize, dim: usize, dispersion: Dispersion) -> Self {
        let mut moments = Self {
            dim,
            dispersion,
            sums: Vec::new(),
            operands: Vec::new(),
            ln_weights: vec![f32::NEG_INFINITY; nodes],
        };
        moments.sums = vec![0.0; nodes * moments.sum_width()];
        moments.operands = vec![0.0; nodes * moments.operand_width()];
        moments
    }

    fn spread(&self) -> usize {
        match self.dispersion {
            Dispersion::None => 0,
            Dispersion::Scalar => 1,
            Dispersion::Diagonal => self.dim,
        }
    }

    /// Numbers of the sums of a node.
    pub fn sum_width(&self) -> usize {
        1 + self.dim + self.spread()
    }

    /// Numbers of a node that a query is multiplied with.
    pub fn operand_width(&self) -> usize {
        self.dim + self.spread()
    }

    /// Whether no dispersion is kept.
    pub fn is_plain(&self) -> bool {
        self.dispersion == Dispersion::None
    }

    /// The centroid of a node.
    pub fn centroid(&self, row: usize) -> &[f32] {
        &self.operands[row * self.operand_width()..][..self.dim]
    }

    pub fn bytes(&self) -> usize {
        [&self.sums, &self.operands, &self.ln_weights].iter().map(|kept| size_of_val(kept.as_slice())).sum()
    }

    /// A query as the nodes take it: `h`, and `h²` or `|h|²`.
    pub fn extend(&self, query: &[f32], out: &mut Vec<f32>) {
        out.extend_from_slice(query);
        match self.dispersion {
            Dispersion::None => {}
            Dispersion::Scalar => out.push(crate::dot(query, query)),
            Dispersion::Diagonal => out.extend(query.iter().map(|x| x * x)),
        }
    }

    /// Adds a row, `scale` times `row`, of a weight to a sum; negative weights take it away.
    pub fn add(&self, sum: &mut [f32], row: &[f32], scale: f32, weight: f32) {
        sum[0] += weight;
        let (means, spreads) = sum[1..].split_at_mut(self.dim);
        add_scaled(means, weight * scale, row);
        let squared = weight * scale * scale;
        match self.dispersion {
            Dispersion::None => {}
            Dispersion::Scalar => spreads[0] += squared * crate::dot(row, row),
            Dispersion::Diagonal => add_squares(spreads, squared, row),
        }
    }

    /// Makes operand and `ln W` of a node from its sums.
    pub fn derive(&self, sum: &[f32], operand: &mut [f32]) -> f32 {
        // Rounding of new minus old may leave nothing of a tiny weight; any positive one keeps the law.
        let weight = sum[0].max(f32::MIN_POSITIVE);
        let (means, spreads) = operand.split_at_mut(self.dim);
        means.iter_mut().zip(&sum[1..]).for_each(|(mean, sum)| *mean = sum / weight);
        let second = &sum[1 + self.dim..];
        match self.dispersion {
            Dispersion::None => {}
            Dispersion::Scalar => {
                let variance = second[0] / weight - crate::dot(means, means);
                spreads[0] = 0.5 * variance.max(0.0) / self.dim as f32;
            }
            Dispersion::Diagonal => {
                let half_variance = |(second, mean): (&f32, &f32)| 0.5 * (second / weight - mean * mean).max(0.0);
                spreads.iter_mut().zip(second.iter().zip(&*means)).for_each(|(to, from)| *to = half_variance(from));
            }
        }
        weight.ln()
    }
}

/// `sum_j v_j x_j²`.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn weighted_squares(row: &[f32], weights: &[f32]) -> f32 {
    let mut lanes = [0.0; 16];
    let ((rows, rest), (weights, tail)) = (row.as_chunks::<16>(), weights.as_chunks::<16>());
    for (x, v) in rows.iter().zip(weights) {
        for lane in 0..16 {
            lanes[lane] += v[lane] * x[lane] * x[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().zip(tail).map(|(x, v)| v * x * x).sum::<f32>()
}

/// Masses from their logarithms: `exp(x - max x)`. Returns their sum.
pub(super) fn exponentials(masses: &mut [f32]) -> f64 {
    // Huge queries may overflow a product; a law needs finite numbers, not right ones, there.
    let tame = |x: f32| if x.is_nan() { -1e30 } else { x.clamp(-1e30, 1e30) };
    masses.iter_mut().for_each(|x| *x = tame(*x));
    let max = masses.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    masses.iter_mut().for_each(|x| *x -= max);
    exp_in_place(masses);
    masses.iter().map(|&mass| f64::from(mass)).sum()
}

/// `to += scale x²`.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn add_squares(to: &mut [f32], scale: f32, row: &[f32]) {
    to.iter_mut().zip(row).for_each(|(to, x)| *to += scale * x * x);
}
