//! One law for a whole batch: a descent with the mean features of its queries.

use std::borrow::Cow;

use rayon::prelude::*;

use super::{KernelLaw, KernelTree, LeafLaw};
use crate::{Classes, Error, Sampler, dot};

/// Queries whose features one parallel task computes and adds up: fixed, so that the law does not depend on the number
/// of threads.
const QUERIES_A_TASK: usize = 64;

/// Features of some queries, each divided by its `Z`, and the sum of `1 / Z`.
struct Weighted {
    features: Vec<f64>,
    weight: f64,
}

impl KernelTree {
    /// The law of `phi̅ = (sum_b phi(h_b) / Z_b) / (sum_b 1 / Z_b)` with `Z_b = max(phi(h_b)·S, floor · w)` at the root,
    /// at the cost of one query and O(d D) for each of the batch.
    ///
    /// Dividing by `Z_b` gives every query the same share. Where no estimate lies below the floor, at the root or in the
    /// descent, the law is the mixture of the queries' laws, `1/B sum_b q(· | h_b)`. The sum of weights is one, so the
    /// floor means to `phi̅` what it means to a query. A query of `Z = 0`, which needs a floor of 0, has no part in it.
    ///
    /// Laws that score a leaf in the original space have no mean query: their mixture costs `B` times the leaves.
    pub(super) fn shared<'a>(&'a self, queries: &[f32], classes: Classes<'a>) -> Result<KernelLaw<'a>, Error> {
        if self.leaf_law != LeafLaw::Features {
            return Err(Error::NoSharedLaw);
        }
        let blocks = queries.par_chunks(QUERIES_A_TASK * classes.dim());
        let parts: Result<Vec<Weighted>, Error> = blocks.map(|queries| self.weighted(queries, classes)).collect();
        let parts = parts?;
        let weight: f64 = parts.iter().map(|part| part.weight).sum();
        let mut mean = vec![0.0; self.map.width()];
        for part in &parts {
            mean.iter_mut().zip(&part.features).for_each(|(mean, sum)| *mean += sum);
        }
        // With a weight of zero all features are zero, and every node falls back on the weights of its classes.
        let scale = if weight > 0.0 { 1.0 / weight } else { 0.0 };
        let features = mean.into_iter().map(|sum| (sum * scale) as f32).collect();
        Ok(KernelLaw { tree: self, query: &[], query_norm: 0.0, features: Cow::Owned(features), classes })
    }

    fn weighted(&self, queries: &[f32], classes: Classes<'_>) -> Result<Weighted, Error> {
        if !queries.chunks_exact(classes.dim()).all(|query| dot(query, query).is_finite()) {
            return Err(Error::BadQuery);
        }
        let (width, root_mass) = (self.map.width(), self.masses[self.levels.root()]);
        let mut sum = Weighted { features: vec![0.0; width], weight: 0.0 };
        for features in self.features(queries, classes).chunks_exact(width) {
            let mass = f64::from(self.root_estimate(features).max(self.floor * root_mass));
            if mass > 0.0 {
                sum.weight += 1.0 / mass;
                sum.features.iter_mut().zip(features).for_each(|(sum, &phi)| *sum += f64::from(phi) / mass);
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use crate::{Classes, Error, Law, LeafLaw, Purpose, RffConfig, Sampler, stream};

    const N: usize = 30;
    const D: usize = 6;

    fn normals(count: usize, place: u64) -> Vec<f32> {
        let mut rng = stream(3, Purpose::Init, 0, place);
        (0..count).map(|_| StandardNormal.sample(&mut rng)).collect()
    }

    #[test]
    fn the_shared_law_is_the_mixture_of_the_queries_laws_where_nothing_is_clamped() {
        let (rows, queries) = (normals(N * D, 0), normals(5 * D, 1));
        let classes = Classes::new(&rows, D).normalized();
        // A flat kernel and many frequencies: every estimate is positive.
        let config = RffConfig { features: 512, nu: 0.5, floor: 0.0, leaf_size: Some(4), ..Default::default() };
        let tree = config.build(classes, &[], 1).unwrap();
        let probabilities = |law: &dyn Fn(u32) -> f32| (0..N as u32).map(|class| law(class).exp()).collect::<Vec<_>>();
        let mut mixture = [0.0; N];
        for query in queries.chunks(D) {
            let law = tree.at(query, classes).unwrap();
            mixture.iter_mut().zip(probabilities(&|class| law.ln_prob(class))).for_each(|(sum, q)| *sum += q / 5.0);
        }
        let shared = tree.shared_law(&queries, classes).unwrap();
        for (got, want) in probabilities(&|class| shared.ln_prob(class)).into_iter().zip(mixture) {
            assert!((got - want).abs() < 1e-6, "{got} and {want}");
        }
    }

    #[test]
    fn leaf_laws_of_the_original_space_have_no_shared_law() {
        let (rows, queries) = (normals(N * D, 0), normals(2 * D, 1));
        let classes = Classes::new(&rows, D);
        for leaf_law in [LeafLaw::Gauss, LeafLaw::Exact] {
            let tree = RffConfig { features: 16, leaf_law, ..Default::default() }.build(classes, &[], 1).unwrap();
            assert!(matches!(tree.shared_law(&queries, classes), Err(Error::NoSharedLaw)));
        }
    }
}
