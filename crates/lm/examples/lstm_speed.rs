//! Times one LSTM layer, forward and backward through burn's autodiff, at the size of the Penn Treebank configurations:
//! batch 20, 35 steps, 200 units. `scripts/bench/lstm_torch.py` times PyTorch's `nn.LSTM` the same way.
//!
//! `cargo run --release -p rf-lm --example lstm_speed`

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use rf_lm::{Lstm, LstmState};

const BATCH: usize = 20;
const STEPS: usize = 35;
const UNITS: usize = 200;
const WARM_UP: usize = 10;
const RUNS: usize = 40;

fn main() {
    let device = Device::flex().autodiff();
    let layer = Lstm::new(UNITS, UNITS, 1, 0, &device);
    let x = Tensor::<2>::random([STEPS * BATCH, UNITS], Distribution::Normal(0.0, 1.0), &device).require_grad();
    let weights = Tensor::<2>::random([STEPS * BATCH, UNITS], Distribution::Normal(0.0, 1.0), &device);
    let mut milliseconds: Vec<f64> = (0..WARM_UP + RUNS)
        .map(|_| {
            let began = Instant::now();
            let h = layer.forward(x.clone(), STEPS, &mut LstmState::zeros(BATCH, UNITS), &[]);
            let grads = (h * weights.clone()).sum().backward();
            let elapsed = began.elapsed().as_secs_f64() * 1e3;
            assert!(x.grad(&grads).is_some());
            elapsed
        })
        .skip(WARM_UP)
        .collect();
    milliseconds.sort_unstable_by(f64::total_cmp);
    let (median, last) = (milliseconds[RUNS / 2], milliseconds[RUNS - 1]);
    println!(
        r#"{{"what": "burn + rf-lm", "total_ms": {median:.2}, "min_ms": {:.2}, "max_ms": {last:.2}}}"#,
        milliseconds[0]
    );
}
