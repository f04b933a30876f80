//! A whole training step of a head: `cargo bench -p rf-softmax --bench step`.
//!
//! B = 128, m = 100, d = 64, D = 256, leaf law `gauss`, lazy Adam. `rfs bench step` shows its parts, at larger sizes.

use burn::tensor::{Device, Distribution, Tensor};
use divan::Bencher;
use rf_softmax::{LeafLaw, RffConfig, SampledSoftmaxLossConfig, SamplerConfig};

const BATCH: usize = 128;
const DIM: usize = 64;

fn main() {
    divan::main();
}

#[divan::bench(args = [10_000, 100_000], sample_count = 20)]
fn rff_gauss_256(bencher: Bencher<'_, '_>, n: usize) {
    let device = Device::flex().autodiff();
    device.seed(1);
    let sampler = RffConfig { features: 256, leaf_law: LeafLaw::Gauss, ..RffConfig::default() };
    let config = SampledSoftmaxLossConfig::new(n, DIM).with_sampler(SamplerConfig::Rff(sampler));
    let mut head = config.init(&device).expect("it fits the memory");
    let mut turn = 0;
    let next = || {
        turn += 1;
        let h = Tensor::<2>::random([BATCH, DIM], Distribution::Normal(0.0, 1.0), &device);
        let targets: Vec<u32> = (0..BATCH).map(|b| ((b + 131 * turn) * 7_919 % n) as u32).collect();
        (h.require_grad(), targets)
    };
    bencher.with_inputs(next).bench_local_values(|(h, targets)| {
        let output = head.forward_ids(h, &targets).expect("finite queries");
        let mut grads = output.loss.backward();
        let rows = head.gradient(&output, &mut grads);
        head.step(0.01, &rows).expect("finite rows");
        output.mean()
    });
}
