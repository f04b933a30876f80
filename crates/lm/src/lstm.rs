//! One LSTM layer as a burn module over the host kernel, or over kernels of a graphics card.

#[cfg(feature = "device")]
mod on_card;

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand::RngExt;
use rf_sampling::{Purpose, stream};
use rf_softmax::{Pullback, host_op, to_vec};
use rf_training::parameter;

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
    /// Memory of finished passes, for the next ones.
    #[module(skip)]
    spare: Spare,
}

/// Traces that no pass needs at the moment. Fresh memory would cost a quarter of the time of a pass.
#[derive(Clone, Debug, Default)]
struct Spare(Arc<Mutex<Vec<Trace>>>);

impl Spare {
    fn take(&self) -> Borrowed {
        let trace = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        Borrowed { trace, home: self.clone() }
    }
}

/// A trace that goes home when its pass is over, with a backward pass or without.
struct Borrowed {
    trace: Trace,
    home: Spare,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let trace = std::mem::take(&mut self.trace);
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(trace);
    }
}

/// State carried from one window of a text to the next, a constant for the gradient (truncated back-propagation).
#[derive(Clone, Debug)]
pub struct LstmState(Place);

#[derive(Clone, Debug)]
enum Place {
    Host {
        h: Vec<f32>,
        c: Vec<f32>,
    },
    /// `h` and `c` where the layer is, outside autodiff.
    #[cfg(feature = "device")]
    Card(Box<[Tensor<2>; 2]>),
}

impl LstmState {
    /// The state at the start of a text.
    pub fn zeros(batch: usize, hidden: usize) -> Self {
        Self::new(vec![0.0; batch * hidden], vec![0.0; batch * hidden])
    }

    /// A state in numbers. A layer on a graphics card takes it there.
    ///
    /// # Shapes
    /// - h: `[B, H]`, the output of the last step
    /// - c: `[B, H]`, the cells after it
    ///
    /// # Panics
    /// If the two differ in length.
    pub fn new(h: Vec<f32>, c: Vec<f32>) -> Self {
        assert_eq!(h.len(), c.len(), "outputs and cells");
        Self(Place::Host { h, c })
    }

    /// Numbers in `h`, and in `c`.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Host { h, .. } => h.len(),
            #[cfg(feature = "device")]
            Place::Card(state) => state[0].shape().num_elements(),
        }
    }

    /// `h` and `c` on the host, `[B, H]` each; waits for a graphics card.
    pub fn to_host(&self) -> (Vec<f32>, Vec<f32>) {
        match &self.0 {
            Place::Host { h, c } => (h.clone(), c.clone()),
            #[cfg(feature = "device")]
            Place::Card(state) => state.each_ref().map(|half| to_vec(half.clone())).into(),
        }
    }
}

impl Lstm {
    /// A layer of `hidden` units on `input` numbers. Weights are uniform in `±1/sqrt(H)`, biases zero but for the forget
    /// gate's, which are one (Gers et al. 2000). `place` numbers the layers of a model.
    pub fn new(input: usize, hidden: usize, seed: u64, place: u64, device: &Device) -> Self {
        let bound = 1.0 / (hidden as f32).sqrt();
        let mut rng = stream(seed, Purpose::Init, (1 << 33) + place, 0);
        let mut uniform =
            |rows: usize| -> Vec<f32> { (0..rows * 4 * hidden).map(|_| rng.random_range(-bound..bound)).collect() };
        let (w_x, w_h) = (uniform(input), uniform(hidden));
        let bias = (0..4 * hidden).map(|at| if at / hidden == 1 { 1.0 } else { 0.0 }).collect();
        // Fixed ids, so that two runs of one seed write equal checkpoints.
        let param = |number: u64, values: Vec<f32>, rows: usize| {
            parameter(1 + 4 * place + number, values, [rows, 4 * hidden], device)
        };
        Self { w_x: param(0, w_x, input), w_h: param(1, w_h, hidden), bias: param(2, bias, 1), spare: Spare::default() }
    }

    /// Runs a window of `steps` steps from `state`, which becomes the state after it. At every step the state is
    /// multiplied by `mask` before it meets `W_h`, unless that is empty.
    ///
    /// # Shapes
    /// - x: `[T * B, in]`, time-major
    /// - mask: `[B, H]`, or empty
    /// - output: `[T * B, H]`
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn forward(&self, x: Tensor<2>, steps: usize, state: &mut LstmState, mask: &[f32]) -> Tensor<2> {
        #[cfg(feature = "device")]
        if rf_softmax::is_on_card(&x) {
            return self.on_card(x, steps, state, mask);
        }
        let [rows, input] = x.dims();
        let hidden = self.w_h.dims()[0];
        let shape = Shape { steps, batch: rows / steps, input, hidden };
        let parents = [x, self.w_x.val(), self.w_h.val(), self.bias.val()];
        let [x, w_x, w_h, bias] = parents.each_ref().map(|parent| to_vec(parent.clone()));
        let mut pass_memory = self.spare.take();
        let weights = Weights { w_x: &w_x, w_h: &w_h, bias: &bias };
        let (h, c) = state.to_host();
        let pass = forward(shape, weights, &x, (&h, &c), mask, &mut pass_memory.trace);
        *state = LstmState::new(pass.h[(steps - 1) * shape.batch * hidden..].to_vec(), pass.last_cell);
        // The kernel's backward pass writes over the trace, so it runs once.
        let pass_memory = Mutex::new(pass_memory);
        let pullback = Pullback::new(move |upstream| {
            let mut pass_memory = pass_memory.lock().unwrap_or_else(PoisonError::into_inner);
            let weights = Weights { w_x: &w_x, w_h: &w_h, bias: &bias };
            let gradients = backward(weights, &x, &mut pass_memory.trace, upstream);
            vec![gradients.x, gradients.w_x, gradients.w_h, gradients.bias]
        });
        host_op(pass.h, [rows, hidden], &parents, pullback)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    /// Gradients of a weighted sum of the outputs of two windows, the second begun where the first ended.
    fn gradients(lstm: &Lstm, device: &Device) -> Vec<Vec<f32>> {
        let mut state = LstmState::zeros(2, 3);
        let x = |shift: f32| {
            let values: Vec<f32> = (0..4 * 2 * 5).map(|i| (i as f32 * 0.7 + shift).sin()).collect();
            Tensor::<2>::from_data(TensorData::new(values, [8, 5]), device).require_grad()
        };
        let (first, second) = (x(0.0), x(1.0));
        let h =
            lstm.forward(first.clone(), 4, &mut state, &[]) + lstm.forward(second.clone(), 4, &mut state, &[]) * 2.0;
        let grads = h.sum().backward();
        [first, second, lstm.w_x.val(), lstm.w_h.val(), lstm.bias.val()]
            .map(|tensor| to_vec(tensor.grad(&grads).unwrap()))
            .into()
    }

    #[test]
    fn passes_that_overlap_or_reuse_memory_have_the_same_gradients() {
        let device = Device::flex().autodiff();
        let lstm = Lstm::new(5, 3, 1, 0, &device);
        let fresh = gradients(&lstm, &device);
        assert_eq!(gradients(&lstm, &device), fresh);
        assert!(fresh.iter().flatten().any(|gradient| gradient.abs() > 1e-3));
    }

    #[test]
    fn layers_are_a_function_of_seed_and_place() {
        let device = Device::flex();
        let weights = |seed, place| to_vec(Lstm::new(4, 3, seed, place, &device).w_x.val());
        assert_eq!(weights(1, 0), weights(1, 0));
        assert_ne!(weights(1, 0), weights(1, 1));
        assert_ne!(weights(1, 0), weights(2, 0));
    }
}
