//! Draws that a batch shares: the estimate, its gradient, and that it is the loss of lists repeated for every query.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rf_sampling::{Purpose, stream};
use rf_softmax::{
    Candidates, Error, Estimator, IGNORED, LeafLaw, LossConfig, LossKind, Points, RffConfig, SampledSoftmaxLoss,
    SampledSoftmaxLossConfig, SamplerConfig, Sharing, SoftmaxOutput, to_vec,
};

use common::{B, D, N, TARGETS, normals};

fn device() -> Device {
    Device::flex().autodiff()
}

fn rff() -> SamplerConfig {
    SamplerConfig::Rff(RffConfig { features: 128, nu: 2.0, leaf_size: Some(4), ..Default::default() })
}

fn config(sampler: SamplerConfig, draws: usize) -> SampledSoftmaxLossConfig {
    let loss = LossConfig { sampler, draws, sharing: Sharing::Batch, tau: 4.0, ..Default::default() };
    SampledSoftmaxLossConfig::new(N, D).with_rows(normals(N * D, 0)).with_loss(loss)
}

fn head(sampler: SamplerConfig, draws: usize, seed: u64) -> SampledSoftmaxLoss {
    config(sampler, draws).with_seed(seed).init(&device()).unwrap()
}

fn leaf(values: Vec<f32>) -> Tensor<2> {
    let batch = values.len() / D;
    Tensor::from_data(TensorData::new(values, [batch, D]), &device()).require_grad()
}

/// Gradients for `h` and all class rows, one after the other.
fn gradient(head: &SampledSoftmaxLoss, h: &Tensor<2>, output: &SoftmaxOutput) -> Vec<f64> {
    let mut grads = output.loss.backward();
    let mut all = to_vec(h.grad(&grads).unwrap());
    let rows = head.gradient(output, &mut grads).classes;
    let width = head.table().width();
    let mut dense = vec![0.0; N * width];
    for (&id, row) in rows.ids.iter().zip(rows.values.chunks(width)) {
        dense[id as usize * width..][..width].copy_from_slice(row);
    }
    all.extend(dense);
    all.into_iter().map(f64::from).collect()
}

fn full(h: Vec<f32>) -> (SoftmaxOutput, Vec<f64>) {
    let head = config(SamplerConfig::Uniform {}, 1).with_kind(LossKind::Full).init(&device()).unwrap();
    let h = leaf(h);
    let output = head.forward_ids(h.clone(), &TARGETS).unwrap();
    let gradient = gradient(&head, &h, &output);
    (output, gradient)
}

#[test]
fn drawing_from_the_softmax_of_all_queries_leaves_the_hits_on_the_target_as_the_only_chance() {
    // Equal queries, so q̄ = p for each: every draw beside the target adds Z/M, whatever it is.
    let h = normals(D, 1).repeat(B);
    let (want, _) = full(h.clone());
    for points in [Points::Independent, Points::Systematic] {
        for (draws, seed) in [(1, 0), (7, 1), (30, 2), (30, 3)] {
            let mut loss = config(SamplerConfig::Exp {}, draws).with_seed(seed);
            loss = loss.with_loss(LossConfig { points, ..head(SamplerConfig::Exp {}, draws, seed).config().clone() });
            let head = loss.init(&device()).unwrap();
            let queries = to_vec(head.logit_queries(leaf(h.clone())).unwrap());
            let candidates = head.draw(&queries, &TARGETS).unwrap();
            let output = head.forward_ids(leaf(h.clone()), &TARGETS).unwrap();
            for (query, (got, want)) in output.nll.iter().zip(&want.nll).enumerate() {
                // A distinct class that falls on the point k/M of the softmax has expected count M p and weight count.
                let p_target = f64::from(-want).exp();
                let weight = |(id, ln_expected): (u32, f32)| {
                    let exact = head.exact_nll(leaf(h.clone()).detach(), &[id; B]).unwrap()[query];
                    f64::from(-exact - ln_expected).exp()
                };
                let kept: f64 = candidates.of(query).map(weight).sum();
                let rounded = kept * draws as f64;
                assert!((rounded - rounded.round()).abs() < 1e-3, "{rounded} draws beside the target");
                assert!(rounded.round() as usize <= draws);
                let sampled = ((p_target + kept).ln() - p_target.ln()) as f32;
                assert!((got - sampled).abs() < 1e-4, "{got} and {sampled} at M = {draws}");
                let expected = draws as f64 * (1.0 - p_target);
                assert!(points == Points::Independent || (rounded - expected).abs() < 1.0 + 1e-3);
            }
        }
    }
}

#[test]
fn the_estimate_of_each_sum_is_unbiased() {
    let (h, seeds) = (normals(B * D, 1), 4_000);
    let (want, _) = full(h.clone());
    for sampler in [SamplerConfig::Uniform {}, SamplerConfig::Exp {}, rff()] {
        let mut moments = [(0.0, 0.0); B];
        for seed in 0..seeds {
            let output = head(sampler.clone(), 6, seed).forward_ids(leaf(h.clone()), &TARGETS).unwrap();
            for (moments, nll) in moments.iter_mut().zip(output.nll) {
                let ratio = f64::from(nll).exp(); // the estimate of Z over e^{o_t}
                *moments = (moments.0 + ratio / seeds as f64, moments.1 + ratio * ratio / seeds as f64);
            }
        }
        for ((mean, square), nll) in moments.into_iter().zip(&want.nll) {
            let (exact, error) = (f64::from(*nll).exp(), ((square - mean * mean) / seeds as f64).sqrt());
            assert!((mean - exact).abs() < 4.5 * error, "{}: {mean} for {exact} ± {error}", sampler.name());
            assert!(error < 0.05 * exact, "{}: {error} says nothing about {exact}", sampler.name());
        }
    }
}

#[test]
fn the_mean_gradient_approaches_the_full_one_as_draws_grow_and_sooner_for_a_better_proposal() {
    // Queries that are alike: a law for all of them can be near the softmax of each.
    let h: Vec<f32> = normals(D, 2).repeat(B).iter().zip(normals(B * D, 1)).map(|(x, noise)| x + 0.3 * noise).collect();
    let (_, want) = full(h.clone());
    let bias = |sampler: SamplerConfig, draws: usize| {
        let (seeds, mut mean) = (2_000, vec![0.0; want.len()]);
        for seed in 0..seeds {
            let (head, h) = (head(sampler.clone(), draws, seed), leaf(h.clone()));
            let output = head.forward_ids(h.clone(), &TARGETS).unwrap();
            let got = gradient(&head, &h, &output);
            mean.iter_mut().zip(got).for_each(|(mean, got)| *mean += got / seeds as f64);
        }
        let norm = |values: Vec<f64>| values.iter().map(|x| x * x).sum::<f64>().sqrt();
        norm(mean.iter().zip(&want).map(|(a, b)| a - b).collect()) / norm(want.clone())
    };
    let uniform = [4, 12, 36].map(|draws| bias(SamplerConfig::Uniform {}, draws));
    let kernel = [4, 12, 36].map(|draws| bias(rff(), draws));
    for biases in [uniform, kernel] {
        assert!(biases[0] > biases[1] && biases[1] > biases[2], "{biases:?}");
    }
    assert!(uniform[2] < 0.1 && kernel[2] < 0.06, "{uniform:?} and {kernel:?}");
    assert!(kernel[0] < 0.8 * uniform[0] && kernel[1] < 0.8 * uniform[1], "{kernel:?} and {uniform:?}");
}

#[test]
fn shared_candidates_give_what_the_same_list_for_each_query_gives() {
    let mut rng = stream(2, Purpose::Init, 0, 0);
    let ids: Vec<u32> = [3, 3, 17, 39].into_iter().chain((0..30).map(|_| rng.random_range(0..N as u32))).collect();
    let ln_expected: Vec<f32> = ids.iter().map(|_| rng.random_range(-3.0..0.5)).collect();
    let corrections: Vec<f32> = (0..B).map(|_| rng.random_range(-3.0..0.5)).collect();
    let ignoring = [3, 17, IGNORED, 39, 3, 8];
    for (bias, absolute, targets) in [(false, false, TARGETS), (true, false, TARGETS), (true, true, ignoring)] {
        let width = D + usize::from(bias);
        let config =
            config(SamplerConfig::Uniform {}, 1).with_bias(bias).with_absolute(absolute).with_learned_tau(true);
        let head = config.with_rows(normals(N * width, 0)).init(&device()).unwrap();
        let pass = |candidates: Candidates| {
            let h = leaf(normals(B * D, 1));
            let output = head.forward_with(h.clone(), &targets, candidates).unwrap();
            let gradient = gradient(&head, &h, &output);
            (output.nll, output.classes, gradient)
        };
        let shared = Candidates::shared(B, &ids, &ln_expected);
        let own = Candidates::per_query(B, &ids.repeat(B), &ln_expected.repeat(B));
        let counted = targets.iter().filter(|target| **target != IGNORED).count();
        let corrected = |candidates: &Candidates| candidates.clone().with_target_correction(&corrections[..counted]);
        for (shared, own) in [
            (shared.clone(), own.clone()),
            (shared.clone().without_hits(&targets), own.clone().without_hits(&targets)),
            (corrected(&shared).without_hits(&targets), corrected(&own).without_hits(&targets)),
            (Candidates::shared(B, &[], &[]), Candidates::per_query(B, &[], &[])),
        ] {
            let (got, want) = (pass(shared), pass(own));
            assert!(got.0.iter().zip(&want.0).all(|(a, b)| (a - b).abs() < 1e-5), "{:?} and {:?}", got.0, want.0);
            assert_eq!(got.1, want.1);
            assert!(got.2.iter().zip(&want.2).all(|(a, b)| (a - b).abs() < 1e-6), "bias {bias}");
        }
    }
}

#[test]
fn finite_differences_agree_with_the_gradient() {
    for estimator in [Estimator::Published, Estimator::BothCorrected] {
        let head = config(rff(), 20).with_estimator(estimator).init(&device()).unwrap();
        let base = normals(B * D, 1);
        let candidates = head.draw(&to_vec(head.logit_queries(leaf(base.clone())).unwrap()), &TARGETS).unwrap();
        let loss = |h: Tensor<2>| head.forward_with(h, &TARGETS, candidates.clone()).unwrap();
        let h = leaf(base.clone());
        let analytic = to_vec(h.grad(&loss(h.clone()).loss.backward()).unwrap());
        for at in 0..B * D {
            let shifted = |by: f32| {
                let mut values = base.clone();
                values[at] += by;
                loss(leaf(values)).mean()
            };
            let numeric = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            assert!((numeric - f64::from(analytic[at])).abs() < 3e-4, "{estimator:?}: {numeric} and {}", analytic[at]);
        }
    }
}

#[test]
fn each_query_leaves_out_its_own_target_and_keeps_those_of_others() {
    let mut hits = 0;
    for seed in 0..5 {
        let candidates = head(SamplerConfig::Uniform {}, N, seed).draw(&normals(B * D, 1), &TARGETS).unwrap();
        for class in 0..N as u32 {
            let named: Vec<bool> = (0..B).map(|query| candidates.of(query).any(|(id, _)| id == class)).collect();
            let drawn = named.contains(&true);
            let want: Vec<bool> = TARGETS.iter().map(|&target| drawn && target != class).collect();
            assert_eq!(named, want, "class {class}");
            hits += usize::from(drawn && TARGETS.contains(&class));
        }
    }
    assert!(hits > 0);
}

#[test]
fn draws_are_a_function_of_seed_and_step_and_not_of_queries_without_a_target() {
    let mut head = head(rff(), 20, 5);
    let queries = normals(B * D, 1);
    let targets = [3, 17, 0, IGNORED, 3, 8];
    let drawn = head.draw(&queries, &targets).unwrap();
    assert_eq!(head.draw(&queries, &targets).unwrap(), drawn);
    let mut other = queries.clone();
    other[3 * D..4 * D].fill(f32::NAN);
    assert_eq!(head.draw(&other, &targets).unwrap(), drawn);
    other[4 * D..5 * D].fill(1.0);
    assert_ne!(head.draw(&other, &targets).unwrap(), drawn);

    let h = leaf(queries.clone());
    let output = head.forward_ids(h, &targets).unwrap();
    assert!(output.classes.len() <= B + 20, "{} classes", output.classes.len());
    let gradients = head.gradient(&output, &mut output.loss.backward());
    head.step(0.0, &gradients).unwrap();
    assert_ne!(head.draw(&queries, &targets).unwrap(), drawn);
}

#[test]
fn value_and_gradient_do_not_depend_on_the_number_of_threads() {
    let (n, d, batch) = (2_000, 48, 150);
    let rows = normals(n * d, 4);
    let loss = LossConfig { sampler: rff(), draws: 700, sharing: Sharing::Batch, ..Default::default() };
    let config = SampledSoftmaxLossConfig::new(n, d).with_rows(rows).with_loss(loss).with_learned_tau(true);
    let targets: Vec<u32> = (0..batch as u32).map(|query| query * query % 300).collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let head = config.clone().init(&device()).unwrap();
            let h = Tensor::<2>::from_data(TensorData::new(normals(batch * d, 5), [batch, d]), &device());
            let h = h.require_grad();
            let output = head.forward_ids(h.clone(), &targets).unwrap();
            let mut grads = output.loss.backward();
            let queries = to_vec(h.grad(&grads).unwrap());
            (output.nll.clone(), queries, head.gradient(&output, &mut grads))
        })
    };
    let one = on(1);
    assert!(one == on(2) && one == on(3));
}

#[test]
fn a_proposal_without_a_law_for_a_batch_is_refused() {
    for leaf_law in [LeafLaw::Gauss, LeafLaw::Exact] {
        let sampler = SamplerConfig::Rff(RffConfig { features: 16, leaf_law, ..Default::default() });
        let error = config(sampler.clone(), 5).init(&device()).unwrap_err();
        assert!(matches!(error, Error::BadSetting { field: "loss.sharing", .. }), "{error}");
        assert!(error.to_string().contains("`features`"), "{error}");
        config(sampler.clone(), 5).with_sharing(Sharing::Query).init(&device()).unwrap();
        config(sampler, 5).with_kind(LossKind::Full).init(&device()).unwrap();
    }
}
