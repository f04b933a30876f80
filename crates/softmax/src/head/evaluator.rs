//! Evaluation, over all classes.

use std::borrow::Cow;
#[cfg(feature = "device")]
use std::sync::OnceLock;

use burn::tensor::Tensor;
use rf_sampling::ClassId;

use super::SampledSoftmaxLoss;
#[cfg(feature = "device")]
use super::on_device::OnDevice;
use super::store::Store;
#[cfg(feature = "device")]
use crate::device::plain;
use crate::loss::{FullTargets, Ranked, full_softmax, top_k};
use crate::normalize::divide_by_norms;
use crate::{Error, Labels, OtherLabels, Reduction, to_vec};

/// The softmax over all classes of a head as it stands, for evaluation over many batches.
///
/// Holds the rows as they enter the logits: one normalised copy of the table, or the table itself if the loss does not
/// normalise. Of a head on a graphics card it holds nothing: rows and logits stay there, a part of them at a time.
#[derive(Clone, Debug)]
pub struct Evaluator<'h> {
    head: &'h SampledSoftmaxLoss,
    rows: Rows<'h>,
}

/// The class rows as they enter the logits, `[n, width]`.
#[derive(Clone, Debug)]
enum Rows<'h> {
    Host(Cow<'h, [f32]>),
    /// On a graphics card; a copy for those who ask for it.
    #[cfg(feature = "device")]
    Device(&'h OnDevice, OnceLock<Vec<f32>>),
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
        let queries = self.queries(h)?;
        match &self.rows {
            Rows::Host(rows) => Ok(full_softmax(&to_vec(queries), head.scored(rows), targets, false).nll),
            #[cfg(feature = "device")]
            Rows::Device(parts, _) => Ok(parts.nll(queries, &labels, &terms)),
        }
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
        let queries = self.queries(h)?;
        match &self.rows {
            Rows::Host(rows) => Ok(top_k(&to_vec(queries), self.head.scored(rows), k, left_out)),
            #[cfg(feature = "device")]
            Rows::Device(parts, _) => Ok(parts.top_k(queries, k, left_out)),
        }
    }

    /// Rows as they enter the logits, `[n, width]`: the embedding, normalised if the loss normalises, and the bias if there is
    /// one. Those of a graphics card are copied, once.
    pub fn rows(&self) -> &[f32] {
        match &self.rows {
            Rows::Host(rows) => rows,
            #[cfg(feature = "device")]
            Rows::Device(parts, copy) => copy.get_or_init(|| {
                let mut rows = parts.rows();
                if self.head.config.normalized {
                    divide_by_norms(&mut rows, self.head.width(), self.head.dim);
                }
                rows
            }),
        }
    }

    /// Queries as they enter the logits, outside autodiff, where the rows are.
    fn queries(&self, h: Tensor<2>) -> Result<Tensor<2>, Error> {
        let h = if h.device().is_autodiff() { h.inner() } else { h };
        #[cfg(feature = "device")]
        let h = match &self.rows {
            Rows::Host(_) => h,
            Rows::Device(..) => h.to_device(&plain(&self.head.device)),
        };
        Ok(self.head.queries(h)?.0)
    }
}

impl SampledSoftmaxLoss {
    /// Prepares an evaluation: normalises the rows once, for all its batches. O(n d); on a graphics card nothing.
    pub fn evaluator(&self) -> Evaluator<'_> {
        let table = match &self.store {
            Store::Host(parts) => &parts.table,
            #[cfg(feature = "device")]
            Store::Device(parts) => return Evaluator { head: self, rows: Rows::Device(parts, OnceLock::new()) },
        };
        let mut rows = Cow::Borrowed(table.data());
        if self.config.normalized {
            divide_by_norms(rows.to_mut(), self.width(), self.dim);
        }
        Evaluator { head: self, rows: Rows::Host(rows) }
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
