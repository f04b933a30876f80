//! Heads on a graphics card whose batches share their draws. Software Vulkan (`mesa-vulkan-drivers`) is card enough.

#![cfg(feature = "wgpu")]

#[path = "common/card.rs"]
mod common;

use burn::tensor::{Device, Tensor};
use common::{BATCH, CLASSES, DIM, batch, card, exact, host, step};
use rf_softmax::{
    ClusterConfig, Dispersion, Estimator, Labels, LeafLaw, LossConfig, OtherLabels, RffConfig, RowOptimizer,
    SampledSoftmaxLossConfig, SamplerConfig, Sharing, UnigramConfig, to_vec,
};

fn cluster(leaf_size: usize, dispersion: Dispersion) -> SamplerConfig {
    SamplerConfig::Cluster(ClusterConfig { leaf_size: Some(leaf_size), dispersion, ..Default::default() })
}

fn rff(leaf_law: LeafLaw) -> SamplerConfig {
    let config = RffConfig { features: 64, nu: 2.0, leaf_law, prior: 0.5, ..Default::default() };
    SamplerConfig::Rff(RffConfig { leaf_size: Some(4), ..config })
}

fn samplers() -> [SamplerConfig; 6] {
    [
        cluster(7, Dispersion::Diagonal),
        cluster(7, Dispersion::None),
        SamplerConfig::Unigram(UnigramConfig::default()),
        SamplerConfig::LogUniform {},
        SamplerConfig::Uniform {},
        rff(LeafLaw::Features),
    ]
}

fn loss(sampler: SamplerConfig) -> LossConfig {
    LossConfig {
        sampler,
        sharing: Sharing::Batch,
        draws: 40,
        normalized: true,
        tau: 4.0,
        bias: true,
        ..Default::default()
    }
}

fn config(loss: LossConfig) -> SampledSoftmaxLossConfig {
    SampledSoftmaxLossConfig::new(CLASSES, DIM)
        .with_loss(loss)
        .with_counts((0..CLASSES as u64).map(|class| 1 + 400 / (1 + class * 7 % 60)).collect())
        .with_seed(9)
}

#[test]
fn every_sampler_and_rule_trains_to_where_the_host_does() {
    let Some(card) = card() else { return };
    let rules = [RowOptimizer::LazyAdam, RowOptimizer::Adagrad, RowOptimizer::RowWiseAdagrad, RowOptimizer::Sgd];
    for (sampler, rule) in samplers().into_iter().zip(rules.into_iter().cycle()) {
        let config = config(loss(sampler.clone())).with_optimizer(rule);
        let [start, on_card, on_host] = [(&card, 0), (&card, 60), (&host(), 60)].map(|(device, steps)| {
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

/// Queries with several true classes and with none, over small steps of plain descent that move the rows by their summed gradients.
#[test]
fn losses_and_gradients_have_the_mean_of_the_host() {
    const STEPS: usize = 100;
    let Some(card) = card() else { return };
    let labels = Labels::from_lists([&[3, 8][..], &[], &[5], &[0], &[59], &[], &[1, 2, 3], &[7]]);
    let others = [OtherLabels::Excluded, OtherLabels::Included];
    let estimators = [Estimator::Published, Estimator::BothCorrected];
    for ((sampler, other_labels), estimator) in
        samplers().into_iter().zip(others.into_iter().cycle()).flat_map(|case| estimators.map(|e| (case.clone(), e)))
    {
        if matches!(sampler, SamplerConfig::Rff(_)) && estimator == Estimator::BothCorrected {
            continue;
        }
        let run = |device: &Device| {
            let loss = LossConfig { other_labels, estimator, draws: CLASSES, ..loss(sampler.clone()) };
            let mut head = config(loss).with_optimizer(RowOptimizer::Sgd).init(device).unwrap();
            let before = head.table().data().to_vec();
            let (mut mean, mut of_queries) = (0.0, vec![0.0f32; BATCH * DIM]);
            for _ in 0..STEPS {
                let h = batch(1, device).0.require_grad();
                let output = head.forward_labels(h.clone(), &labels).unwrap();
                let mut grads = (output.loss.clone() * 2.0).backward();
                of_queries.iter_mut().zip(to_vec(h.grad(&grads).unwrap())).for_each(|(sum, g)| *sum += g);
                let gradients = head.gradient(&output, &mut grads);
                head.step(0.02, &gradients).unwrap();
                mean += output.mean() / STEPS as f64;
            }
            let of_rows: Vec<f32> = before.iter().zip(head.table().data()).map(|(old, new)| old - new).collect();
            (mean, of_queries, of_rows)
        };
        let (on_card, on_host) = (run(&card), run(&host()));
        let case = format!("{sampler:?} {other_labels:?} {estimator:?}");
        assert!((on_card.0 - on_host.0).abs() < 0.02 * on_host.0, "{case}: {} {}", on_card.0, on_host.0);
        for (got, want) in [(on_card.1, on_host.1), (on_card.2, on_host.2)] {
            let size = want.iter().fold(0.0f32, |size, g| size.max(g.abs()));
            let far = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // The sums of two runs differ by chance: most, by an eighth, for the uniform law with 40 draws.
            assert!(far < 0.15 * size, "{case}: {far} of {size}");
        }
    }
}

#[test]
fn a_batch_that_does_not_fit_is_refused_with_both_figures() {
    let Some(card) = card() else { return };
    let classes = 60_000;
    let sampled = LossConfig { draws: classes, ..loss(SamplerConfig::Uniform {}) };
    let head = SampledSoftmaxLossConfig::new(classes, 1).with_loss(sampled).init(&card).unwrap();
    let count = 1 << 15;
    let message = head.forward_ids(Tensor::ones([count, 1], &card), &vec![3; count]).unwrap_err().to_string();
    assert!(message.contains("the logits of the shared draws for every query, in one buffer,"), "{message}");
}

#[test]
fn a_sampler_without_a_shared_law_on_the_card_is_refused() {
    let Some(card) = card() else { return };
    let message = config(loss(rff(LeafLaw::Exact))).init(&card).unwrap_err().to_string();
    assert!(message.contains("has no law that a batch can share"), "{message}");
    let both = LossConfig { estimator: Estimator::BothCorrected, ..loss(rff(LeafLaw::Features)) };
    let message = config(both).init(&card).unwrap_err().to_string();
    assert!(message.starts_with("loss.estimator = both-corrected: with loss.sampler.kind = rff"), "{message}");
}
