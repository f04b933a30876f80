//! The chi-squared test of draws.

use rf_sampling::{ClassId, Draw, Law, Points, Purpose, stream};

use crate::rig::{N, SEED};

/// False-alarm rate of each chi-squared test. Seeds are fixed: a test that passes once passes always.
pub const NORMAL_QUANTILE: f64 = 4.75; // one-sided 1e-6

/// Upper quantile of the chi-squared law (Wilson & Hilferty 1931).
pub fn critical(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + NORMAL_QUANTILE * spread.sqrt()).powi(3)
}

/// Draws `walks` times at `points`-chosen points and compares the counts with the law without the excluded classes.
pub fn chi_squared(name: &str, law: &impl Law, draws: usize, points: Points, excluded: &[ClassId]) {
    let walks = 40_000 / draws;
    let mut observed = vec![0.0; N];
    for walk in 0..walks {
        let mut rng = stream(SEED, Purpose::Draws, walk as u64, draws as u64);
        let mut out: Vec<Draw> = Vec::new();
        law.draw_at(&points.choose(draws, &mut rng), excluded, &mut out).unwrap();
        assert_eq!(out.iter().map(|draw| draw.count as usize).sum::<usize>(), draws, "{name}: draws were lost");
        out.iter().for_each(|draw| observed[draw.class as usize] += f64::from(draw.count));
    }
    let mut probabilities: Vec<f64> = law.ln_probs(N).iter().map(|&ln_q| f64::from(ln_q).exp()).collect();
    excluded.iter().for_each(|&class| probabilities[class as usize] = 0.0);
    compare(name, &observed, probabilities);
}

/// The chi-squared test of counts against probabilities up to a factor.
pub fn compare(name: &str, observed: &[f64], probabilities: Vec<f64>) {
    let kept: f64 = probabilities.iter().sum();
    let total: f64 = observed.iter().sum();
    let (mut statistic, mut cells, mut rest) = (0.0, 0.0, (0.0, 0.0));
    for (&observed, probability) in observed.iter().zip(probabilities) {
        let expected = total * probability / kept;
        if expected < 5.0 {
            rest = (rest.0 + observed, rest.1 + expected);
        } else {
            statistic += (observed - expected).powi(2) / expected;
            cells += 1.0;
        }
    }
    if rest.1 > 0.0 {
        statistic += (rest.0 - rest.1).powi(2) / rest.1;
        cells += 1.0;
    } else {
        assert_eq!(rest.0, 0.0, "{name}: a class of no probability was drawn");
    }
    assert!(cells < 2.0 || statistic < critical(cells - 1.0), "{name}: chi-squared {statistic} in {cells} cells");
}
