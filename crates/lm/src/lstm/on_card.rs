//! The layer on a graphics card: products by burn, gates by kernels, the loop over steps here. Nothing comes back to the host.

use burn::tensor::{Device, Tensor, TensorData};
use rf_device::{Buffer, LstmPass, LstmShape};
use rf_softmax::{buffer_of, card_op, tensor_of};

use super::{Lstm, LstmState, Place};

impl Lstm {
    /// As [`Lstm::forward`], of tensors on a graphics card.
    pub(super) fn on_card(&self, x: Tensor<2>, steps: usize, state: &mut LstmState, mask: &[f32]) -> Tensor<2> {
        let (rows, hidden) = (x.dims()[0], self.w_h.dims()[0]);
        let shape = LstmShape { steps, batch: rows / steps, hidden };
        let parents = [x, self.w_x.val(), self.w_h.val(), self.bias.val()];
        let [x, w_x, w_h, bias] = parents.each_ref().map(plain);
        let layer = Layer { shape, device: x.device(), x, w_x, w_h };
        let (h, c) = state.on_card(shape, &layer.device);
        let mask = (!mask.is_empty()).then(|| state_tensor(mask.to_vec(), shape, &layer.device));
        let pass = layer.forward(bias, h, c, mask);
        let output: Tensor<2> = tensor_of(pass.h(), [rows, hidden], &layer.device);
        let last = output.clone().slice([rows - shape.batch..rows, 0..hidden]);
        let cells = tensor_of(pass.last_cell(), [shape.batch, hidden], &layer.device);
        *state = LstmState(Place::Card(Box::new([last, cells])));
        card_op(output, &parents, move |upstream| layer.backward(&pass, upstream))
    }
}

impl LstmState {
    /// `h` and `c` as tensors, outside autodiff.
    fn on_card(&self, shape: LstmShape, device: &Device) -> (Tensor<2>, Tensor<2>) {
        match &self.0 {
            Place::Host { h, c } => (state_tensor(h.clone(), shape, device), state_tensor(c.clone(), shape, device)),
            Place::Card(state) => (**state).clone().into(),
        }
    }
}

fn state_tensor(values: Vec<f32>, shape: LstmShape, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [shape.batch, shape.hidden]), device)
}

fn plain(tensor: &Tensor<2>) -> Tensor<2> {
    if tensor.device().is_autodiff() { tensor.clone().inner() } else { tensor.clone() }
}

/// What a pass is made of, outside autodiff.
#[derive(Debug)]
struct Layer {
    shape: LstmShape,
    device: Device,
    /// `[T * B, in]`.
    x: Tensor<2>,
    w_x: Tensor<2>,
    w_h: Tensor<2>,
}

impl Layer {
    fn forward(&self, bias: Tensor<2>, h: Tensor<2>, c: Tensor<2>, mask: Option<Tensor<2>>) -> LstmPass {
        let input = buffer_of(self.x.clone().matmul(self.w_x.clone()));
        let mut state = buffer_of(match &mask {
            Some(mask) => h * mask.clone(),
            None => h,
        });
        let mut pass = LstmPass::new(self.shape, input, buffer_of(bias), buffer_of(c), mask.map(buffer_of));
        for _ in 0..self.shape.steps {
            let product = self.tensor(&state, 1).matmul(self.w_h.clone());
            state = pass.step(&state, &buffer_of(product));
        }
        pass
    }

    /// Gradients of `x`, `w_x`, `w_h` and the bias.
    fn backward(&self, pass: &LstmPass, upstream: Tensor<2>) -> Vec<Tensor<2>> {
        let mut back = pass.back(buffer_of(upstream));
        let to_state = self.w_h.clone().transpose();
        let mut carried = None;
        for _ in 0..self.shape.steps {
            let delta = back.step(carried.as_ref());
            carried = Some(buffer_of(self.tensor(&delta, 4).matmul(to_state.clone())));
        }
        let LstmShape { steps, batch, hidden } = self.shape;
        let deltas: Tensor<2> = tensor_of(&back.finish(), [steps * batch, 4 * hidden], &self.device);
        let states: Tensor<2> = tensor_of(pass.states(), [steps * batch, hidden], &self.device);
        vec![
            deltas.clone().matmul(self.w_x.clone().transpose()),
            self.x.clone().transpose().matmul(deltas.clone()),
            states.transpose().matmul(deltas.clone()),
            deltas.sum_dim(0),
        ]
    }

    /// Numbers of one step, `[B, gates * H]`.
    fn tensor(&self, numbers: &Buffer<f32>, gates: usize) -> Tensor<2> {
        tensor_of(numbers, [self.shape.batch, gates * self.shape.hidden], &self.device)
    }
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use burn::tensor::{DeviceKind, DeviceType};
    use rf_softmax::to_vec;
    use rf_training::parameter;

    use super::*;
    use crate::lstm::Spare;

    /// The card, or none, which is said aloud; where `RFS_EXPECT_DEVICE` is set, none is a failure.
    fn card() -> Option<Device> {
        if Device::enumerate(DeviceType::Wgpu).is_empty() {
            assert!(std::env::var_os("RFS_EXPECT_DEVICE").is_none(), "no device for wgpu");
            eprintln!("skipped: no device for wgpu; install mesa-vulkan-drivers");
            return None;
        }
        Some(Device::wgpu(DeviceKind::DefaultDevice).autodiff())
    }

    fn golden(name: &str) -> Vec<f32> {
        let file: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/lstm.json")).unwrap();
        file[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
    }

    fn tensor(values: Vec<f32>, rows: usize, device: &Device) -> Tensor<2> {
        let columns = values.len() / rows;
        Tensor::from_data(TensorData::new(values, [rows, columns]), device)
    }

    fn agree(names: &[&str], got: &[Vec<f32>], want: &[Vec<f32>]) {
        for ((name, got), want) in names.iter().zip(got).zip(want) {
            assert_eq!(got.len(), want.len(), "{name}");
            let worst = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-5, "{name} is off by {worst}");
        }
    }

    /// Outputs, last state and gradients of a pass.
    fn pass(lstm: &Lstm, x: Tensor<2>, state: &mut LstmState, mask: &[f32], weights: Vec<f32>) -> [Vec<f32>; 7] {
        let (x, rows, device) = (x.clone().require_grad(), x.dims()[0], x.device());
        let steps = rows / (state.len() / lstm.w_h.dims()[0]);
        let h = lstm.forward(x.clone(), steps, state, mask);
        let grads = (h.clone() * tensor(weights, rows, &device)).sum().backward();
        let [a, b, c, d] =
            [x, lstm.w_x.val(), lstm.w_h.val(), lstm.bias.val()].map(|tensor| to_vec(tensor.grad(&grads).unwrap()));
        let (last, cell) = state.to_host();
        [to_vec(h), last, cell, a, b, c, d]
    }

    #[test]
    fn outputs_and_gradients_on_a_card_are_those_of_pytorch() {
        let Some(device) = card() else { return };
        let param = |name, number, rows| parameter(number, golden(name), [rows, 24], &device);
        let spare = Spare::default();
        let lstm = Lstm { w_x: param("w_x", 1, 5), w_h: param("w_h", 2, 6), bias: param("bias", 3, 1), spare };
        let mut state = LstmState::new(golden("h0"), golden("c0"));
        let x = tensor(golden("x"), 12, &device);
        let [h, _, cell, grads @ ..] = pass(&lstm, x, &mut state, &[], golden("grad_h"));
        let names = ["h", "last_cell", "grad_x", "grad_w_x", "grad_w_h", "grad_bias"];
        let [a, b, c, d] = grads;
        agree(&names, &[h, cell, a, b, c, d], &names.map(golden));
    }

    #[test]
    fn windows_and_masks_on_a_card_are_those_of_the_host() {
        let Some(device) = card() else { return };
        let numbers = |len: usize, shift: f32| (0..len).map(|i| (i as f32 * 0.7 + shift).sin()).collect::<Vec<_>>();
        let mask: Vec<f32> = (0..3 * 7).map(|at| if at % 4 == 0 { 0.0 } else { 1.25 }).collect();
        let names = ["h", "last h", "last cell", "grad x", "grad w_x", "grad w_h", "grad bias"];
        for mask in [&[][..], &mask] {
            let windows = |device: &Device| {
                let (lstm, mut state) = (Lstm::new(5, 7, 3, 1, device), LstmState::zeros(3, 7));
                // The second window begins where the first ended.
                [0.0, 1.0].map(|shift| {
                    let x = tensor(numbers(4 * 3 * 5, shift), 12, device);
                    pass(&lstm, x, &mut state, mask, numbers(4 * 3 * 7, 2.0 + shift))
                })
            };
            let (there, here) = (windows(&device), windows(&Device::flex().autodiff()));
            there.iter().zip(&here).for_each(|(there, here)| agree(&names, there, here));
        }
    }

    #[test]
    fn without_autodiff_there_is_nothing_to_go_back() {
        let Some(device) = card() else { return };
        let [there, here] = [device.inner(), Device::flex()].map(|device| {
            let x = tensor((0..20).map(|i| (i as f32).cos()).collect(), 4, &device);
            to_vec(Lstm::new(5, 3, 1, 0, &device).forward(x, 2, &mut LstmState::zeros(2, 3), &[]))
        });
        agree(&["h"], &[there], &[here]);
    }
}
