//! One row of logits, from scores to the gradient of the loss, in vector loops.

use multiversion::multiversion;
use rf_sampling::exp_in_place;

/// Turns scores into the gradient of `sum_t w_t (ln(sum_j e^{s_j}) - s_t)`, times `scale`, and returns that loss: for one
/// target of weight one, `scale · (p - onehot(target))` and `-ln p(target)`.
///
/// Targets are places in the row, with their weights.
pub(super) fn softmax_row(scores: &mut [f32], targets: &[(usize, f32)], scale: f32) -> f32 {
    let max = max(scores);
    let of_targets: Vec<f64> = targets.iter().map(|target| f64::from(scores[target.0] - max)).collect();
    let weight: f32 = targets.iter().map(|target| target.1).sum();
    subtract(scores, max);
    exp_in_place(scores);
    let total = total(scores);
    multiply(scores, (f64::from(scale * weight) / total) as f32);
    let losses = targets.iter().zip(of_targets).map(|(target, score)| f64::from(target.1) * (total.ln() - score));
    let loss = losses.sum::<f64>() as f32;
    targets.iter().for_each(|&(target, weight)| scores[target] -= scale * weight);
    loss
}

/// The sum in f64 across short runs: a plain f32 sum of 10⁶ terms loses three digits.
pub(super) fn total(xs: &[f32]) -> f64 {
    xs.chunks(1024).map(|run| f64::from(sum(run))).sum()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn max(xs: &[f32]) -> f32 {
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
pub(super) fn subtract(xs: &mut [f32], by: f32) {
    xs.iter_mut().for_each(|x| *x -= by);
}

/// `xs -= by`, element by element.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn subtract_each(xs: &mut [f32], by: &[f32]) {
    xs.iter_mut().zip(by).for_each(|(x, by)| *x -= by);
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn multiply(xs: &mut [f32], by: f32) {
    xs.iter_mut().for_each(|x| *x *= by);
}
