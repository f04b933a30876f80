//! What makes the sampled loss an estimate of the full one.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use rf_softmax::{
    Error, Estimator, LeafLaw, LossKind, RffConfig, SampledSoftmaxLoss, SampledSoftmaxLossConfig, SamplerConfig,
    SoftmaxOutput, to_vec,
};

use common::{B, D, N, TARGETS, normals};

fn config(sampler: SamplerConfig, draws: usize) -> SampledSoftmaxLossConfig {
    SampledSoftmaxLossConfig::new(N, D)
        .with_rows(normals(N * D, 0))
        .with_scale(true, 4.0)
        .with_sampler(sampler)
        .with_draws(draws)
}

fn head(sampler: SamplerConfig, draws: usize, seed: u64) -> SampledSoftmaxLoss {
    config(sampler, draws).with_seed(seed).init(&device()).unwrap()
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn queries() -> Tensor<2> {
    Tensor::from_data(TensorData::new(normals(B * D, 1), [B, D]), &device()).require_grad()
}

/// Gradients for `h` (`[B, d]`) and all class rows (`[n, d]`), one after the other.
fn gradient(head: &SampledSoftmaxLoss) -> (SoftmaxOutput, Vec<f64>) {
    let h = queries();
    let output = head.forward_ids(h.clone(), &TARGETS).unwrap();
    let mut grads = output.loss.backward();
    let mut all: Vec<f64> = to_vec(h.grad(&grads).unwrap()).into_iter().map(f64::from).collect();
    let rows = head.gradient(&output, &mut grads).classes;
    let mut dense = vec![0.0; N * D];
    for (&id, row) in rows.ids.iter().zip(rows.values.chunks(D)) {
        dense[id as usize * D..][..D].iter_mut().zip(row).for_each(|(to, &from)| *to = f64::from(from));
    }
    all.extend(dense);
    (output, all)
}

fn full(absolute: bool) -> (SoftmaxOutput, Vec<f64>) {
    let config = config(SamplerConfig::Uniform {}, 1).with_kind(LossKind::Full).with_absolute(absolute);
    gradient(&config.init(&device()).unwrap())
}

#[test]
fn drawing_from_the_softmax_gives_the_full_loss_for_every_draw() {
    for absolute in [false, true] {
        let (want, _) = full(absolute);
        for draws in [1, 7, 30] {
            for seed in 0..5 {
                let config = config(SamplerConfig::Exp {}, draws).with_seed(seed).with_absolute(absolute);
                let (got, _) = gradient(&config.init(&device()).unwrap());
                for (got, want) in got.nll.iter().zip(&want.nll) {
                    assert!((got - want).abs() < 1e-5, "{got} and {want} at m = {draws}");
                }
            }
        }
    }
}

#[test]
fn the_absolute_loss_is_that_of_the_sizes_of_the_logits() {
    let (output, _) = full(true);
    let (h, rows) = (to_vec(queries()), normals(N * D, 0));
    let unit = |x: &[f32]| {
        let norm = x.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
        x.iter().map(|&x| f64::from(x) / norm).collect::<Vec<_>>()
    };
    for (query, (&target, got)) in h.chunks(D).zip(TARGETS.iter().zip(&output.nll)) {
        let size = |row: &[f32]| 4.0 * unit(query).iter().zip(unit(row)).map(|(a, b)| a * b).sum::<f64>().abs();
        let sizes: Vec<f64> = rows.chunks(D).map(size).collect();
        let want = sizes.iter().map(|size| size.exp()).sum::<f64>().ln() - sizes[target as usize];
        assert!((f64::from(*got) - want).abs() < 1e-5, "{got} and {want}");
    }
}

#[test]
fn turning_a_class_round_turns_its_gradient_round_and_leaves_the_absolute_loss() {
    let mut rows = normals(N * D, 0);
    rows[3 * D..4 * D].iter_mut().for_each(|x| *x = -*x);
    for kind in [LossKind::Full, LossKind::Sampled] {
        let config = config(SamplerConfig::Uniform {}, 20).with_kind(kind).with_absolute(true);
        let (plain, before) = gradient(&config.clone().init(&device()).unwrap());
        let (turned, after) = gradient(&config.with_rows(rows.clone()).init(&device()).unwrap());
        assert_eq!(plain.nll, turned.nll, "{kind:?}");
        for (at, (before, after)) in before.iter().zip(after).enumerate() {
            let turned = (B * D + 3 * D..B * D + 4 * D).contains(&at);
            assert!(
                (if turned { -after } else { after } - before).abs() < 1e-6,
                "{kind:?}: {before} and {after} at {at}"
            );
        }
    }
}

#[test]
fn training_and_evaluation_agree_on_the_absolute_loss() {
    let head = config(SamplerConfig::Exp {}, 10).with_absolute(true).init(&device()).unwrap();
    let evaluated = head.exact_nll(queries(), &TARGETS).unwrap();
    assert_eq!(evaluated, full(true).0.nll);
}

/// Distance of the mean sampled gradient from the full one, as a share of the latter's length.
fn bias(sampler: &SamplerConfig, draws: usize, seeds: u64) -> f64 {
    let (_, want) = full(false);
    let mut mean = vec![0.0; want.len()];
    for seed in 0..seeds {
        let (_, got) = gradient(&head(sampler.clone(), draws, seed));
        mean.iter_mut().zip(got).for_each(|(mean, got)| *mean += got / seeds as f64);
    }
    let norm = |values: Vec<f64>| values.iter().map(|x| x * x).sum::<f64>().sqrt();
    norm(mean.iter().zip(&want).map(|(a, b)| a - b).collect()) / norm(want)
}

#[test]
fn the_mean_gradient_approaches_the_full_one_as_draws_grow_and_sooner_for_a_better_proposal() {
    // The seed also fixes the projection, so the RFF row averages over projections too: each is a valid proposal.
    let rff = RffConfig { features: 128, nu: 3.0, leaf_law: LeafLaw::Exact, leaf_size: Some(8), ..Default::default() };
    let (seeds, rff) = (3_000, SamplerConfig::Rff(rff));
    let uniform = [2, 8, 32].map(|draws| bias(&SamplerConfig::Uniform {}, draws, seeds));
    let kernel = [2, 8, 32].map(|draws| bias(&rff, draws, seeds));
    let exact = bias(&SamplerConfig::Exp {}, 2, seeds);
    for biases in [uniform, kernel] {
        assert!(biases[0] > biases[1] && biases[1] > biases[2], "{biases:?}");
    }
    assert!(uniform[2] < 0.08, "{uniform:?}");
    assert!(kernel[0] < 0.6 * uniform[0] && kernel[1] < 0.6 * uniform[1], "{kernel:?} and {uniform:?}");
    // Unbiased: what is left is the noise of the mean.
    assert!(exact < 0.05, "{exact}");
}

#[test]
fn finite_differences_agree_with_the_gradient() {
    let rff = SamplerConfig::Rff(RffConfig { features: 32, leaf_size: Some(4), ..Default::default() });
    for (kind, estimator, absolute) in [
        (LossKind::Sampled, Estimator::Published, false),
        (LossKind::Sampled, Estimator::Published, true),
        (LossKind::Sampled, Estimator::BothCorrected, false),
        (LossKind::Full, Estimator::Published, false),
        (LossKind::Full, Estimator::Published, true),
    ] {
        let config = config(rff.clone(), 10).with_kind(kind).with_estimator(estimator).with_absolute(absolute);
        let head = config.init(&device()).unwrap();
        let h = queries();
        let ids = head.draw(&to_vec(h.clone()), &TARGETS).unwrap();
        // Candidates held fixed: the loss is differentiated as a function of h for given draws.
        let loss = |h: Tensor<2>| match kind {
            LossKind::Full => head.forward_ids(h, &TARGETS).unwrap(),
            LossKind::Sampled => head.forward_with(h, &TARGETS, ids.clone()).unwrap(),
        };
        let grads = loss(h.clone()).loss.backward();
        let analytic = to_vec(h.grad(&grads).unwrap());
        let base = to_vec(h);
        for at in (0..B * D).step_by(5) {
            let shifted = |by: f32| {
                let mut values = base.clone();
                values[at] += by;
                loss(Tensor::from_data(TensorData::new(values, [B, D]), &device())).mean()
            };
            // Sizes have a kink at zero, which a long step would cross for some class.
            let step = if absolute { 2e-3 } else { 1e-2 };
            let numeric = (shifted(step) - shifted(-step)) / (2.0 * f64::from(step));
            assert!((numeric - f64::from(analytic[at])).abs() < 2e-4, "{kind:?}: {numeric} and {}", analytic[at]);
        }
    }
}

#[test]
fn the_loss_gradient_follows_a_scaled_loss() {
    let head = head(SamplerConfig::Uniform {}, 5, 0);
    let (h, scaled) = (queries(), queries());
    let plain = head.forward_ids(h.clone(), &TARGETS).unwrap().loss.backward();
    let triple = (head.forward_ids(scaled.clone(), &TARGETS).unwrap().loss * 3.0).backward();
    let (one, three) = (to_vec(h.grad(&plain).unwrap()), to_vec(scaled.grad(&triple).unwrap()));
    assert!(one.iter().zip(&three).all(|(one, three)| (3.0 * one - three).abs() < 1e-5));
}

#[test]
fn bad_settings_and_targets_are_refused() {
    let refused = |config: SampledSoftmaxLossConfig| config.init(&device()).unwrap_err().to_string();
    assert!(refused(config(SamplerConfig::Uniform {}, N + 1)).contains("loss.draws = 41"));
    assert!(refused(config(SamplerConfig::Uniform {}, 0)).contains("loss.draws = 0"));
    assert!(refused(config(SamplerConfig::Uniform {}, 1).with_scale(true, f32::NAN)).contains("loss.tau"));
    assert!(refused(config(SamplerConfig::Uniform {}, 1).with_bias(true)).contains("rows"));
    let head = head(SamplerConfig::Uniform {}, 5, 0);
    let outcome = head.forward_ids(queries(), &[0, 1, 2, 3, 4, 40]);
    assert!(matches!(outcome, Err(Error::BadTarget { query: 5, target: 40, classes: N })));
    assert!(matches!(head.forward_ids(queries(), &[rf_softmax::IGNORED; B]), Err(Error::NoTargets)));
}

#[test]
fn a_query_that_is_not_finite_is_an_error() {
    let head = head(SamplerConfig::default(), 5, 0);
    let h = Tensor::from_data(TensorData::new(vec![f32::NAN; B * D], [B, D]), &device());
    assert!(matches!(head.forward_ids(h, &TARGETS), Err(Error::Sampler(rf_sampling::Error::BadQuery))));
}

#[test]
fn stepping_a_shared_head_is_refused() {
    let mut head = head(SamplerConfig::default(), 5, 0);
    let output = head.forward_ids(queries(), &TARGETS).unwrap();
    let mut grads = output.loss.backward();
    let gradients = head.gradient(&output, &mut grads);
    let clone = head.clone();
    assert!(matches!(head.step(0.1, &gradients), Err(Error::Shared)));
    drop(clone);
    head.step(0.1, &gradients).unwrap();
}
