//! Distances of laws.

use rayon::prelude::*;

use super::Probes;
use crate::{Classes, Error, ExactSoftmax, Law, Sampler};

/// Distances of a proposal `q` from the softmax `p` of a query.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// `KL(p‖q) = sum p ln(p/q)`, in nats.
    pub kl: f64,
    /// `sum p²/q`: one is perfect; bias and variance of the sampled loss grow with it over `m`.
    pub chi_squared: f64,
    /// `sum q`, which should be one.
    pub total: f64,
    /// `-sum p ln p`, in nats: of the softmax alone.
    pub entropy: f64,
}

/// Means of [`Quality`] over queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanQuality {
    /// Mean of each figure.
    pub mean: Quality,
    /// Mean of `1 / chi_squared`. Of `m` draws from `q`, weighted by `p/q`, as many as `m` times this are worth draws
    /// from `p`: the effective sample size `(sum w)² / sum w²` (Kong 1992) in the limit of many draws. The mean of the
    /// queries' own, so that one query that `q` misses does not hide the others, as it does in the mean of `chi_squared`.
    pub efficiency: f64,
}

/// Measures a sampler at one query, over all classes. O(n) and more.
///
/// # Errors
/// [`Error::BadQuery`] if the query is not finite.
pub fn quality<S: Sampler>(sampler: &S, query: &[f32], classes: Classes<'_>) -> Result<Quality, Error> {
    let ln_p = ExactSoftmax.at(query, classes)?.ln_probs(classes.len());
    let ln_q = sampler.at(query, classes)?.ln_probs(classes.len());
    let mut quality = Quality::default();
    for (ln_p, ln_q) in ln_p.into_iter().map(f64::from).zip(ln_q.into_iter().map(f64::from)) {
        quality.total += ln_q.exp();
        if ln_p > f64::NEG_INFINITY {
            quality.kl += ln_p.exp() * (ln_p - ln_q);
            quality.chi_squared += (2.0 * ln_p - ln_q).exp();
            quality.entropy -= ln_p.exp() * ln_p;
        }
    }
    Ok(quality)
}

/// Measures a sampler at every query, in parallel; the result does not depend on the number of threads.
///
/// # Errors
/// The first error in the order of queries.
///
/// # Panics
/// If there are no queries.
pub fn mean_quality<S: Sampler>(sampler: &S, probes: &Probes, classes: Classes<'_>) -> Result<MeanQuality, Error> {
    assert!(!probes.is_empty(), "a mean over no queries");
    let each: Vec<Result<Quality, Error>> =
        (0..probes.len()).into_par_iter().map(|i| quality(sampler, probes.query(i), classes)).collect();
    let each: Vec<Quality> = each.into_iter().collect::<Result<_, _>>()?;
    let mean = |figure: fn(&Quality) -> f64| each.iter().map(figure).sum::<f64>() / each.len() as f64;
    let quality = Quality {
        kl: mean(|quality| quality.kl),
        chi_squared: mean(|quality| quality.chi_squared),
        total: mean(|quality| quality.total),
        entropy: mean(|quality| quality.entropy),
    };
    Ok(MeanQuality { mean: quality, efficiency: mean(|quality| quality.chi_squared.recip()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Uniform;

    /// Two classes with the logits `ln 3` and 0: p is 3/4 and 1/4.
    const ROWS: [f32; 2] = [1.0, 0.0];

    fn probes(queries: &[f32]) -> Probes {
        Probes::new(queries.to_vec(), 1, vec![0; queries.len()], vec![vec![0]; queries.len()])
    }

    #[test]
    fn figures_are_those_of_two_classes_by_hand() {
        let Quality { kl, chi_squared, total, entropy } =
            quality(&Uniform, &[3_f32.ln()], Classes::new(&ROWS, 1)).unwrap();
        let wanted = 0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln();
        assert!((kl - wanted).abs() < 1e-6, "{kl} and {wanted}");
        assert!((chi_squared - (0.5625 + 0.0625) * 2.0).abs() < 1e-6, "{chi_squared}");
        assert!((total - 1.0).abs() < 1e-6 && (kl + entropy - 2_f64.ln()).abs() < 1e-6, "{total} and {entropy}");
    }

    #[test]
    fn a_mean_is_over_queries_and_the_efficiency_is_that_of_each() {
        // The second query has the uniform softmax.
        let MeanQuality { mean, efficiency } =
            mean_quality(&Uniform, &probes(&[3_f32.ln(), 0.0]), Classes::new(&ROWS, 1)).unwrap();
        assert!((mean.chi_squared - (1.25 + 1.0) / 2.0).abs() < 1e-6, "{mean:?}");
        assert!((efficiency - (0.8 + 1.0) / 2.0).abs() < 1e-6, "{efficiency}");
    }

    #[test]
    fn the_softmax_is_at_no_distance_from_itself() {
        let MeanQuality { mean, efficiency } =
            mean_quality(&ExactSoftmax, &probes(&[2.0, -1.0]), Classes::new(&ROWS, 1)).unwrap();
        assert!(mean.kl == 0.0 && (mean.chi_squared - 1.0).abs() < 1e-6 && (efficiency - 1.0).abs() < 1e-6);
    }
}
