//! One row of logits, from scores to the gradient of the loss, in vector loops.

use multiversion::multiversion;
use rf_sampling::exp_in_place;

/// Turns logits into `scale · (p - onehot(target))`, `target` being a place in the row, and returns `-ln p(target)`.
pub(super) fn softmax_row(logits: &mut [f32], target: usize, scale: f32) -> f32 {
    let target_logit = logits[target];
    let max = max(logits);
    subtract(logits, max);
    exp_in_place(logits);
    // In f64 across short runs: a plain f32 sum of 10⁶ terms loses three digits.
    let total: f64 = logits.chunks(1024).map(|run| f64::from(sum(run))).sum();
    multiply(logits, (f64::from(scale) / total) as f32);
    logits[target] -= scale;
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

/// `xs -= by`, element by element.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn subtract_each(xs: &mut [f32], by: &[f32]) {
    xs.iter_mut().zip(by).for_each(|(x, by)| *x -= by);
}

/// `to += weight * from`, over the shorter of the two.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn add(to: &mut [f32], weight: f32, from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += weight * from);
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn multiply(xs: &mut [f32], by: f32) {
    xs.iter_mut().for_each(|x| *x *= by);
}
