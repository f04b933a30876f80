//! Evaluation, over all classes.

use std::borrow::Cow;

use burn::tensor::Tensor;
use rf_sampling::ClassId;

use super::SampledSoftmaxLoss;
use crate::loss::full_softmax;
use crate::normalize::divide_by_norms;
use crate::{Error, to_vec};

/// The softmax over all classes of a head as it stands, for evaluation over many batches.
///
/// Holds the rows as they enter the logits: one normalised copy of the table, or the table itself if the loss does not
/// normalise.
#[derive(Clone, Debug)]
pub struct Evaluator<'h> {
    head: &'h SampledSoftmaxLoss,
    rows: Cow<'h, [f32]>,
}

impl Evaluator<'_> {
    /// Negative log-likelihood of each target under the softmax over all classes, in nats; 0 for ignored targets.
    /// O(B n d), in blocks of bounded memory.
    ///
    /// # Shapes
    /// - h: `[B, d]`
    /// - output: `[B]`
    ///
    /// # Errors
    /// [`Error::BadTarget`] for a target that is no class.
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn nll(&self, h: Tensor<2>, targets: &[ClassId]) -> Result<Vec<f32>, Error> {
        let head = self.head;
        head.check_ids(&h, targets)?;
        let h = if h.device().is_autodiff() { h.inner() } else { h };
        let (queries, _) = head.queries(h)?;
        Ok(full_softmax(&to_vec(queries), head.scored(&self.rows), targets, false).nll)
    }
}

impl SampledSoftmaxLoss {
    /// Prepares an evaluation: normalises the rows once, for all its batches. O(n d).
    pub fn evaluator(&self) -> Evaluator<'_> {
        let mut rows = Cow::Borrowed(self.table.data());
        if self.config.normalized {
            divide_by_norms(rows.to_mut(), self.table.width(), self.dim);
        }
        Evaluator { head: self, rows }
    }

    /// Negative log-likelihood of each target under the softmax over all classes, in nats. For more than one batch,
    /// make an [`evaluator`](Self::evaluator).
    ///
    /// # Shapes
    /// - h: `[B, d]`
    /// - output: `[B]`
    ///
    /// # Errors
    /// [`Error::BadTarget`] for a target that is no class.
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn exact_nll(&self, h: Tensor<2>, targets: &[ClassId]) -> Result<Vec<f32>, Error> {
        self.evaluator().nll(h, targets)
    }
}
