//! One LSTM layer over a whole sequence on the host: forward, and the backward pass written by hand.
//!
//! `[i f g o] = x_t W_x + h_{t-1} W_h + b`, `c_t = σ(f) c_{t-1} + σ(i) tanh(g)`, `h_t = σ(o) tanh(c_t)`: the equations
//! and the gate order of PyTorch's `nn.LSTM`, with one bias. Buffers are time-major: row `t * B + b`.
//!
//! The recurrence never mixes two sequences of a batch. So the batch is cut into chunks of rows, and one thread takes a
//! chunk through all steps without waiting for another. Every cut depends on the shape alone, never on the number of
//! threads, and so do the results.

use multiversion::multiversion;
use rayon::prelude::*;
use rf_sampling::{Matrix, Threads, matmul};

/// Rows of the batch in one chunk, at most. The matrix product works in tiles of six rows.
const CHUNK_ROWS: usize = 12;

/// Rows in one piece of the input side. More, and the product copies the weights before it uses them.
const INPUT_ROWS: usize = 48;

/// Widths that are no multiple of this many floats make the product copy its weights first.
const LANES: usize = 16;

/// The sizes of one layer over one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Time steps T.
    pub steps: usize,
    /// Sequences side by side, B.
    pub batch: usize,
    /// Width of the input.
    pub input: usize,
    /// Units H.
    pub hidden: usize,
}

/// The parameters of one layer, gates in the order i, f, g, o.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a> {
    /// `[input, 4H]`.
    pub w_x: &'a [f32],
    /// `[H, 4H]`.
    pub w_h: &'a [f32],
    /// `[4H]`.
    pub bias: &'a [f32],
}

/// What [`forward`] hands back.
#[derive(Debug)]
pub(crate) struct Forward {
    /// The output of every step, `[T * B, H]`; the last B rows are the state to carry on with.
    pub h: Vec<f32>,
    /// The cells after the last step, `[B, H]`.
    pub last_cell: Vec<f32>,
    /// What [`backward`] needs.
    pub trace: Trace,
}

/// The memory of a forward pass; [`backward`] consumes it and turns the gates into their gradients in place.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// Gates after their activation, `[T * B, 4H]`.
    gates: Vec<f32>,
    /// The cells before each step and after the last, `[(T + 1) * B, H]`.
    cells: Vec<f32>,
    /// The state before each step, `[T * B, H]`.
    states: Vec<f32>,
}

/// Gradients of the input and of the parameters, each in the shape of its original.
#[derive(Debug)]
pub(crate) struct Gradients {
    pub x: Vec<f32>,
    pub w_x: Vec<f32>,
    pub w_h: Vec<f32>,
    pub bias: Vec<f32>,
}

/// Runs the layer from the state `h0` and the cells `c0`.
///
/// # Shapes
/// - x: `[T * B, input]`
/// - h0, c0: `[B, H]`
///
/// # Panics
/// If a size is zero or a slice does not have the length that `shape` asks for.
pub(crate) fn forward(shape: Shape, weights: Weights<'_>, x: &[f32], h0: &[f32], c0: &[f32]) -> Forward {
    let Shape { steps, batch, hidden, .. } = shape;
    shape.check(weights, x);
    assert_eq!([h0.len(), c0.len()], [batch * hidden; 2], "h0 and c0 of [{batch}, {hidden}]");
    let rows = steps * batch;
    let mut h = vec![0.0; rows * hidden];
    let mut trace = Trace {
        gates: vec![0.0; rows * 4 * hidden],
        cells: vec![0.0; (rows + batch) * hidden],
        states: vec![0.0; rows * hidden],
    };
    trace.cells[..c0.len()].copy_from_slice(c0);
    trace.states[..h0.len()].copy_from_slice(h0);
    // One way into the thread pool, not one for each parallel loop.
    rayon::scope(|_| {
        input_side(shape, weights, x, &mut trace.gates);
        Chunk::split(shape, &mut trace, &mut h).into_par_iter().for_each(|chunk| chunk.run(weights, hidden));
    });
    let last_cell = trace.cells[rows * hidden..].to_vec();
    Forward { h, last_cell, trace }
}

/// Gradients of `Σ h · grad_h` with respect to the input and the parameters; `h0` and `c0` count as constants.
///
/// # Shapes
/// - x: `[T * B, input]`
/// - grad_h: `[T * B, H]`
///
/// # Panics
/// If a slice does not have the length that `shape` asks for, or `trace` is of another shape.
pub(crate) fn backward(shape: Shape, weights: Weights<'_>, x: &[f32], trace: Trace, grad_h: &[f32]) -> Gradients {
    let Shape { steps, batch, input, hidden } = shape;
    shape.check(weights, x);
    let (rows, wide) = (steps * batch, 4 * hidden);
    assert_eq!([grad_h.len(), trace.states.len()], [rows * hidden; 2], "grad_h and trace of [{rows}, {hidden}]");
    let Trace { mut gates, cells, states } = trace;
    let mut out = Gradients {
        x: vec![0.0; rows * input],
        w_x: vec![0.0; input * wide],
        w_h: vec![0.0; hidden * wide],
        bias: vec![0.0; wide],
    };
    rayon::scope(|_| {
        let w_back = transposed(weights.w_h, wide);
        let chunks: Vec<_> = by_chunk(&mut gates, shape, wide).into_iter().enumerate().collect();
        let biases: Vec<_> = chunks
            .into_par_iter()
            .map(|(index, gates)| run_back(shape, index * shape.chunk_rows(), gates, &cells, grad_h, &w_back))
            .collect();
        biases.iter().for_each(|part| add_rows(&mut out.bias, part));

        let grad = Matrix::new(&gates, rows, wide);
        let (x, states) = (Matrix::new(x, rows, input), Matrix::new(&states, rows, hidden));
        let mut weight_side = || {
            rayon::join(
                || matmul(&mut out.w_x, wide, 0.0, x.t(), grad, Threads::Pool),
                || matmul(&mut out.w_h, wide, 0.0, states.t(), grad, Threads::Pool),
            )
        };
        let w_x = Matrix::new(weights.w_x, input, wide);
        rayon::join(|| matmul(&mut out.x, input, 0.0, grad, w_x.t(), Threads::Pool), &mut weight_side);
    });
    out
}

impl Shape {
    fn check(&self, weights: Weights<'_>, x: &[f32]) {
        let Shape { steps, batch, input, hidden } = *self;
        assert!([steps, batch, input, hidden].iter().all(|size| *size > 0), "{self:?} has a size of zero");
        assert_eq!(x.len(), steps * batch * input, "x of [{steps} * {batch}, {input}]");
        assert_eq!(weights.w_x.len(), input * 4 * hidden, "w_x of [{input}, 4 * {hidden}]");
        assert_eq!(weights.w_h.len(), hidden * 4 * hidden, "w_h of [{hidden}, 4 * {hidden}]");
        assert_eq!(weights.bias.len(), 4 * hidden, "bias of [4 * {hidden}]");
    }

    /// Rows of the batch in one chunk: as even as the limit allows.
    fn chunk_rows(&self) -> usize {
        self.batch.div_ceil(self.batch.div_ceil(CHUNK_ROWS))
    }
}

/// `gates = x W_x` for all steps at once.
fn input_side(shape: Shape, weights: Weights<'_>, x: &[f32], gates: &mut [f32]) {
    let (input, wide) = (shape.input, 4 * shape.hidden);
    let w_x = Matrix::new(weights.w_x, input, wide);
    gates.par_chunks_mut(INPUT_ROWS * wide).zip(x.par_chunks(INPUT_ROWS * input)).for_each(|(gates, x)| {
        matmul(gates, wide, 0.0, Matrix::new(x, x.len() / input, input), w_x, Threads::One);
    });
}

/// A few rows of the batch, in the buffers of every step.
struct Chunk<'a> {
    gates: Vec<&'a mut [f32]>,
    cells: Vec<&'a mut [f32]>,
    states: Vec<&'a mut [f32]>,
    h: Vec<&'a mut [f32]>,
}

impl<'a> Chunk<'a> {
    fn split(shape: Shape, trace: &'a mut Trace, h: &'a mut [f32]) -> Vec<Self> {
        let gates = by_chunk(&mut trace.gates, shape, 4 * shape.hidden).into_iter();
        let cells = by_chunk(&mut trace.cells, shape, shape.hidden).into_iter();
        let states = by_chunk(&mut trace.states, shape, shape.hidden).into_iter();
        let h = by_chunk(h, shape, shape.hidden).into_iter();
        let all = gates.zip(cells).zip(states).zip(h);
        all.map(|(((gates, cells), states), h)| Chunk { gates, cells, states, h }).collect()
    }

    fn run(mut self, weights: Weights<'_>, hidden: usize) {
        let (rows, wide) = (self.h[0].len() / hidden, 4 * hidden);
        let w_h = Matrix::new(weights.w_h, hidden, wide);
        for (t, (gates, h)) in self.gates.into_iter().zip(self.h).enumerate() {
            matmul(gates, wide, 1.0, Matrix::new(self.states[t], rows, hidden), w_h, Threads::One);
            let (old, new) = self.cells.split_at_mut(t + 1);
            let cells = old[t].chunks_exact(hidden).zip(new[0].chunks_exact_mut(hidden));
            for ((gates, h), (old, new)) in gates.chunks_exact_mut(wide).zip(h.chunks_exact_mut(hidden)).zip(cells) {
                activate(gates, weights.bias, old, new, h);
            }
            if let Some(next) = self.states.get_mut(t + 1) {
                next.copy_from_slice(h);
            }
        }
    }
}

/// Takes one chunk, whose first row of the batch is `first`, from the last step to the first: `gates` become gradients.
/// Returns the chunk's part of the bias gradient.
fn run_back(
    shape: Shape,
    first: usize,
    gates: Vec<&mut [f32]>,
    cells: &[f32],
    grad_h: &[f32],
    w_back: &[f32],
) -> Vec<f32> {
    let (hidden, wide, padded) = (shape.hidden, 4 * shape.hidden, w_back.len() / (4 * shape.hidden));
    let rows = gates[0].len() / wide;
    let mut bias = vec![0.0; wide];
    let mut grad_cells = vec![0.0; rows * hidden];
    let mut carried = vec![0.0; rows * padded];
    for (t, gates) in gates.into_iter().enumerate().rev() {
        let here = |t: usize| (t * shape.batch + first) * hidden..(t * shape.batch + first + rows) * hidden;
        let (old, new, grad_h) = (&cells[here(t)], &cells[here(t + 1)], &grad_h[here(t)]);
        for (row, gates) in gates.chunks_exact_mut(wide).enumerate() {
            let at = row * hidden..(row + 1) * hidden;
            let carried = &carried[row * padded..][..hidden];
            let grad_cell = &mut grad_cells[at.clone()];
            deactivate(gates, &old[at.clone()], &new[at.clone()], &grad_h[at], carried, grad_cell);
        }
        add_rows(&mut bias, gates);
        if t > 0 {
            let grad = Matrix::new(gates, rows, wide);
            matmul(&mut carried, padded, 0.0, grad, Matrix::new(w_back, wide, padded), Threads::One);
        }
    }
    bias
}

/// The rows of a time-major buffer by chunk of the batch, and then by step.
fn by_chunk(buffer: &mut [f32], shape: Shape, width: usize) -> Vec<Vec<&mut [f32]>> {
    let rows = shape.chunk_rows();
    let mut chunks: Vec<Vec<_>> =
        (0..shape.batch.div_ceil(rows)).map(|_| Vec::with_capacity(shape.steps + 1)).collect();
    for step in buffer.chunks_exact_mut(shape.batch * width) {
        chunks.iter_mut().zip(step.chunks_mut(rows * width)).for_each(|(chunk, rows)| chunk.push(rows));
    }
    chunks
}

/// The transpose of `[rows, cols]` with rows padded by zeros to a multiple of [`LANES`].
fn transposed(from: &[f32], cols: usize) -> Vec<f32> {
    let padded = (from.len() / cols).next_multiple_of(LANES);
    let mut to = vec![0.0; cols * padded];
    to.par_chunks_mut(LANES * padded).enumerate().for_each(|(block, to)| {
        for (row, from) in from.chunks_exact(cols).enumerate() {
            let values = &from[block * LANES..];
            to.chunks_exact_mut(padded).zip(values).for_each(|(to, value)| to[row] = *value);
        }
    });
    to
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn add_rows(sum: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sum.len()) {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

/// One row of one step: pre-activations become gates, and the next cell and output are written.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
fn activate(gates: &mut [f32], bias: &[f32], old: &[f32], new: &mut [f32], h: &mut [f32]) {
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
fn deactivate(gates: &mut [f32], old: &[f32], new: &[f32], grad_h: &[f32], carried: &[f32], grad_cell: &mut [f32]) {
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
/// Cephes library's `expf`. A fused multiply-add would be a library call on a processor without one: there is none.
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
mod tests;
