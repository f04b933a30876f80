//! The loss of one query with several true classes, from the scores of these and of all that they are compared with.

use rf_sampling::exp_in_place;

use super::row::{max, multiply, subtract, total};
use crate::OtherLabels;

/// Scores of the true classes of a query, and their weights.
pub(super) struct TrueScores<'a> {
    pub scores: &'a mut [f32],
    pub weights: &'a [f32],
    pub others: OtherLabels,
}

/// Turns scores into `scale` times the gradient of the loss, and returns the loss, in nats.
///
/// With `S = sum_j e^{s_j}` over the negatives, `w_t` the weights and others excluded, the loss is
/// `sum_t w_t (ln(e^{s_t} + S) - s_t)`; with others included `sum_t w_t (ln(sum_u e^{s_u} + S) - s_t)`, over all true
/// classes `u`. A negative score of `-inf` is that of a class that is left out.
pub(super) fn terms_loss(negatives: &mut [f32], truth: TrueScores<'_>, scale: f32) -> f32 {
    let max = max(negatives);
    let ln_negatives = exponentiate(negatives, max);
    let settled = settle(truth, ln_negatives, scale);
    // The negatives are e^{s - max} now.
    let factor = if max == f32::NEG_INFINITY { 0.0 } else { (settled.ln_factor + f64::from(max)).exp() };
    multiply(negatives, (f64::from(scale) * factor) as f32);
    settled.loss as f32
}

/// Puts `e^{s - max}` in place of each score and returns `ln(sum e^s)`.
fn exponentiate(scores: &mut [f32], max: f32) -> f64 {
    if max == f32::NEG_INFINITY {
        scores.fill(0.0);
        return f64::NEG_INFINITY;
    }
    subtract(scores, max);
    exp_in_place(scores);
    total(scores).ln() + f64::from(max)
}

/// What follows from the scores of the true classes and the sum over the negatives.
pub(super) struct Settled {
    pub loss: f64,
    /// The gradient of a negative of score `s` is `e^{s + ln_factor}`.
    pub ln_factor: f64,
}

/// Turns the scores of the true classes into `scale` times their gradients, given `ln(sum e^s)` of the negatives.
pub(super) fn settle(truth: TrueScores<'_>, ln_negatives: f64, scale: f32) -> Settled {
    let TrueScores { scores, weights, others } = truth;
    let scale = f64::from(scale);
    let (mut loss, mut ln_factor) = (0.0, f64::NEG_INFINITY);
    match others {
        OtherLabels::Excluded => {
            for (score, &weight) in scores.iter_mut().zip(weights) {
                let (s, weight) = (f64::from(*score), f64::from(weight));
                let ln_total = ln_add(s, ln_negatives);
                loss += weight * (ln_total - s);
                ln_factor = ln_add(ln_factor, weight.ln() - ln_total);
                *score = (scale * weight * (s - ln_total).exp_m1()) as f32;
            }
        }
        OtherLabels::Included => {
            let ln_total = scores.iter().fold(ln_negatives, |total, &s| ln_add(total, f64::from(s)));
            let total_weight: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            for (score, &weight) in scores.iter_mut().zip(weights) {
                let (s, weight) = (f64::from(*score), f64::from(weight));
                loss += weight * (ln_total - s);
                *score = (scale * (total_weight * (s - ln_total).exp() - weight)) as f32;
            }
            ln_factor = total_weight.ln() - ln_total;
        }
    }
    Settled { loss, ln_factor }
}

/// `ln(e^a + e^b)`.
fn ln_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEGATIVES: [f32; 5] = [0.3, -1.2, 2.0, 0.0, f32::NEG_INFINITY];
    const TRUTH: [f32; 3] = [1.5, -0.4, 3.0];
    const WEIGHTS: [f32; 3] = [1.0, 0.5, 0.0];

    fn loss(negatives: &[f32], truth: &[f32], others: OtherLabels) -> (f32, Vec<f32>, Vec<f32>) {
        let (mut negatives, mut truth) = (negatives.to_vec(), truth.to_vec());
        let scores = TrueScores { scores: &mut truth, weights: &WEIGHTS, others };
        let loss = terms_loss(&mut negatives, scores, 2.0);
        (loss, negatives, truth)
    }

    #[test]
    fn the_loss_is_the_formula() {
        let sum = |scores: &[f32]| scores.iter().map(|s| s.exp()).sum::<f32>();
        for others in [OtherLabels::Excluded, OtherLabels::Included] {
            let total = |t: f32| match others {
                OtherLabels::Excluded => sum(&NEGATIVES) + t.exp(),
                OtherLabels::Included => sum(&NEGATIVES) + sum(&TRUTH),
            };
            let want: f32 = TRUTH.iter().zip(WEIGHTS).map(|(t, w)| w * (total(*t).ln() - t)).sum();
            assert!((loss(&NEGATIVES, &TRUTH, others).0 - want).abs() < 1e-5);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for others in [OtherLabels::Excluded, OtherLabels::Included] {
            let (_, negatives, truth) = loss(&NEGATIVES, &TRUTH, others);
            let slope = |change: &dyn Fn(f32) -> f32| f64::from(change(0.02) - change(-0.02)) / 0.04;
            for at in 0..4 {
                let moved = |by: f32| {
                    let mut scores = NEGATIVES;
                    scores[at] += by;
                    loss(&scores, &TRUTH, others).0
                };
                assert!((slope(&moved) - f64::from(negatives[at]) / 2.0).abs() < 1e-3);
            }
            for at in 0..3 {
                let moved = |by: f32| {
                    let mut scores = TRUTH;
                    scores[at] += by;
                    loss(&NEGATIVES, &scores, others).0
                };
                assert!((slope(&moved) - f64::from(truth[at]) / 2.0).abs() < 1e-3);
            }
            assert_eq!(negatives[4], 0.0);
        }
    }

    #[test]
    fn scores_far_apart_and_missing_negatives_are_no_trouble() {
        for others in [OtherLabels::Excluded, OtherLabels::Included] {
            for negatives in [&[-900.0, 900.0][..], &[f32::NEG_INFINITY; 2], &[]] {
                let (value, negatives, truth) = loss(negatives, &[-800.0, 0.0, 800.0], others);
                let finite = value.is_finite() && negatives.iter().chain(&truth).all(|g| g.is_finite());
                assert!(finite, "{value} {negatives:?} {truth:?}");
            }
        }
        assert_eq!(loss(&[], &[3.0, 1.0, 2.0], OtherLabels::Excluded).0, 0.0);
    }
}
