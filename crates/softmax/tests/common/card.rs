//! What the tests of heads on a graphics card share. Software Vulkan (`mesa-vulkan-drivers`) is card enough.

// Not every test needs all of it.
#![allow(dead_code)]

use burn::tensor::{Device, DeviceKind, DeviceType, Tensor, TensorData};
use rf_softmax::SampledSoftmaxLoss;

pub const CLASSES: usize = 60;
pub const DIM: usize = 6;
pub const BATCH: usize = 8;

/// The card, or none, which is said aloud; where `RFS_EXPECT_DEVICE` is set, none is a failure.
pub fn card() -> Option<Device> {
    if Device::enumerate(DeviceType::Wgpu).is_empty() {
        assert!(std::env::var_os("RFS_EXPECT_DEVICE").is_none(), "no device for wgpu");
        eprintln!("skipped: no device for wgpu; install mesa-vulkan-drivers");
        return None;
    }
    Some(Device::wgpu(DeviceKind::DefaultDevice).autodiff())
}

pub fn host() -> Device {
    Device::flex().autodiff()
}

/// Queries of a step and a target for each: the class whose number the sign pattern of the query spells.
pub fn batch(step: u64, device: &Device) -> (Tensor<2>, Vec<u32>) {
    let number = |at: u64| ((step * 1000 + at) as f32 * 12.9898).sin() * 43_758.547;
    let values: Vec<f32> =
        (0..(BATCH * DIM) as u64).map(|at| number(at).fract() - 0.5 * number(at).fract().signum()).collect();
    let spell = |query: &[f32]| query.iter().fold(0, |sum, x| 2 * sum + u32::from(*x > 0.0)) % CLASSES as u32;
    let targets = values.chunks(DIM).map(spell).collect();
    (Tensor::from_data(TensorData::new(values, [BATCH, DIM]), device), targets)
}

pub fn step(head: &mut SampledSoftmaxLoss, number: u64) -> f64 {
    let (h, targets) = batch(number, head.device());
    let output = head.forward_ids(h.require_grad(), &targets).unwrap();
    let mut grads = output.loss.backward();
    let gradients = head.gradient(&output, &mut grads);
    head.step(0.05, &gradients).unwrap();
    output.mean()
}

/// Mean exact loss over a few batches, in nats.
pub fn exact(head: &SampledSoftmaxLoss) -> f64 {
    let (evaluator, device) = (head.evaluator(), head.device().clone().inner());
    let nll = (500..520).flat_map(|step| {
        let (h, targets) = batch(step, &device);
        evaluator.nll(h, &targets).unwrap()
    });
    nll.map(f64::from).sum::<f64>() / (20 * BATCH) as f64
}
