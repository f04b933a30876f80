//! The losses on slices: what is compared, its value, and its gradient in the same pass.

mod full;
mod sampled;
mod score;

pub(crate) use full::full_softmax;
pub(crate) use sampled::{Layout, sampled_softmax};
pub(crate) use score::Score;

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
