//! What a training step of a sampled loss touches, and that it is a function of the seed.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{Purpose, stream};
use rf_softmax::{
    HeadGradients, LeafLaw, RffConfig, RowGradients, SampledSoftmaxLoss, SampledSoftmaxLossConfig, SamplerConfig,
    SoftmaxOutput, clip_global_norm, to_vec,
};

const N: usize = 3_000;
const D: usize = 8;
const B: usize = 16;
const DRAWS: usize = 10;

fn samplers() -> Vec<SamplerConfig> {
    let rff = |leaf_law| SamplerConfig::Rff(RffConfig { features: 32, leaf_law, ..Default::default() });
    let laws = [LeafLaw::Features, LeafLaw::Gauss, LeafLaw::Exact];
    laws.map(rff).into_iter().chain([SamplerConfig::Uniform {}, SamplerConfig::Exp {}]).collect()
}

fn head(sampler: SamplerConfig) -> SampledSoftmaxLoss {
    let config = SampledSoftmaxLossConfig::new(N, D).with_sampler(sampler).with_draws(DRAWS);
    config.with_bias(true).with_learned_tau(true).with_seed(3).init(&Device::flex().autodiff()).unwrap()
}

fn batch(step: u64) -> (Tensor<2>, Vec<u32>) {
    let mut rng = stream(5, Purpose::Init, 77, step);
    let h: Vec<f32> = (0..B * D).map(|_| StandardNormal.sample(&mut rng)).collect();
    let targets = (0..B as u32).map(|b| (b * 181 + step as u32 * 17) % N as u32).collect();
    (Tensor::from_data(TensorData::new(h, [B, D]), &Device::flex().autodiff()).require_grad(), targets)
}

fn step(head: &mut SampledSoftmaxLoss, number: u64) -> SoftmaxOutput {
    let (h, targets) = batch(number);
    let output = head.forward_ids(h, &targets).unwrap();
    let gradients = head.gradient(&output, &mut output.loss.backward());
    head.step(0.05, &gradients).unwrap();
    output
}

#[test]
fn a_step_changes_the_rows_of_targets_and_draws_and_no_other() {
    for sampler in samplers() {
        let mut head = head(sampler.clone());
        for number in 0..5 {
            let before = head.table().data().to_vec();
            let output = step(&mut head, number);
            assert!(output.classes.len() <= B * (DRAWS + 1), "{} classes", output.classes.len());
            let width = head.table().width();
            let rows = before.chunks(width).zip(head.table().data().chunks(width)).zip(0u32..);
            let changed: Vec<u32> = rows.filter(|((old, new), _)| old != new).map(|(_, id)| id).collect();
            // A drawn class of negligible probability may have a gradient too small to move it.
            assert!(changed.iter().all(|id| output.classes.binary_search(id).is_ok()), "{sampler:?}");
            assert!(batch(number).1.iter().all(|target| changed.contains(target)), "{sampler:?}");
        }
    }
}

#[test]
fn training_does_not_depend_on_the_number_of_threads() {
    for sampler in samplers() {
        let run = || {
            let mut head = head(sampler.clone());
            let losses: Vec<u64> = (0..4).map(|number| step(&mut head, number).mean().to_bits()).collect();
            (losses, head.table().data().to_vec(), head.tau())
        };
        let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
        assert!(with(1) == with(2), "{sampler:?}");
    }
}

#[test]
fn an_evaluator_gives_the_exact_losses_and_ignores_what_is_ignored() {
    let mut head = head(SamplerConfig::Uniform {});
    step(&mut head, 0);
    let (h, mut targets) = batch(1);
    targets[4] = rf_softmax::IGNORED;
    let evaluator = head.evaluator();
    let nll = evaluator.nll(h.clone(), &targets).unwrap();
    assert_eq!(nll[4], 0.0);
    assert_eq!(nll, head.exact_nll(h.clone(), &targets).unwrap());
    for (first, query) in to_vec(h.clone()).chunks(D).enumerate() {
        let one = Tensor::from_data(TensorData::new(query.to_vec(), [1, D]), &h.device());
        let alone = evaluator.nll(one, &targets[first..=first]).unwrap()[0];
        assert!((alone - nll[first]).abs() < 1e-5, "{alone} and {}", nll[first]);
    }
}

#[derive(Module, Debug)]
struct TwoWeights {
    matrix: Param<Tensor<2>>,
    vector: Param<Tensor<1>>,
}

/// Weights whose gradients under `sum(w²) / 2` are the weights themselves.
fn two_weights() -> (TwoWeights, GradientsParams) {
    let device = Device::flex().autodiff();
    let module = TwoWeights {
        matrix: Param::from_tensor(Tensor::from_data([[1.0f32, -2.0], [2.0, 4.0]], &device)),
        vector: Param::from_tensor(Tensor::from_data([-1.0f32, 3.0], &device)),
    };
    let loss = (module.matrix.val().square().sum() + module.vector.val().square().sum()) * 0.5;
    let gradients = GradientsParams::from_grads(loss.backward(), &module);
    (module, gradients)
}

#[test]
fn clipping_scales_dense_gradients_and_rows_by_one_factor() {
    // Squares: 25 + 10 dense, 1 + 4 + 9 of the classes, 16 of ln tau, 16 of another table: 81 in all.
    let (module, mut dense) = two_weights();
    let classes = RowGradients { ids: vec![3, 8], values: vec![1.0, 2.0, -3.0, 0.0] };
    let ln_tau = RowGradients { ids: vec![0], values: vec![4.0] };
    let mut head = HeadGradients::new(classes, Some(ln_tau));
    let mut words = RowGradients { ids: vec![5], values: vec![-4.0] };
    let norm = clip_global_norm(&mut dense, &module, &mut [&mut head, &mut words], 4.5).value();
    assert!((norm - 9.0).abs() < 1e-6, "{norm}");
    assert_eq!(to_vec(dense.get::<2>(module.matrix.id).unwrap()), [0.5, -1.0, 1.0, 2.0]);
    assert_eq!(to_vec(dense.get::<1>(module.vector.id).unwrap()), [-0.5, 1.5]);
    assert_eq!(head.classes.values, [0.5, 1.0, -1.5, 0.0]);
    assert_eq!(head.ln_tau.unwrap().values, [2.0]);
    assert_eq!(words.values, [-2.0]);
}

#[test]
fn gradients_within_the_norm_are_left_as_they_are() {
    let (module, mut dense) = two_weights();
    let mut rows = RowGradients { ids: vec![5], values: vec![1.0] };
    let norm = clip_global_norm(&mut dense, &module, &mut [&mut rows], 6.0).value();
    assert!((norm - 6.0).abs() < 1e-6, "{norm}");
    assert_eq!(to_vec(dense.get::<1>(module.vector.id).unwrap()), [-1.0, 3.0]);
    assert_eq!(rows.values, [1.0]);
}
