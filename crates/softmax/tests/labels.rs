//! Queries with several true classes: the loss is its formula, its gradient that of the loss, and a sampled loss with the
//! right proposal is the full one.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use rf_softmax::{
    Estimator, Labels, LossConfig, LossKind, OtherLabels, Reduction, SampledSoftmaxLoss, SampledSoftmaxLossConfig,
    SamplerConfig, Sharing, SoftmaxOutput, to_vec,
};

use common::{B, D, N, TARGETS, normals};

const REDUCTIONS: [Reduction; 3] = [Reduction::PickAll, Reduction::PickAllNormalized, Reduction::PickOne];
const OTHERS: [OtherLabels; 2] = [OtherLabels::Excluded, OtherLabels::Included];

fn device() -> Device {
    Device::flex().autodiff()
}

/// One, several, no labels; the last query also leaves classes out.
fn labels() -> Labels {
    let lists: [&[u32]; B] = [&[3], &[1, 17, 30], &[], &[0, 39], &[3, 4, 5, 6, 7], &[8]];
    let left_out: [&[u32]; B] = [&[], &[], &[5], &[], &[], &[2, 8, 9]];
    Labels::from_lists(lists).leaving_out(left_out)
}

fn head(loss: LossConfig, seed: u64) -> SampledSoftmaxLoss {
    let loss = LossConfig { tau: 4.0, ..loss };
    SampledSoftmaxLossConfig::new(N, D)
        .with_rows(normals(N * D, 0))
        .with_loss(loss)
        .with_seed(seed)
        .init(&device())
        .unwrap()
}

fn leaf(values: Vec<f32>) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [B, D]), &device()).require_grad()
}

/// Every combination of settings that changes what is computed.
fn losses() -> Vec<LossConfig> {
    let mut losses = Vec::new();
    for reduction in REDUCTIONS {
        for other_labels in OTHERS {
            let base = LossConfig { reduction, other_labels, draws: 7, ..Default::default() };
            losses.push(LossConfig { kind: LossKind::Full, ..base.clone() });
            for sharing in [Sharing::Query, Sharing::Batch] {
                for estimator in [Estimator::Published, Estimator::BothCorrected] {
                    let sampler = SamplerConfig::Uniform {};
                    losses.push(LossConfig { sharing, estimator, sampler, ..base.clone() });
                }
            }
        }
    }
    losses
}

fn logit(head: &SampledSoftmaxLoss, query: &[f32], class: u32) -> f64 {
    let unit = |x: &[f32]| {
        let norm = x.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
        x.iter().map(|&x| f64::from(x) / norm).collect::<Vec<_>>()
    };
    let products = unit(query).into_iter().zip(unit(head.table().row(class))).map(|(a, b)| a * b);
    f64::from(head.tau()) * products.sum::<f64>()
}

/// The loss of a query by the formula, from its candidates `(class, what is subtracted)`.
fn formula(loss: &LossConfig, truth: &[(f64, f64)], negatives: impl Iterator<Item = f64>) -> f64 {
    let negatives: f64 = negatives.map(f64::exp).sum();
    let together: f64 = negatives + truth.iter().map(|(score, _)| score.exp()).sum::<f64>();
    let total =
        |score: f64| if loss.other_labels == OtherLabels::Included { together } else { negatives + score.exp() };
    truth.iter().map(|&(score, weight)| weight * (total(score).ln() - score)).sum()
}

/// The weights of a query's true classes. Which one was picked is seen from the loss: the closest candidate.
fn weights(reduction: Reduction, count: usize) -> Vec<Vec<f64>> {
    match reduction {
        Reduction::PickAll => vec![vec![1.0; count]],
        Reduction::PickAllNormalized => vec![vec![1.0 / count as f64; count]],
        Reduction::PickOne => {
            (0..count).map(|one| (0..count).map(|at| f64::from(u8::from(at == one))).collect()).collect()
        }
    }
}

#[test]
fn the_loss_of_every_query_is_the_formula_over_its_own_candidates() {
    let (h, labels) = (normals(B * D, 1), labels());
    for (number, loss) in losses().into_iter().enumerate() {
        let head = head(loss.clone(), 3 + number as u64);
        let output = head.forward_labels(leaf(h.clone()), &labels).unwrap();
        let full = loss.kind == LossKind::Full;
        let queries = to_vec(head.logit_queries(leaf(h.clone())).unwrap());
        let candidates = (!full).then(|| head.draw_for(&queries, &labels).unwrap());
        let ln_expected = if loss.estimator == Estimator::BothCorrected && !full { (7.0 / N as f64).ln() } else { 0.0 };
        for query in 0..B {
            let h = &h[query * D..][..D];
            if labels.of(query).is_empty() {
                assert_eq!(output.nll[query], 0.0);
                continue;
            }
            let all =
                (0..N as u32).filter(|class| !labels.excluded(query).contains(class)).map(|class| (class, 0.0f32));
            let negatives: Vec<(u32, f32)> = match &candidates {
                Some(candidates) => candidates.of(query).collect(),
                None => all.collect(),
            };
            assert!(negatives.iter().all(|(class, _)| !labels.excluded(query).contains(class)), "{loss:?}");
            let negatives = || negatives.iter().map(|&(class, ln)| logit(&head, h, class) - f64::from(ln));
            let scores: Vec<f64> = labels.of(query).iter().map(|&class| logit(&head, h, class) - ln_expected).collect();
            let value = |weights: &Vec<f64>| {
                let mut truth: Vec<(f64, f64)> = scores.iter().copied().zip(weights.iter().copied()).collect();
                if loss.other_labels == OtherLabels::Excluded {
                    truth.retain(|(_, weight)| *weight > 0.0);
                }
                formula(&loss, &truth, negatives())
            };
            let got = f64::from(output.nll[query]);
            let wanted: Vec<f64> = weights(loss.reduction, scores.len()).iter().map(value).collect();
            assert!(
                wanted.iter().any(|want| (got - want).abs() < 2e-5),
                "{loss:?}, query {query}: {got} of {wanted:?}"
            );
        }
        let mean = output.nll.iter().map(|&nll| f64::from(nll)).sum::<f64>() / 5.0;
        assert!((output.mean() - mean).abs() < 1e-9);
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let (h, labels) = (normals(B * D, 1), labels());
    for loss in losses() {
        let head = head(loss.clone(), 5);
        let value = |h: Vec<f32>| -> SoftmaxOutput { head.forward_labels(leaf(h), &labels).unwrap() };
        let x = leaf(h.clone());
        let output = head.forward_labels(x.clone(), &labels).unwrap();
        let mut grads = output.loss.backward();
        let gradient = to_vec(x.grad(&grads).unwrap());
        let rows = head.gradient(&output, &mut grads).classes;
        for at in (0..B * D).step_by(5) {
            let moved = |by: f32| {
                let mut h = h.clone();
                h[at] += by;
                value(h).mean()
            };
            // Draws by a uniform law do not move with the query.
            let slope = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((slope - f64::from(gradient[at])).abs() < 2e-3, "{loss:?}, {at}: {slope} and {}", gradient[at]);
        }
        for (place, &id) in rows.ids.iter().enumerate().step_by(4) {
            let at = id as usize * D + place % D;
            let moved = |by: f32| {
                let mut table = normals(N * D, 0);
                table[at] += by;
                let loss = LossConfig { tau: 4.0, ..loss.clone() };
                let config = SampledSoftmaxLossConfig::new(N, D).with_rows(table).with_loss(loss).with_seed(5);
                config.init(&device()).unwrap().forward_labels(leaf(h.clone()), &labels).unwrap().mean()
            };
            let (slope, got) = ((moved(1e-2) - moved(-1e-2)) / 2e-2, rows.values[place * D + place % D]);
            assert!((slope - f64::from(got)).abs() < 2e-3, "{loss:?}, class {id}: {slope} and {got}");
        }
    }
}

#[test]
fn drawing_from_the_softmax_gives_the_full_loss_for_every_draw() {
    let (h, labels) = (normals(B * D, 1), labels());
    for reduction in REDUCTIONS {
        for other_labels in OTHERS {
            let loss =
                LossConfig { reduction, other_labels, sampler: SamplerConfig::Exp {}, draws: 4, ..Default::default() };
            for seed in 0..4 {
                let full = head(LossConfig { kind: LossKind::Full, ..loss.clone() }, seed);
                let want = full.forward_labels(leaf(h.clone()), &labels).unwrap();
                let got = head(loss.clone(), seed).forward_labels(leaf(h.clone()), &labels).unwrap();
                for (got, want) in got.nll.iter().zip(&want.nll) {
                    assert!((got - want).abs() < 2e-5, "{loss:?}: {got} and {want}");
                }
            }
        }
    }
}

#[test]
fn with_one_class_each_all_reductions_are_the_loss_of_a_target() {
    let h = normals(B * D, 1);
    for loss in losses() {
        let head = head(loss.clone(), 2);
        let output = head.forward_labels(leaf(h.clone()), &Labels::one_each(&TARGETS)).unwrap();
        let plain = LossConfig { reduction: Reduction::PickAll, other_labels: OtherLabels::Included, ..loss.clone() };
        let want = self::head(plain, 2).forward_ids(leaf(h.clone()), &TARGETS).unwrap();
        for (got, want) in output.nll.iter().zip(&want.nll) {
            assert!((got - want).abs() < 1e-5, "{loss:?}: {got} and {want}");
        }
    }
}
