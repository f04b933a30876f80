//! The full softmax, value and gradient in one pass over blocks of queries.

use rayon::prelude::*;
use rf_sampling::{ClassId, Matrix, Threads, matmul};

use super::row::softmax_row;
use super::{ClassRows, LossValue, Score, WORKSPACE, with_ones, without_ones};
use crate::IGNORED;

/// Value and, if asked, gradient of `ln(sum_i e^{o_i}) - o_t` over all classes, with `|o|` for `o` in the absolute
/// softmax.
///
/// A block of queries is scored, turned into probabilities in place, and spent on both gradients before the next block
/// begins: no logits are kept for a backward pass or computed twice, and memory is bounded by a workspace of 256 MiB
/// (or one query's logits, if those are more).
///
/// # Shapes
/// - queries: `[B, d]`
/// - rows: `[n, width]`
/// - targets: `[B]`
pub(crate) fn full_softmax(queries: &[f32], rows: ClassRows<'_>, targets: &[ClassId], gradient: bool) -> LossValue {
    let (n, width, score) = (rows.len(), rows.width, rows.score);
    let counted = targets.iter().filter(|&&target| target != IGNORED).count();
    let scale = 1.0 / counted.max(1) as f32;
    let extended = with_ones(queries, rows);
    let table = Matrix::new(rows.data, n, width);
    let block = (WORKSPACE / 4 / n).clamp(1, targets.len().max(1));
    let mut logits = vec![0.0; block * n];
    let mut value = LossValue { nll: Vec::with_capacity(targets.len()), counted, ..LossValue::default() };
    let mut grad_extended = vec![0.0; if gradient { extended.len() } else { 0 }];
    value.grad_rows = vec![0.0; if gradient { rows.data.len() } else { 0 }];
    for (number, targets) in targets.chunks(block).enumerate() {
        let (from, count) = (number * block * width, targets.len());
        let queries = Matrix::new(&extended[from..from + count * width], count, width);
        let logits = &mut logits[..count * n];
        matmul(logits, n, 0.0, queries, table.t(), Threads::Pool);
        let softmax = |(row, &target): (&mut [f32], &ClassId)| softmax_of(row, target, score, scale);
        let nll: Vec<f32> = logits.par_chunks_mut(n).zip(targets).map(softmax).collect();
        value.nll.extend(nll);
        if gradient {
            let probabilities = Matrix::new(logits, count, n);
            let into = &mut grad_extended[from..from + count * width];
            matmul(into, width, 0.0, probabilities, table, Threads::Pool);
            let beta = if number == 0 { 0.0 } else { 1.0 };
            matmul(&mut value.grad_rows, width, beta, probabilities.t(), queries, Threads::Pool);
        }
    }
    value.grad_queries = without_ones(grad_extended, rows);
    value
}

/// Turns the logits of a query into the gradient of its loss and returns the loss; all zero for an ignored target.
fn softmax_of(logits: &mut [f32], target: ClassId, score: Score, scale: f32) -> f32 {
    if target == IGNORED {
        logits.fill(0.0);
        return 0.0;
    }
    let slopes = score.apply(logits);
    let nll = softmax_row(logits, target as usize, scale);
    slopes.apply(logits);
    nll
}
