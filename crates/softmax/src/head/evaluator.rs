//! Evaluation, over all classes.

use std::borrow::Cow;

use burn::tensor::Tensor;
use rf_sampling::ClassId;

use super::SampledSoftmaxLoss;
use crate::loss::{FullTargets, Ranked, full_softmax, top_k};
use crate::normalize::divide_by_norms;
use crate::{Error, Labels, OtherLabels, Reduction, to_vec};

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
        let (head, labels) = (self.head, Labels::one_each(targets));
        head.check_ids(&h, &labels)?;
        let terms = labels.terms(Reduction::default(), OtherLabels::Included, 0, 0);
        let targets = FullTargets { terms: &terms, labels: &labels, others: OtherLabels::Included };
        Ok(full_softmax(&self.queries(h)?, head.scored(&self.rows), targets, false).nll)
    }

    /// The `k` classes of the largest logits for each query, best first, of equal ones the lower id; fewer if there are
    /// fewer classes. Exact: O(B n d), in blocks of bounded memory, whatever `n`.
    ///
    /// # Shapes
    /// - h: `[B, d]`
    /// - left_out: classes that a query must not be given; no lists for none
    ///
    /// # Errors
    /// None with a head that this crate made.
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn top_k(&self, h: Tensor<2>, k: usize, left_out: Option<&Labels>) -> Result<Vec<Vec<Ranked>>, Error> {
        let [batch, width] = h.dims();
        assert_eq!(width, self.head.dim, "queries of {width} components");
        assert!(left_out.is_none_or(|lists| lists.len() == batch), "as many lists as queries");
        Ok(top_k(&self.queries(h)?, self.head.scored(&self.rows), k, left_out))
    }

    /// Rows as they enter the logits, `[n, width]`: the embedding, normalised if the loss normalises, and the bias if there is
    /// one.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// Queries as they enter the logits, outside autodiff.
    fn queries(&self, h: Tensor<2>) -> Result<Vec<f32>, Error> {
        let h = if h.device().is_autodiff() { h.inner() } else { h };
        Ok(to_vec(self.head.queries(h)?.0))
    }
}

impl SampledSoftmaxLoss {
    /// Prepares an evaluation: normalises the rows once, for all its batches. O(n d).
    pub fn evaluator(&self) -> Evaluator<'_> {
        let mut rows = Cow::Borrowed(self.table().data());
        if self.config.normalized {
            divide_by_norms(rows.to_mut(), self.width(), self.dim);
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
