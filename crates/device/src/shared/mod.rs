//! Candidates that all queries of a batch share.
//!
//! Their logits are one product of matrices and their gradients two, which whoever calls computes with a library for that; kernels do what
//! stands between: draws, rows side by side, the softmax of each query, and the gradients of rows brought together. The true classes of
//! the queries are edges, as where every query draws for itself, with [`Lists`] that have no draws.

mod draw;
mod loss;
mod rows;

pub(crate) use draw::BATCH_PLACE;
pub use loss::SharedLoss;
pub use rows::SharedRows;

use crate::Buffer;
#[cfg(doc)]
use crate::Lists;

/// Candidates that all queries of a batch share. A class that was drawn several times is several of them.
#[derive(Clone, Debug)]
pub struct SharedCandidates {
    /// Classes, `[M]`.
    pub ids: Buffer<u32>,
    /// What is subtracted from the logits of each: `ln(M q)`, `[M]`.
    pub corrections: Buffer<f32>,
}

impl SharedCandidates {
    /// Room for some candidates, of no particular value.
    pub(crate) fn empty(client: &cubecl::client::Client, count: usize) -> Self {
        Self { ids: Buffer::empty(client, count), corrections: Buffer::empty(client, count) }
    }

    /// Number of candidates `M`.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests;
