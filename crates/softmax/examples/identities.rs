//! Tells 20,000 identities apart: an MLP of burn's own layers in front of a sampled softmax.
//!
//! Each identity has a hidden centre; an observation is the centre with noise, as an image is one view of a face.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Int, Tensor};
use rf_softmax::{
    Error, LeafLaw, RffConfig, SampledSoftmaxLoss, SampledSoftmaxLossConfig, SamplerConfig, clip_global_norm,
};

const IDENTITIES: usize = 20_000;
const OBSERVED: usize = 32;
const WIDTH: usize = 32;
const BATCH: usize = 128;
const STEPS: usize = 400;

#[derive(Module, Debug)]
struct Encoder {
    hidden: Linear,
    relu: Relu,
    output: Linear,
}

impl Encoder {
    fn new(device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(OBSERVED, 128).init(device),
            relu: Relu::new(),
            output: LinearConfig::new(128, WIDTH).init(device),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.output.forward(self.relu.forward(self.hidden.forward(x)))
    }
}

/// Observations `[B, OBSERVED]` of random identities `[B]`.
fn observe(centres: &Tensor<2>) -> (Tensor<2>, Tensor<1, Int>) {
    let device = centres.device();
    let identities = Tensor::<1>::random([BATCH], Distribution::Uniform(0.0, IDENTITIES as f64), &device).int();
    let noise = Tensor::random([BATCH, OBSERVED], Distribution::Normal(0.0, 0.3), &device);
    (centres.clone().select(0, identities.clone()) + noise, identities)
}

/// The sampled loss and the exact one on the same observations, in nats.
fn report(name: &str, encoder: &Encoder, head: &SampledSoftmaxLoss, centres: &Tensor<2>) -> Result<(), Error> {
    let (x, identities) = observe(centres);
    let h = encoder.forward(x);
    let sampled = head.forward(h.clone(), identities.clone())?.mean();
    let targets: Vec<u32> = identities.into_data().iter::<u32>().collect();
    let exact = head.evaluator().nll(h, &targets)?.iter().sum::<f32>() / BATCH as f32;
    println!("{name}: sampled loss {sampled:.3}, exact loss {exact:.3} nats");
    Ok(())
}

fn main() -> Result<(), Error> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let centres = Tensor::random([IDENTITIES, OBSERVED], Distribution::Normal(0.0, 1.0), &device);
    let sampler = SamplerConfig::Rff(RffConfig { features: 64, leaf_law: LeafLaw::Gauss, ..Default::default() });
    let config = SampledSoftmaxLossConfig::new(IDENTITIES, WIDTH).with_sampler(sampler).with_draws(40);
    let (mut head, mut encoder, mut optim) = (config.init(&device)?, Encoder::new(&device), AdamConfig::new().init());

    report("before", &encoder, &head, &centres)?;
    for _ in 0..STEPS {
        let (x, identities) = observe(&centres);
        let output = head.forward(encoder.forward(x), identities)?;
        let mut grads = output.loss.backward();
        let mut rows = head.gradient(&output, &mut grads);
        let mut dense = GradientsParams::from_grads(grads, &encoder);
        clip_global_norm(&mut dense, &encoder, &mut [&mut rows], 5.0);
        encoder = optim.step(2e-3, encoder, dense);
        head.step(0.05, &rows)?;
    }
    report("after", &encoder, &head, &centres)
}
