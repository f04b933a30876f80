//! The full softmax, value and gradient in one pass over blocks of queries.

use rayon::prelude::*;
use rf_sampling::{Matrix, Threads, matmul};

use super::row::softmax_row;
use super::terms::{TrueScores, terms_loss};
use super::{ClassRows, LossValue, WORKSPACE, with_ones, without_ones};
use crate::labels::Terms;
use crate::{Labels, OtherLabels};

/// What the full softmax is trained on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FullTargets<'a> {
    pub terms: &'a Terms,
    /// All true classes.
    pub labels: &'a Labels,
    pub others: OtherLabels,
}

/// Value and, if asked, gradient of `ln(sum_i e^{o_i}) - o_t` over all classes, with `|o|` for `o` in the absolute
/// softmax. Of a query with several true classes the weighted sum of their terms, the others left out of the sum over `i`
/// or not.
///
/// A block of queries is scored, turned into probabilities in place, and spent on both gradients before the next block
/// begins: no logits are kept for a backward pass or computed twice, and memory is bounded by a workspace of 256 MiB
/// (or one query's logits, if those are more).
///
/// # Shapes
/// - queries: `[B, d]`
/// - rows: `[n, width]`
pub(crate) fn full_softmax(
    queries: &[f32],
    rows: ClassRows<'_>,
    targets: FullTargets<'_>,
    gradient: bool,
) -> LossValue {
    let (n, width, batch) = (rows.len(), rows.width, targets.terms.len());
    let counted = targets.terms.counted;
    let pass = Pass { targets, rows, scale: 1.0 / counted.max(1) as f32 };
    let extended = with_ones(queries, rows);
    let table = Matrix::new(rows.data, n, width);
    let block = (WORKSPACE / 4 / n).clamp(1, batch.max(1));
    let mut logits = vec![0.0; block * n];
    let mut value = LossValue { nll: Vec::with_capacity(batch), counted, ..LossValue::default() };
    let mut grad_extended = vec![0.0; if gradient { extended.len() } else { 0 }];
    value.grad_rows = vec![0.0; if gradient { rows.data.len() } else { 0 }];
    for first in (0..batch).step_by(block) {
        let (from, count) = (first * width, block.min(batch - first));
        let queries = Matrix::new(&extended[from..from + count * width], count, width);
        let logits = &mut logits[..count * n];
        matmul(logits, n, 0.0, queries, table.t(), Threads::Pool);
        let rows = logits.par_chunks_mut(n).enumerate();
        let nll: Vec<f32> = rows.map(|(place, logits)| pass.loss(first + place, logits)).collect();
        value.nll.extend(nll);
        if gradient {
            let probabilities = Matrix::new(logits, count, n);
            let into = &mut grad_extended[from..from + count * width];
            matmul(into, width, 0.0, probabilities, table, Threads::Pool);
            let beta = if first == 0 { 0.0 } else { 1.0 };
            matmul(&mut value.grad_rows, width, beta, probabilities.t(), queries, Threads::Pool);
        }
    }
    value.grad_queries = without_ones(grad_extended, rows);
    value
}

/// What all queries of a batch are scored with.
struct Pass<'a> {
    targets: FullTargets<'a>,
    rows: ClassRows<'a>,
    /// One over the number of queries with a true class.
    scale: f32,
}

impl Pass<'_> {
    /// Turns the logits of a query into the gradient of its loss and returns the loss; all zero for a query without a
    /// true class.
    fn loss(&self, query: usize, logits: &mut [f32]) -> f32 {
        let FullTargets { terms, labels, others } = self.targets;
        let range = terms.range(query);
        if range.is_empty() {
            logits.fill(0.0);
            return 0.0;
        }
        let (ids, weights) = (&terms.ids[range.clone()], &terms.weights[range]);
        let slopes = self.rows.score.apply(logits);
        let one_sum = others == OtherLabels::Included || labels.of(query).len() == 1;
        let nll = if one_sum {
            let left_out = labels.excluded(query).iter().filter(|id| ids.binary_search(id).is_err());
            left_out.for_each(|&id| logits[id as usize] = f32::NEG_INFINITY);
            let targets: Vec<(usize, f32)> = ids.iter().map(|&id| id as usize).zip(weights.iter().copied()).collect();
            softmax_row(logits, &targets, self.scale)
        } else {
            let mut scores: Vec<f32> = ids.iter().map(|&id| logits[id as usize]).collect();
            labels.excluded(query).iter().for_each(|&id| logits[id as usize] = f32::NEG_INFINITY);
            let nll = terms_loss(logits, TrueScores { scores: &mut scores, weights, others }, self.scale);
            ids.iter().zip(scores).for_each(|(&id, gradient)| logits[id as usize] = gradient);
            nll
        };
        slopes.apply(logits);
        nll
    }
}
