//! Heads on a graphics card beside those on the host. Software Vulkan (`mesa-vulkan-drivers`) is card enough.

#![cfg(feature = "wgpu")]

#[path = "common/card.rs"]
mod common;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use common::{BATCH, CLASSES, DIM, batch, card, exact, host, step};
use rf_softmax::{
    ClusterConfig, Error, Figures, Grouping, Labels, LeafLaw, OtherLabels, QuadraticConfig, RffConfig, RowOptimizer,
    SampledSoftmaxLoss, SampledSoftmaxLossConfig, SamplerConfig, UnigramConfig, clip_global_norm, to_vec,
};

fn config(sampler: SamplerConfig) -> SampledSoftmaxLossConfig {
    SampledSoftmaxLossConfig::new(CLASSES, DIM)
        .with_sampler(sampler)
        .with_draws(12)
        .with_scale(true, 4.0)
        .with_bias(true)
        .with_counts((0..CLASSES as u64).map(|class| 1 + 400 / (1 + class * 7 % 60)).collect())
        .with_seed(9)
}

fn cluster(leaf_size: usize) -> SamplerConfig {
    SamplerConfig::Cluster(ClusterConfig { leaf_size: Some(leaf_size), ..Default::default() })
}

fn rff(leaf_law: LeafLaw) -> SamplerConfig {
    let config = RffConfig { features: 64, nu: 2.0, leaf_law, prior: 0.5, ..Default::default() };
    SamplerConfig::Rff(RffConfig { leaf_size: Some(4), ..config })
}

/// With one leaf the proposal is the softmax without the true classes, and then every draw gives the full loss.
#[test]
fn with_the_softmax_as_the_proposal_the_loss_is_the_full_one_whatever_is_drawn() {
    let Some(card) = card() else { return };
    let labels = Labels::from_lists([&[3, 8][..], &[], &[5], &[0], &[59], &[], &[1, 2, 3], &[7]]);
    for others in [OtherLabels::Excluded, OtherLabels::Included] {
        let mut loss =
            rf_softmax::LossConfig { draws: 12, tau: 4.0, bias: true, sampler: cluster(CLASSES), ..Default::default() };
        loss.other_labels = others;
        let config = |kind| {
            let loss = rf_softmax::LossConfig { kind, ..loss.clone() };
            SampledSoftmaxLossConfig::new(CLASSES, DIM).with_loss(loss).with_seed(9)
        };
        let sampled = config(rf_softmax::LossKind::Sampled).init(&card).unwrap();
        let full = config(rf_softmax::LossKind::Full).init(&host()).unwrap();
        let output = sampled.forward_labels(batch(1, &card).0, &labels).unwrap();
        let want = full.forward_labels(batch(1, &host()).0, &labels).unwrap();
        assert!((output.mean() - want.mean()).abs() < 1e-4, "{others:?}: {} and {}", output.mean(), want.mean());
        assert!((f64::from(output.loss.into_scalar::<f32>()) - want.mean()).abs() < 1e-4);
    }
}

/// The mean gradient over many draws against the full one, of queries and rows.
#[test]
fn the_mean_gradient_is_the_full_one_where_the_proposal_is_the_softmax() {
    let Some(card) = card() else { return };
    let (h, targets) = batch(3, &host());
    let query_gradient = |head: &SampledSoftmaxLoss, scale: f32| {
        let h = Tensor::<2>::from_data(h.clone().into_data(), head.device()).require_grad();
        let output = head.forward_ids(h.clone(), &targets).unwrap();
        to_vec(h.grad(&(output.loss * scale).backward()).unwrap())
    };
    let want =
        query_gradient(&config(cluster(CLASSES)).with_kind(rf_softmax::LossKind::Full).init(&host()).unwrap(), 2.0);
    let mut mean = vec![0.0f32; want.len()];
    for seed in 0..200 {
        let head = config(cluster(CLASSES)).with_seed(9).with_draws(50);
        let rows = head.clone().init(&host()).unwrap().table().data().to_vec();
        let head = head.with_rows(rows).with_seed(seed).init(&card).unwrap();
        mean.iter_mut().zip(query_gradient(&head, 2.0)).for_each(|(mean, g)| *mean += g / 200.0);
    }
    let far = mean.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let size = want.iter().map(|g| g.abs()).fold(0.0, f32::max);
    assert!(far < 0.06 * size, "{far} of {size}");
}

#[test]
fn every_sampler_and_rule_trains_to_where_the_host_does() {
    let Some(card) = card() else { return };
    let samplers = [
        cluster(7),
        rff(LeafLaw::Features),
        rff(LeafLaw::Gauss),
        rff(LeafLaw::Exact),
        SamplerConfig::Quadratic(QuadraticConfig { alpha: 2.0, leaf_size: Some(4), ..Default::default() }),
        SamplerConfig::Unigram(UnigramConfig::default()),
        SamplerConfig::LogUniform {},
        SamplerConfig::Uniform {},
    ];
    let rules = [RowOptimizer::LazyAdam, RowOptimizer::Adagrad, RowOptimizer::RowWiseAdagrad, RowOptimizer::Sgd];
    for (sampler, rule) in samplers.into_iter().zip(rules.into_iter().cycle()) {
        let config = config(sampler.clone()).with_optimizer(rule);
        let [start, on_card, on_host] = [(&card, 0), (&card, 150), (&host(), 150)].map(|(device, steps)| {
            let mut head = config.clone().init(device).unwrap();
            for number in 0..steps {
                step(&mut head, number);
            }
            exact(&head)
        });
        assert!(start - on_host > 0.02, "{sampler:?}: {start} to {on_host}");
        assert!((on_card - on_host).abs() < 0.02 * on_host, "{sampler:?}: {on_card} and {on_host} on the host");
    }
}

#[test]
fn a_run_on_the_card_is_repeatable_and_its_loss_falls_with_a_trained_temperature() {
    let Some(card) = card() else { return };
    let run = || {
        let mut head = config(cluster(7)).with_learned_tau(true).init(&card).unwrap();
        let losses: Vec<f64> = (0..60).map(|number| step(&mut head, number)).collect();
        (losses, head.tau(), head.table().data().to_vec())
    };
    let first = run();
    assert!(first.1 != 4.0 && first.0[50..].iter().sum::<f64>() < first.0[..10].iter().sum::<f64>());
    assert_eq!(run(), first);
}

#[test]
fn a_trained_temperature_and_what_a_step_tells_are_those_of_the_host() {
    let Some(card) = card() else { return };
    let [there, here] = [&card, &host()].map(|device| {
        let full = config(SamplerConfig::Uniform {}).with_kind(rf_softmax::LossKind::Full).with_learned_tau(true);
        let mut head = full.with_optimizer(RowOptimizer::Sgd).init(device).unwrap();
        let told: Vec<Figures> = (0..5).map(|number| clipped_step(&mut head, number)).collect();
        (told, head.tau())
    });
    assert!((there.1 - here.1).abs() < 1e-4 && here.1 != 4.0, "{} and {}", there.1, here.1);
    for (there, here) in there.0.iter().zip(&here.0) {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-4 * b;
        assert!(close(there.loss, here.loss) && close(there.norm, here.norm), "{there:?} and {here:?}");
        assert_eq!(there.rows, CLASSES);
    }
}

/// A step without an encoder, whose rows and temperature are clipped.
fn clipped_step(head: &mut SampledSoftmaxLoss, number: u64) -> Figures {
    let (h, targets) = batch(number, head.device());
    let output = head.forward_ids(h, &targets).unwrap();
    let mut gradients = head.gradient(&output, &mut output.loss.backward());
    let nothing = burn::nn::DropoutConfig::new(0.0).init();
    let norm = clip_global_norm(&mut GradientsParams::new(), &nothing, &mut [&mut gradients], 0.05);
    let figures = output.figures(norm);
    assert_eq!(figures.known().is_some(), head.is_on_host());
    head.step(0.5, &gradients).unwrap();
    figures.wait()
}

#[test]
fn a_head_moves_between_card_and_host_and_trains_on() {
    let Some(card) = card() else { return };
    let folder = tempfile::tempdir().unwrap();
    for sampler in [cluster(7), rff(LeafLaw::Features), rff(LeafLaw::Gauss), SamplerConfig::Uniform {}] {
        let config = config(sampler).with_learned_tau(true);
        for (from, to) in [(&card, &host()), (&host(), &card)] {
            let path = folder.path().join("head.safetensors");
            let mut here = config.clone().init(from).unwrap();
            for number in 0..5 {
                step(&mut here, number);
            }
            here.save_file(&path).unwrap();
            let mut there = config.clone().init(to).unwrap();
            there.load_file(&path).unwrap();
            assert_eq!((there.table().data(), there.tau()), (here.table().data(), here.tau()));
            assert!(here.tau() != 4.0);
            let [a, b] = [&here, &there].map(|head| head.state());
            assert!(a.iter().zip(&b).all(|(a, b)| (&a.name, &a.shape) == (&b.name, &b.shape)));
            assert!((exact(&here) - exact(&there)).abs() < 1e-5);
            let before = exact(&there);
            for number in 5..60 {
                step(&mut there, number);
            }
            assert!(exact(&there) < before);
        }
    }
}

#[test]
fn a_clone_keeps_the_card_from_stepping() {
    let Some(card) = card() else { return };
    let mut head = config(cluster(7)).init(&card).unwrap();
    let (h, targets) = batch(0, &card);
    let output = head.forward_ids(h.require_grad(), &targets).unwrap();
    assert!(output.classes.is_empty() && output.distinct() > BATCH);
    let mut grads = output.loss.backward();
    let gradients = head.gradient(&output, &mut grads);
    let clone = head.clone();
    assert!(matches!(head.step(0.1, &gradients), Err(Error::Shared)));
    drop(clone);
    head.step(0.1, &gradients).unwrap();
}

#[test]
fn what_has_no_form_on_the_card_is_refused_with_what_has() {
    let Some(card) = card() else { return };
    let refused = |config: SampledSoftmaxLossConfig| config.init(&card).unwrap_err().to_string();
    let message = refused(config(SamplerConfig::Exp {}));
    assert!(
        message.starts_with("loss.sampler.kind = exp: on a graphics card the samplers are \"cluster\""),
        "{message}"
    );
    let similar = ClusterConfig { grouping: Some(Grouping::Similarity), ..Default::default() };
    let message = refused(config(SamplerConfig::Cluster(similar)));
    assert!(message.contains("loss.sampler.regroup_every = 1000"), "{message}");
    let absolute = rf_softmax::LossConfig { absolute: true, draws: 12, sampler: cluster(7), ..Default::default() };
    let message = refused(SampledSoftmaxLossConfig::new(CLASSES, DIM).with_loss(absolute));
    assert!(message.contains("loss.absolute = true"), "{message}");
}

fn shapes() -> impl Iterator<Item = (bool, bool)> {
    [(false, false), (false, true), (true, false), (true, true)].into_iter()
}

/// The full loss over lists of true classes, its gradients and steps, beside those of the host.
#[test]
fn the_full_loss_trains_as_on_the_host() {
    let Some(card) = card() else { return };
    let labels = Labels::from_lists([&[3, 8][..], &[], &[5], &[0], &[59], &[], &[1, 2, 3], &[7]]);
    for (normalized, bias) in shapes() {
        for other_labels in [OtherLabels::Excluded, OtherLabels::Included] {
            let run = |device: &Device| {
                let kind = rf_softmax::LossKind::Full;
                let loss =
                    rf_softmax::LossConfig { kind, normalized, bias, tau: 2.0, other_labels, ..Default::default() };
                let config = SampledSoftmaxLossConfig::new(CLASSES, DIM).with_loss(loss).with_seed(9);
                let mut head = config.with_optimizer(RowOptimizer::Adagrad).init(device).unwrap();
                let (mut means, mut of_queries) = (Vec::new(), Vec::new());
                for number in 0..4 {
                    let h = batch(number, device).0.require_grad();
                    let output = head.forward_labels(h.clone(), &labels).unwrap();
                    assert_eq!(output.distinct(), CLASSES);
                    let mut grads = (output.loss.clone() * 3.0).backward();
                    of_queries.extend(to_vec(h.grad(&grads).unwrap()));
                    let gradients = head.gradient(&output, &mut grads);
                    head.step(0.1, &gradients).unwrap();
                    means.push(output.mean() as f32);
                }
                [means, of_queries, head.table().data().to_vec()]
            };
            for (got, want) in run(&card).iter().zip(run(&host())) {
                let far = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(far < 1e-3, "normalized {normalized}, bias {bias}, {other_labels:?}: {far}");
            }
        }
    }
}

#[test]
fn evaluation_on_the_card_is_that_of_the_host() {
    let Some(card) = card() else { return };
    for (normalized, bias) in shapes() {
        let loss =
            rf_softmax::LossConfig { normalized, bias, tau: 3.0, draws: 12, sampler: cluster(7), ..Default::default() };
        let config = SampledSoftmaxLossConfig::new(CLASSES, DIM).with_loss(loss).with_seed(9);
        // Rows 10 to 19 are those of 0 to 9, so that logits are equal.
        let width = DIM + usize::from(bias);
        let mut rows: Vec<f32> = (0..CLASSES * width).map(|at| ((at * at) as f32 * 0.37).sin()).collect();
        rows.copy_within(0..10 * width, 10 * width);
        let config = config.with_rows(rows);
        let [there, here] = [&card, &host()].map(|device| config.clone().init(device).unwrap());
        let (h, mut targets) = batch(1, &host());
        targets[2] = rf_softmax::IGNORED;
        let [got, want] = [&there, &here].map(|head| head.exact_nll(h.clone(), &targets).unwrap());
        let far = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far < 1e-4 && got[2] == 0.0, "{far}");

        let all: Vec<u32> = (0..CLASSES as u32).collect();
        let left_out = Labels::from_lists([&[3, 8][..], &[], &[5], &[0], &all, &[], &[1, 2, 13], &[7]]);
        for (k, left_out) in [(1, None), (5, Some(&left_out)), (CLASSES + 3, Some(&left_out)), (12, None)] {
            let [got, want] = [&there, &here].map(|head| head.evaluator().top_k(h.clone(), k, left_out).unwrap());
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(got.len(), want.len());
                let classes = |ranked: &[rf_softmax::Ranked]| ranked.iter().map(|r| r.class).collect::<Vec<_>>();
                assert_eq!(classes(got), classes(want), "k = {k}");
                assert!(got.iter().zip(want).all(|(a, b)| (a.score - b.score).abs() < 1e-4));
            }
        }
        assert!(there.evaluator().rows().iter().zip(here.evaluator().rows()).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
