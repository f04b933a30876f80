//! How far a proposal is from the softmax.

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
        }
    }
    Ok(quality)
}
