//! The losses on slices: what is compared, its value, and its gradient in the same pass.

mod full;
mod row;
mod sampled;
mod score;
mod shared;
mod terms;
mod top_k;

pub(crate) use full::{FullTargets, full_softmax};
pub(crate) use sampled::{Layout, sampled_softmax};
pub(crate) use score::Score;
pub(crate) use shared::{SharedLayout, shared_softmax};
pub use top_k::Ranked;
pub(crate) use top_k::top_k;

use std::borrow::Cow;

use rf_sampling::ClassId;

use crate::Unique;

/// Bytes of logits that a dense loss has at a time.
const WORKSPACE: usize = 256 << 20;

/// Value and gradient of a loss.
#[derive(Clone, Debug, Default)]
pub(crate) struct LossValue {
    /// Negative log-likelihood of each query under the loss's own distribution, in nats; 0 for ignored queries.
    pub nll: Vec<f32>,
    /// Queries with a target.
    pub counted: usize,
    /// Gradient of the mean over counted queries, for the queries, `[B, d]`; empty if not asked for.
    pub grad_queries: Vec<f32>,
    /// The same for the class rows, `[rows, width]`.
    pub grad_rows: Vec<f32>,
}

impl LossValue {
    /// Mean over the queries with a target.
    pub fn mean(&self) -> f64 {
        self.nll.iter().map(|&nll| f64::from(nll)).sum::<f64>() / self.counted as f64
    }
}

/// Class rows: `d` columns of embedding, and one of bias if `width` is `d + 1`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClassRows<'a> {
    pub data: &'a [f32],
    pub dim: usize,
    pub width: usize,
    /// How their logits enter the softmax.
    pub score: Score,
}

impl<'a> ClassRows<'a> {
    fn row(&self, at: usize) -> &'a [f32] {
        &self.data[at * self.width..][..self.width]
    }

    fn len(&self) -> usize {
        self.data.len() / self.width
    }

    fn has_bias(&self) -> bool {
        self.width > self.dim
    }
}

/// The distinct classes of terms and candidates, ascending, and the positions in them of each term and of each candidate.
fn resolve(terms: &[ClassId], candidates: &[ClassId]) -> (Vec<ClassId>, Vec<u32>, Vec<u32>) {
    let list: Vec<ClassId> = terms.iter().chain(candidates).copied().collect();
    let Unique { ids, mut positions } = Unique::of(&list);
    let candidates = positions.split_off(terms.len());
    (ids, positions, candidates)
}

/// Queries with a column of ones where rows have a bias, so that the bias is part of the products.
fn with_ones<'q>(queries: &'q [f32], rows: ClassRows<'_>) -> Cow<'q, [f32]> {
    if !rows.has_bias() {
        return queries.into();
    }
    let row = |query: &'q [f32]| query.iter().copied().chain([1.0]);
    queries.chunks_exact(rows.dim).flat_map(row).collect()
}

/// The gradient of the queries from that of [`with_ones`].
fn without_ones(gradient: Vec<f32>, rows: ClassRows<'_>) -> Vec<f32> {
    if !rows.has_bias() {
        return gradient;
    }
    gradient.chunks_exact(rows.width).flat_map(|row| &row[..rows.dim]).copied().collect()
}
