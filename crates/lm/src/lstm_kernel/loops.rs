//! What the LSTM does beside matrix products: gates forward and backward, and the two functions that bend them.
//!
//! Plain loops that the compiler turns into vectors, once for each kind of processor. A fused multiply-add would be a
//! library call where there is none, so none is used.

use multiversion::multiversion;
use rayon::prelude::*;

/// Widths that are no multiple of this many floats make the product copy its weights first.
pub(super) const LANES: usize = 16;

/// Writes the transpose of `[rows, cols]` to `to`, whose rows are padded to a multiple of [`LANES`].
pub(super) fn transpose(from: &[f32], rows: usize, cols: usize, to: &mut Vec<f32>) {
    let padded = rows.next_multiple_of(LANES);
    to.clear();
    to.resize(cols * padded, 0.0);
    to.par_chunks_mut(LANES * padded).enumerate().for_each(|(block, to)| {
        for (row, from) in from.chunks_exact(cols).enumerate() {
            let values = &from[block * LANES..];
            to.chunks_exact_mut(padded).zip(values).for_each(|(to, value)| to[row] = *value);
        }
    });
}

/// Adds every row of `rows` to `sum`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn add_rows(sum: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sum.len()) {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

/// One row of one step: pre-activations become gates, and the next cell and output are written.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn activate(gates: &mut [f32], bias: &[f32], old: &[f32], new: &mut [f32], h: &mut [f32]) {
    let n = h.len();
    let [i, f, g, o] = four_mut(gates, n);
    let [b_i, b_f, b_g, b_o] = [0, 1, 2, 3].map(|gate| &bias[gate * n..][..n]);
    let (old, new) = (&old[..n], &mut new[..n]);
    for k in 0..n {
        i[k] = sigmoid(i[k] + b_i[k]);
        f[k] = sigmoid(f[k] + b_f[k]);
        g[k] = tanh(g[k] + b_g[k]);
        o[k] = sigmoid(o[k] + b_o[k]);
        new[k] = f[k] * old[k] + i[k] * g[k];
        h[k] = o[k] * tanh(new[k]);
    }
}

/// One row of one step, backwards: gates become the gradients of their pre-activations, and `grad_cell` moves from the
/// cell after the step to the cell before it.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn deactivate(
    gates: &mut [f32],
    old: &[f32],
    new: &[f32],
    grad_h: &[f32],
    carried: &[f32],
    grad_cell: &mut [f32],
) {
    let n = grad_cell.len();
    let [i, f, g, o] = four_mut(gates, n);
    let [old, new, grad_h, carried] = [old, new, grad_h, carried].map(|slice| &slice[..n]);
    for k in 0..n {
        let (input, forget, candidate, output) = (i[k], f[k], g[k], o[k]);
        let (bent, grad) = (tanh(new[k]), grad_h[k] + carried[k]);
        let cell = grad_cell[k] + grad * output * (1.0 - bent * bent);
        i[k] = cell * candidate * input * (1.0 - input);
        f[k] = cell * old[k] * forget * (1.0 - forget);
        g[k] = cell * input * (1.0 - candidate * candidate);
        o[k] = grad * bent * output * (1.0 - output);
        grad_cell[k] = cell * forget;
    }
}

#[inline(always)]
fn four_mut(slice: &mut [f32], n: usize) -> [&mut [f32]; 4] {
    let (a, rest) = slice.split_at_mut(n);
    let (b, rest) = rest.split_at_mut(n);
    let (c, rest) = rest.split_at_mut(n);
    [a, b, c, &mut rest[..n]]
}

/// `1 / (1 + exp(-x))`, relative error below 1e-6 for `|x| <= 87`; beyond, it stands still.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let (less_one, scale) = exp_m1((-x).clamp(-87.0, 87.0));
    1.0 / (1.0 + scale + scale * less_one)
}

/// `tanh x`, relative error below 1e-6.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let (less_one, scale) = exp_m1((2.0 * x).clamp(-20.0, 20.0));
    let e = scale * less_one + (scale - 1.0);
    e / (e + 2.0)
}

/// `exp(r) - 1` and `2^k`, where `x = k ln 2 + r` and `|r| <= ln 2 / 2`, for `|x| <= 87`. The polynomial is that of the
/// Cephes library's `expf`.
#[inline(always)]
fn exp_m1(x: f32) -> (f32, f32) {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * 0.693_359_4) + k * 2.121_944_4e-4;
    let p = 1.987_569_1e-4 * r + 1.398_2e-3;
    let p = ((p * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r;
    let p = (p + 1.666_666_5e-1) * r + 0.5;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    (p * (r * r) + r, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_and_tanh_have_a_relative_error_below_one_in_a_million() {
        let tiny = (0..400).map(|i| 0.9f32.powi(i));
        let points = tiny.chain((0..400_000).map(|i| i as f32 * 2.17e-4)).flat_map(|x| [x, -x]);
        for x in points {
            let exact = f64::from(x);
            let (want_sigmoid, want_tanh) = (1.0 / (1.0 + (-exact).exp()), exact.tanh());
            let close = |got: f32, want: f64| (f64::from(got) - want).abs() <= 1e-6 * want.abs();
            assert!(close(sigmoid(x), want_sigmoid), "sigmoid({x}) = {}, not {want_sigmoid}", sigmoid(x));
            assert!(close(tanh(x), want_tanh), "tanh({x}) = {}, not {want_tanh}", tanh(x));
        }
    }

    #[test]
    fn extreme_inputs_saturate_and_a_nan_stays_one() {
        assert_eq!([tanh(f32::INFINITY), tanh(f32::NEG_INFINITY), sigmoid(f32::INFINITY)], [1.0, -1.0, 1.0]);
        assert!(sigmoid(f32::NEG_INFINITY) < 1e-37 && tanh(0.0) == 0.0 && sigmoid(0.0) == 0.5);
        assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
    }
}
