//! The gates of an LSTM layer, a step at a time, forward and backward.
//!
//! Matrix products are left to the caller: `x W_x` of all steps before the first, and the product of the state with `W_h` at every step.
//! Buffers of all steps are time-major: row `t B + b`. Gates are in the order i, f, g, o.

use cubecl::prelude::*;

use crate::Buffer;
use crate::buffer::{cube_dim, grid};

/// Beyond it `exp` of an `f32` would overflow, or leave the normal numbers.
const LARGEST: f32 = 87.0;

/// The sizes of a layer over a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LstmShape {
    /// Time steps `T`.
    pub steps: usize,
    /// Sequences side by side, `B`.
    pub batch: usize,
    /// Units `H`.
    pub hidden: usize,
}

impl LstmShape {
    /// Numbers in a state, `B H`.
    pub fn state(self) -> usize {
        self.batch * self.hidden
    }
}

/// A pass of a layer over a sequence: `i, f, o = σ(…)`, `g = tanh(…)`, `c' = f c + i g`, `h' = o tanh(c')`.
#[derive(Clone, Debug)]
pub struct LstmPass {
    shape: LstmShape,
    /// `x W_x`, `[T * B, 4H]`.
    input: Buffer<f32>,
    /// `[4H]`.
    bias: Buffer<f32>,
    /// What the state is multiplied by on its way to the next step, `[B, H]`.
    mask: Option<Buffer<f32>>,
    /// Gates after their activation, `[T * B, 4H]`.
    gates: Buffer<f32>,
    /// Cells before the first step and after each, `[B, H]` each.
    cells: Vec<Buffer<f32>>,
    /// The state before each step, as it enters the product, `[T * B, H]`.
    states: Buffer<f32>,
    /// Output of every step, `[T * B, H]`.
    h: Buffer<f32>,
}

impl LstmPass {
    /// A pass before its first step, from the cells `c0`.
    ///
    /// # Shapes
    /// - input: `[T * B, 4H]`, the products of the inputs of all steps with their weights
    /// - bias: `[4H]`
    /// - c0, mask: `[B, H]`
    ///
    /// # Panics
    /// If a size is zero or a buffer does not have the length that `shape` asks for.
    pub fn new(
        shape: LstmShape,
        input: Buffer<f32>,
        bias: Buffer<f32>,
        c0: Buffer<f32>,
        mask: Option<Buffer<f32>>,
    ) -> Self {
        let LstmShape { steps, batch, hidden } = shape;
        assert!(steps > 0 && batch > 0 && hidden > 0, "{shape:?} has a size of zero");
        assert_eq!(input.len(), steps * batch * 4 * hidden, "input side of {shape:?}");
        assert_eq!(bias.len(), 4 * hidden, "bias of {shape:?}");
        assert_eq!(c0.len(), shape.state(), "c0 of {shape:?}");
        assert!(mask.as_ref().is_none_or(|mask| mask.len() == shape.state()), "mask of {shape:?}");
        let client = input.client().clone();
        let gates = Buffer::empty(&client, input.len());
        let (states, h) = [(); 2].map(|()| Buffer::empty(&client, steps * shape.state())).into();
        Self { shape, input, bias, mask, gates, cells: vec![c0], states, h }
    }

    /// Takes the next step. Returns the state as it enters the product of the step after it, `[B, H]`: the output times the mask.
    ///
    /// # Shapes
    /// - state: `[B, H]`, as it entered the product of this step
    /// - product: `[B, 4H]`, `state W_h`
    ///
    /// # Panics
    /// If all steps are taken, or a buffer does not have its length.
    pub fn step(&mut self, state: &Buffer<f32>, product: &Buffer<f32>) -> Buffer<f32> {
        let (client, units, t) = (self.input.client(), self.shape.state(), self.cells.len() - 1);
        assert!(t < self.shape.steps, "{:?} has no more steps", self.shape);
        assert_eq!([state.len(), product.len()], [units, 4 * units], "state and product of {:?}", self.shape);
        let (new, next) = (Buffer::empty(client, units), Buffer::empty(client, units));
        activate::launch(
            client,
            grid(units),
            cube_dim(),
            self.input.arg(),
            product.arg(),
            self.bias.arg(),
            state.arg(),
            self.cells[t].arg(),
            self.mask.as_ref().unwrap_or(state).arg(),
            self.gates.arg(),
            new.arg(),
            next.arg(),
            self.states.arg(),
            self.h.arg(),
            t * units,
            units,
            self.shape.hidden,
            self.mask.is_some(),
        );
        self.cells.push(new);
        next
    }

    /// Output of every step, `[T * B, H]`.
    pub fn h(&self) -> &Buffer<f32> {
        &self.h
    }

    /// The state before each step, as it entered the product, `[T * B, H]`.
    pub fn states(&self) -> &Buffer<f32> {
        &self.states
    }

    /// Cells after the last step that was taken, `[B, H]`.
    pub fn last_cell(&self) -> &Buffer<f32> {
        &self.cells[self.cells.len() - 1]
    }

    /// The way back from the gradient of the outputs, `[T * B, H]`.
    ///
    /// # Panics
    /// If steps are left, or the gradient does not have its length.
    pub fn back(&self, grad_h: Buffer<f32>) -> LstmBack<'_> {
        let (client, state) = (grad_h.client().clone(), self.shape.state());
        assert_eq!(self.cells.len(), self.shape.steps + 1, "steps of {:?}", self.shape);
        assert_eq!(grad_h.len(), self.h.len(), "gradient of the outputs of {:?}", self.shape);
        let grad_cell = Buffer::upload(&client, &vec![0.0; state]);
        let deltas = Buffer::empty(&client, self.gates.len());
        LstmBack { pass: self, grad_h, grad_cell, deltas, left: self.shape.steps }
    }
}

/// The steps of a pass taken backwards.
#[derive(Clone, Debug)]
pub struct LstmBack<'a> {
    pass: &'a LstmPass,
    grad_h: Buffer<f32>,
    /// Gradient of the cells after the step to come, `[B, H]`.
    grad_cell: Buffer<f32>,
    /// Gradients of the gates before their activation, `[T * B, 4H]`.
    deltas: Buffer<f32>,
    left: usize,
}

impl LstmBack<'_> {
    /// Takes the last of the steps that are left. Returns the gradients of its gates before their activation, `[B, 4H]`.
    ///
    /// # Shapes
    /// - carried: `[B, H]`, the product of what the step after it returned with the transpose of `W_h`; nothing for the last step
    ///
    /// # Panics
    /// If no step is left, or the gradient does not have its length.
    pub fn step(&mut self, carried: Option<&Buffer<f32>>) -> Buffer<f32> {
        let LstmPass { shape, mask, gates, cells, .. } = self.pass;
        let (client, units) = (self.grad_h.client(), shape.state());
        assert!(self.left > 0, "{shape:?} has no more steps");
        assert!(carried.is_none_or(|carried| carried.len() == units), "carried gradient of {shape:?}");
        self.left -= 1;
        let t = self.left;
        let delta = Buffer::empty(client, 4 * units);
        // A kernel has all its arguments, whatever it needs of them.
        let unused = &cells[t];
        deactivate::launch(
            client,
            grid(units),
            cube_dim(),
            gates.arg(),
            cells[t].arg(),
            cells[t + 1].arg(),
            self.grad_h.arg(),
            carried.unwrap_or(unused).arg(),
            mask.as_ref().unwrap_or(unused).arg(),
            self.grad_cell.arg(),
            delta.arg(),
            self.deltas.arg(),
            t * units,
            units,
            shape.hidden,
            carried.is_some(),
            mask.is_some(),
        );
        delta
    }

    /// Gradients of the gates of all steps before their activation, `[T * B, 4H]`.
    ///
    /// # Panics
    /// If steps are left.
    pub fn finish(self) -> Buffer<f32> {
        assert_eq!(self.left, 0, "steps of {:?} are left", self.pass.shape);
        self.deltas
    }
}

/// `exp(x)`, at most `exp(87)` and at least `exp(-87)`; what is no number stays none.
#[cube]
// The clamp of a graphics card makes a number of what is none.
#[allow(clippy::manual_clamp)]
fn bounded_exp(x: f32) -> f32 {
    let mut bounded = x;
    if x > LARGEST {
        bounded = LARGEST;
    }
    if x < -LARGEST {
        bounded = -LARGEST;
    }
    bounded.exp()
}

#[cube]
fn sigmoid(x: f32) -> f32 {
    1.0f32 / (1.0f32 + bounded_exp(-x))
}

#[cube]
fn tanh(x: f32) -> f32 {
    1.0f32 - 2.0f32 / (bounded_exp(2.0f32 * x) + 1.0f32)
}

/// One unit of one sequence. `first` is that of the step among the states of all.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn activate(
    input: &[f32],
    product: &[f32],
    bias: &[f32],
    state: &[f32],
    old: &[f32],
    mask: &[f32],
    gates: &mut [f32],
    new: &mut [f32],
    next: &mut [f32],
    states: &mut [f32],
    h: &mut [f32],
    first: usize,
    units: usize,
    hidden: usize,
    #[comptime] masked: bool,
) {
    let at = ABSOLUTE_POS;
    if at < units {
        let k = at % hidden;
        let row = 4 * (at - k) + k;
        let all = 4 * first + row;
        let i = sigmoid(input[all] + product[row] + bias[k]);
        let f = sigmoid(input[all + hidden] + product[row + hidden] + bias[k + hidden]);
        let g = tanh(input[all + 2 * hidden] + product[row + 2 * hidden] + bias[k + 2 * hidden]);
        let o = sigmoid(input[all + 3 * hidden] + product[row + 3 * hidden] + bias[k + 3 * hidden]);
        let cell = f * old[at] + i * g;
        let output = o * tanh(cell);
        gates[all] = i;
        gates[all + hidden] = f;
        gates[all + 2 * hidden] = g;
        gates[all + 3 * hidden] = o;
        new[at] = cell;
        h[first + at] = output;
        states[first + at] = state[at];
        if comptime!(masked) {
            next[at] = output * mask[at];
        } else {
            next[at] = output;
        }
    }
}

/// One unit of one sequence, backwards.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn deactivate(
    gates: &[f32],
    old: &[f32],
    new: &[f32],
    grad_h: &[f32],
    carried: &[f32],
    mask: &[f32],
    grad_cell: &mut [f32],
    delta: &mut [f32],
    deltas: &mut [f32],
    first: usize,
    units: usize,
    hidden: usize,
    #[comptime] carries: bool,
    #[comptime] masked: bool,
) {
    let at = ABSOLUTE_POS;
    if at < units {
        let k = at % hidden;
        let row = 4 * (at - k) + k;
        let all = 4 * first + row;
        let i = gates[all];
        let f = gates[all + hidden];
        let g = gates[all + 2 * hidden];
        let o = gates[all + 3 * hidden];
        let mut grad = grad_h[first + at];
        if comptime!(carries) {
            if comptime!(masked) {
                grad += carried[at] * mask[at];
            } else {
                grad += carried[at];
            }
        }
        let bent = tanh(new[at]);
        let mut cell = grad * o * (1.0f32 - bent * bent);
        // Behind the last step lies nothing.
        if comptime!(carries) {
            cell += grad_cell[at];
        }
        let to_i = cell * g * i * (1.0f32 - i);
        let to_f = cell * old[at] * f * (1.0f32 - f);
        let to_g = cell * i * (1.0f32 - g * g);
        let to_o = grad * bent * o * (1.0f32 - o);
        grad_cell[at] = cell * f;
        delta[row] = to_i;
        delta[row + hidden] = to_f;
        delta[row + 2 * hidden] = to_g;
        delta[row + 3 * hidden] = to_o;
        deltas[all] = to_i;
        deltas[all + hidden] = to_f;
        deltas[all + 2 * hidden] = to_g;
        deltas[all + 3 * hidden] = to_o;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{client, numbers};

    const SHAPE: LstmShape = LstmShape { steps: 3, batch: 2, hidden: 5 };

    /// Gates, cell and output of one unit by the formulas, in `f64`.
    fn unit(sums: [f64; 4], cell: f64) -> ([f64; 4], f64, f64) {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let [i, f, g, o] = [sigmoid(sums[0]), sigmoid(sums[1]), sums[2].tanh(), sigmoid(sums[3])];
        let new = f * cell + i * g;
        ([i, f, g, o], new, o * new.tanh())
    }

    #[test]
    fn a_step_bends_its_gates_and_hands_the_masked_state_on() {
        let Some(client) = client() else { return };
        let (units, hidden) = (SHAPE.state(), SHAPE.hidden);
        // Sums of up to ±160: gates that are all but shut must stay numbers.
        let input: Vec<f32> =
            numbers(3 * 4 * units, 1).iter().map(|x| 4.0 * x.powi(3) * if *x > 0.9 { 40.0 } else { 1.0 }).collect();
        let (bias, mut cell) = (numbers(4 * hidden, 2), numbers(units, 3));
        let mask: Vec<f32> = (0..units).map(|at| if at % 3 == 0 { 0.0 } else { 1.5 }).collect();
        let upload = |values: &[f32]| Buffer::upload(&client, values);
        let mut pass = LstmPass::new(SHAPE, upload(&input), upload(&bias), upload(&cell), Some(upload(&mask)));
        let mut outputs = Vec::new();
        for t in 0..3 {
            let (state, product) = (numbers(units, 10 + t), numbers(4 * units, 20 + t));
            let next = pass.step(&upload(&state), &upload(&product)).download();
            for at in 0..units {
                let (row, k) = (at / hidden, at % hidden);
                let sums = [0, 1, 2, 3].map(|gate| {
                    let (column, wide) = (gate * hidden + k, 4 * hidden);
                    let step = (t as usize * SHAPE.batch + row) * wide + column;
                    f64::from(input[step]) + f64::from(product[row * wide + column]) + f64::from(bias[column])
                });
                let (_, new, h) = unit(sums, f64::from(cell[at]));
                assert!(
                    (f64::from(next[at]) - h * f64::from(mask[at])).abs() < 1e-5,
                    "{t}, {at}: {} and {h}",
                    next[at]
                );
                cell[at] = new as f32;
                outputs.push(h as f32);
            }
            assert_eq!(pass.states().download()[t as usize * units..][..units], state);
        }
        let close = |got: Vec<f32>, want: &[f32]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close(pass.h().download(), &outputs) && close(pass.last_cell().download(), &cell));
    }

    /// One step alone, where nothing is carried back: the gradient of `sum grad_h h` by each pre-activation.
    #[test]
    fn a_step_back_agrees_with_finite_differences() {
        let Some(client) = client() else { return };
        let shape = LstmShape { steps: 1, ..SHAPE };
        let (units, hidden) = (shape.state(), shape.hidden);
        let (input, cell, grad_h) = (numbers(4 * units, 4), numbers(units, 5), numbers(units, 6));
        let upload = |values: &[f32]| Buffer::upload(&client, values);
        let zeros = |len: usize| upload(&vec![0.0; len]);
        let mut pass = LstmPass::new(shape, upload(&input), zeros(4 * hidden), upload(&cell), None);
        pass.step(&zeros(units), &zeros(4 * units));
        let mut back = pass.back(upload(&grad_h));
        let delta = back.step(None).download();
        assert_eq!(back.finish().download(), delta);
        for at in 0..units {
            let (row, k) = (at / hidden, at % hidden);
            let place = |gate: usize| row * 4 * hidden + gate * hidden + k;
            let sums = [0, 1, 2, 3].map(|gate| f64::from(input[place(gate)]));
            for gate in 0..4 {
                let [up, down] = [1e-4, -1e-4].map(|move_by| {
                    let mut sums = sums;
                    sums[gate] += move_by;
                    unit(sums, f64::from(cell[at])).2 * f64::from(grad_h[at])
                });
                let (slope, got) = ((up - down) / 2e-4, f64::from(delta[place(gate)]));
                assert!((slope - got).abs() < 1e-5, "{at}, gate {gate}: {slope} and {got}");
            }
        }
    }
}
