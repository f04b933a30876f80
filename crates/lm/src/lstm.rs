//! One LSTM layer as a burn module over the host kernel.

use std::sync::{Mutex, PoisonError};

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rf_sampling::{Purpose, stream};
use rf_softmax::{Pullback, host_op, to_vec};

use crate::lstm_kernel::{Shape, Trace, Weights, backward, forward};

/// A layer of long short-term memory: gates in the order i, f, g, o, as PyTorch's `nn.LSTM`, with one bias.
///
/// `i, f, o = σ(x W_x + h W_h + b)`, `g = tanh(…)`, `c' = f c + i g`, `h' = o tanh(c')`.
#[derive(Module, Debug)]
pub struct Lstm {
    /// `[in, 4H]`.
    w_x: Param<Tensor<2>>,
    /// `[H, 4H]`.
    w_h: Param<Tensor<2>>,
    /// `[1, 4H]`.
    bias: Param<Tensor<2>>,
}

/// State carried from one window of a text to the next, a constant for the gradient (truncated back-propagation).
#[derive(Clone, Debug, PartialEq)]
pub struct LstmState {
    /// Output of the last step, `[B, H]`.
    pub h: Vec<f32>,
    /// Cells after the last step, `[B, H]`.
    pub c: Vec<f32>,
}

impl LstmState {
    /// The state at the start of a text.
    pub fn zeros(batch: usize, hidden: usize) -> Self {
        Self { h: vec![0.0; batch * hidden], c: vec![0.0; batch * hidden] }
    }
}

impl Lstm {
    /// A layer of `hidden` units on `input` numbers. Weights are uniform in `±1/sqrt(H)`, biases zero but for the forget
    /// gate's, which are one (Gers et al. 2000). `place` numbers the layers of a model.
    pub fn new(input: usize, hidden: usize, seed: u64, place: u64, device: &Device) -> Self {
        let bound = 1.0 / (hidden as f32).sqrt();
        let mut rng = stream(seed, Purpose::Init, (1 << 33) + place, 0);
        let mut uniform = |rows: usize| -> Vec<f32> {
            (0..rows * 4 * hidden).map(|_| rng.random_range(-bound..bound)).collect()
        };
        let (w_x, w_h) = (uniform(input), uniform(hidden));
        let bias = (0..4 * hidden).map(|at| if at / hidden == 1 { 1.0 } else { 0.0 }).collect();
        // Fixed ids, so that two runs of one seed write equal checkpoints.
        let param = |number: u64, values: Vec<f32>, rows: usize| {
            let tensor = Tensor::<2>::from_data(TensorData::new(values, [rows, 4 * hidden]), device);
            Param::initialized(ParamId::from(1 + 4 * place + number), tensor.require_grad())
        };
        Self { w_x: param(0, w_x, input), w_h: param(1, w_h, hidden), bias: param(2, bias, 1) }
    }

    /// Runs a window of `steps` steps from `state`, which becomes the state after it.
    ///
    /// # Shapes
    /// - x: `[T * B, in]`, time-major
    /// - output: `[T * B, H]`
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn forward(&self, x: Tensor<2>, steps: usize, state: &mut LstmState) -> Tensor<2> {
        let [rows, input] = x.dims();
        let hidden = self.w_h.dims()[0];
        let shape = Shape { steps, batch: rows / steps, input, hidden };
        let parents = [x, self.w_x.val(), self.w_h.val(), self.bias.val()];
        let [x, w_x, w_h, bias] = parents.each_ref().map(|parent| to_vec(parent.clone()));
        let mut trace = Trace::default();
        let weights = Weights { w_x: &w_x, w_h: &w_h, bias: &bias };
        let pass = forward(shape, weights, &x, (&state.h, &state.c), &mut trace);
        state.h.copy_from_slice(&pass.h[(steps - 1) * shape.batch * hidden..]);
        state.c = pass.last_cell;
        // The kernel's backward pass writes over the trace, so it runs once.
        let trace = Mutex::new(trace);
        let pullback = Pullback::new(move |upstream| {
            let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
            let weights = Weights { w_x: &w_x, w_h: &w_h, bias: &bias };
            let gradients = backward(weights, &x, &mut trace, upstream);
            vec![gradients.x, gradients.w_x, gradients.w_h, gradients.bias]
        });
        host_op(pass.h, [rows, hidden], &parents, pullback)
    }
}
