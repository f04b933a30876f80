//! One LSTM layer over a whole sequence on the host: forward, and the backward pass written by hand.
//!
//! `[i f g o] = x_t W_x + h_{t-1} W_h + b`, `c_t = σ(f) c_{t-1} + σ(i) tanh(g)`, `h_t = σ(o) tanh(c_t)`: the equations
//! and the gate order of PyTorch's `nn.LSTM`, with one bias. Buffers are time-major: row `t * B + b`. With recurrent
//! dropout `h_{t-1}` is multiplied by one mask at all steps (Gal & Ghahramani 2016, arXiv 1512.05287, eq. 7).
//!
//! The recurrence never mixes two sequences of a batch. So the batch is cut into chunks of rows, and one thread takes a
//! chunk through all steps without waiting for another. Every cut depends on the shape alone, never on the number of
//! threads, and so do the results.

mod loops;

use loops::{LANES, activate, add_rows, deactivate, transpose};
use rayon::prelude::*;
use rf_sampling::{Matrix, Threads, matmul};

/// Rows of the batch in one chunk, at most. The matrix product works in tiles of six rows.
const CHUNK_ROWS: usize = 12;

/// Rows in one piece of the input side. More, and the product copies the weights before it uses them.
const INPUT_ROWS: usize = 48;

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
}

/// The memory of one pass: [`forward`] fills it, [`backward`] spends it. A trace may serve any number of passes, one
/// after the other, and of any shape. That pays: fresh memory costs a quarter of the time of a pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// The pass that was run forward and not yet backward.
    open: Option<Shape>,
    /// Gates after their activation, then the gradients of their pre-activations, `[T * B, 4H]`.
    gates: Vec<f32>,
    /// The cells before each step and after the last, `[(T + 1) * B, H]`.
    cells: Vec<f32>,
    /// The state before each step, as it enters the product, `[T * B, H]`.
    states: Vec<f32>,
    /// What the state is multiplied by on its way to the next step, `[B, H]`; empty where it is left alone.
    mask: Vec<f32>,
    /// The transpose of `w_h`, its rows padded to a multiple of [`LANES`].
    w_back: Vec<f32>,
}

/// Gradients of the input and of the parameters, each in the shape of its original.
#[derive(Debug)]
pub(crate) struct Gradients {
    pub x: Vec<f32>,
    pub w_x: Vec<f32>,
    pub w_h: Vec<f32>,
    pub bias: Vec<f32>,
}

/// Runs the layer from the state `h0` and the cells `c0`, the state multiplied by `mask` before every step.
///
/// # Shapes
/// - x: `[T * B, input]`
/// - h0, c0: `[B, H]`
/// - mask: `[B, H]`, or empty for none
///
/// # Panics
/// If a size is zero or a slice does not have the length that `shape` asks for.
pub(crate) fn forward(
    shape: Shape,
    weights: Weights<'_>,
    x: &[f32],
    (h0, c0): (&[f32], &[f32]),
    mask: &[f32],
    trace: &mut Trace,
) -> Forward {
    let Shape { steps, batch, hidden, .. } = shape;
    shape.check(weights, x);
    assert_eq!([h0.len(), c0.len()], [batch * hidden; 2], "h0 and c0 of [{batch}, {hidden}]");
    assert!(mask.is_empty() || mask.len() == h0.len(), "a mask of [{batch}, {hidden}]");
    let rows = steps * batch;
    trace.open = Some(shape);
    trace.gates.resize(rows * 4 * hidden, 0.0);
    trace.cells.resize((rows + batch) * hidden, 0.0);
    trace.states.resize(rows * hidden, 0.0);
    trace.cells[..c0.len()].copy_from_slice(c0);
    trace.mask.clear();
    trace.mask.extend_from_slice(mask);
    copy_masked(&mut trace.states[..h0.len()], h0, mask);
    let mut h = vec![0.0; rows * hidden];
    // One way into the thread pool, not one for each parallel loop.
    rayon::scope(|_| {
        input_side(shape, weights, x, &mut trace.gates);
        Chunk::split(shape, trace, mask, &mut h).into_par_iter().for_each(|chunk| chunk.run(weights, hidden));
    });
    Forward { h, last_cell: trace.cells[rows * hidden..].to_vec() }
}

/// Gradients of `Σ h · grad_h` with respect to the input and the parameters; `h0` and `c0` count as constants.
///
/// # Shapes
/// - x: `[T * B, input]`
/// - grad_h: `[T * B, H]`
///
/// # Panics
/// If `trace` holds no forward pass, or a slice does not have the length that its shape asks for.
pub(crate) fn backward(weights: Weights<'_>, x: &[f32], trace: &mut Trace, grad_h: &[f32]) -> Gradients {
    let shape = trace.open.take().expect("a backward pass needs a forward pass before it");
    let Shape { steps, batch, input, hidden } = shape;
    shape.check(weights, x);
    let (rows, wide) = (steps * batch, 4 * hidden);
    assert_eq!(grad_h.len(), rows * hidden, "grad_h of [{rows}, {hidden}]");
    let mut out = Gradients {
        x: vec![0.0; rows * input],
        w_x: vec![0.0; input * wide],
        w_h: vec![0.0; hidden * wide],
        bias: vec![0.0; wide],
    };
    rayon::scope(|_| {
        transpose(weights.w_h, hidden, wide, &mut trace.w_back);
        recurrence_back(shape, trace, grad_h, &mut out.bias);
        let grad = Matrix::new(&trace.gates, rows, wide);
        let (x, states) = (Matrix::new(x, rows, input), Matrix::new(&trace.states, rows, hidden));
        let w_x = Matrix::new(weights.w_x, input, wide);
        rayon::join(
            || matmul(&mut out.x, input, 0.0, grad, w_x.t(), Threads::Pool),
            || {
                rayon::join(
                    || matmul(&mut out.w_x, wide, 0.0, x.t(), grad, Threads::Pool),
                    || matmul(&mut out.w_h, wide, 0.0, states.t(), grad, Threads::Pool),
                )
            },
        );
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
    mask: &'a [f32],
}

impl<'a> Chunk<'a> {
    fn split(shape: Shape, trace: &'a mut Trace, mask: &'a [f32], h: &'a mut [f32]) -> Vec<Self> {
        let gates = by_chunk(&mut trace.gates, shape, 4 * shape.hidden).into_iter();
        let cells = by_chunk(&mut trace.cells, shape, shape.hidden).into_iter();
        let states = by_chunk(&mut trace.states, shape, shape.hidden).into_iter();
        let h = by_chunk(h, shape, shape.hidden).into_iter();
        let all = gates.zip(cells).zip(states).zip(h).enumerate();
        let mask = |index| mask_of(shape, mask, index);
        all.map(|(index, (((gates, cells), states), h))| Chunk { gates, cells, states, h, mask: mask(index) }).collect()
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
                copy_masked(next, h, self.mask);
            }
        }
    }
}

/// The sequential part of the backward pass, chunk by chunk: gates become gradients, and their sum that of the bias.
fn recurrence_back(shape: Shape, trace: &mut Trace, grad_h: &[f32], grad_bias: &mut [f32]) {
    let Trace { gates, cells, w_back, mask, .. } = trace;
    let chunks: Vec<_> = by_chunk(gates, shape, 4 * shape.hidden).into_iter().enumerate().collect();
    let parts: Vec<_> = chunks
        .into_par_iter()
        .map(|(index, gates)| {
            let mask = mask_of(shape, mask, index);
            chunk_back(shape, index * shape.chunk_rows(), gates, cells, mask, grad_h, w_back)
        })
        .collect();
    parts.iter().for_each(|part| add_rows(grad_bias, part));
}

/// One chunk, whose first row of the batch is `first`, from the last step to the first. Returns its bias gradient.
fn chunk_back(
    shape: Shape,
    first: usize,
    gates: Vec<&mut [f32]>,
    cells: &[f32],
    mask: &[f32],
    grad_h: &[f32],
    w_back: &[f32],
) -> Vec<f32> {
    let (hidden, wide) = (shape.hidden, 4 * shape.hidden);
    let (rows, padded) = (gates[0].len() / wide, hidden.next_multiple_of(LANES));
    let mut bias = vec![0.0; wide];
    let mut grad_cells = vec![0.0; rows * hidden];
    let mut carried = vec![0.0; rows * padded];
    for (t, gates) in gates.into_iter().enumerate().rev() {
        for (row, gates) in gates.chunks_exact_mut(wide).enumerate() {
            let [at, next] = [t, t + 1].map(|t| (t * shape.batch + first + row) * hidden);
            let [old, new, grad_h] = [&cells[at..], &cells[next..], &grad_h[at..]];
            let grad_cell = &mut grad_cells[row * hidden..][..hidden];
            deactivate(gates, old, new, grad_h, &carried[row * padded..], grad_cell);
        }
        add_rows(&mut bias, gates);
        if t > 0 {
            let (grad, w_back) = (Matrix::new(gates, rows, wide), Matrix::new(w_back, wide, padded));
            matmul(&mut carried, padded, 0.0, grad, w_back, Threads::One);
            carried.chunks_exact_mut(padded).zip(mask.chunks_exact(hidden)).for_each(|(row, mask)| {
                row.iter_mut().zip(mask).for_each(|(carried, keep)| *carried *= keep);
            });
        }
    }
    bias
}

/// The rows of a mask that belong to a chunk.
fn mask_of(shape: Shape, mask: &[f32], chunk: usize) -> &[f32] {
    let rows = shape.chunk_rows() * shape.hidden;
    mask.chunks(rows).nth(chunk).unwrap_or(&[])
}

/// Copies a state, multiplied by `mask` unless that is empty.
fn copy_masked(to: &mut [f32], from: &[f32], mask: &[f32]) {
    to.copy_from_slice(from);
    to.iter_mut().zip(mask).for_each(|(value, keep)| *value *= keep);
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

#[cfg(test)]
mod tests;
