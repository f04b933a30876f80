//! The full softmax, value and gradient in one pass over blocks of queries.

use multiversion::multiversion;
use rayon::prelude::*;
use rf_sampling::{ClassId, Matrix, Threads, exp_in_place, matmul};

use super::{ClassRows, LossValue};
use crate::IGNORED;

/// Bytes of logits that exist at a time.
const WORKSPACE: usize = 256 << 20;

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
        let softmax = |(row, &target): (&mut [f32], &ClassId)| {
            let slopes = score.apply(row);
            let nll = softmax_row(row, target, scale);
            slopes.apply(row);
            nll
        };
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
    value.grad_queries = grad_extended;
    if rows.has_bias() && gradient {
        value.grad_queries = value.grad_queries.chunks_exact(width).flat_map(|row| &row[..rows.dim]).copied().collect();
    }
    value
}

/// Queries with a column of ones where rows have a bias, so that the bias is part of the products.
fn with_ones<'q>(queries: &'q [f32], rows: ClassRows<'_>) -> std::borrow::Cow<'q, [f32]> {
    if !rows.has_bias() {
        return queries.into();
    }
    let row = |query: &'q [f32]| query.iter().copied().chain([1.0]);
    queries.chunks_exact(rows.dim).flat_map(row).collect()
}

/// Turns logits into `scale · (p - onehot(target))` and returns `-ln p(target)`; all zero for an ignored target.
fn softmax_row(logits: &mut [f32], target: ClassId, scale: f32) -> f32 {
    if target == IGNORED {
        logits.fill(0.0);
        return 0.0;
    }
    let target_logit = logits[target as usize];
    let max = max(logits);
    subtract(logits, max);
    exp_in_place(logits);
    // In f64 across short runs: a plain f32 sum of 10⁶ terms loses three digits.
    let total: f64 = logits.chunks(1024).map(|run| f64::from(sum(run))).sum();
    multiply(logits, (f64::from(scale) / total) as f32);
    logits[target as usize] -= scale;
    (total.ln() - f64::from(target_logit - max)) as f32
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn max(xs: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let chunks = xs.chunks_exact(16);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &x)| *lane = if x > *lane { x } else { *lane });
    }
    lanes.into_iter().fold(rest, f32::max)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn sum(xs: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let chunks = xs.chunks_exact(16);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += x);
    }
    lanes.into_iter().sum::<f32>() + rest
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn subtract(xs: &mut [f32], by: f32) {
    xs.iter_mut().for_each(|x| *x -= by);
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn multiply(xs: &mut [f32], by: f32) {
    xs.iter_mut().for_each(|x| *x *= by);
}
