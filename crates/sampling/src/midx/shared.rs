//! One law for a whole batch: the mean of the laws of its queries.

use rayon::prelude::*;

use super::law::MidxLaw;
use super::{Midx, MidxVariant};
use crate::{Classes, Error, Sampler};

/// Queries whose laws one parallel task adds up: fixed, so that the law does not depend on the number of threads.
const QUERIES_A_TASK: usize = 64;

impl Midx {
    /// `q̄(a, b) = 1/B sum of P(a, b | h)`, O(B (K d + buckets)).
    ///
    /// Inside a bucket classes share by weights that no query moves, so the mean of the buckets is the mean of the laws,
    /// exactly. The exact variant scores residuals by the query, and has no such law.
    pub(super) fn shared<'a>(&'a self, queries: &[f32], classes: Classes<'a>) -> Result<MidxLaw<'a>, Error> {
        if self.variant == MidxVariant::Exact {
            return Err(Error::NoSharedLaw);
        }
        let tasks = queries.par_chunks(QUERIES_A_TASK * classes.dim());
        let parts: Result<Vec<Vec<f64>>, Error> = tasks.map(|queries| self.factors(queries, classes)).collect();
        let mut factors = vec![0.0; self.index.bucket_count()];
        for part in parts? {
            factors.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        MidxLaw::of_buckets(&self.index, factors)
    }

    /// Sums of `P(a, b) / W_ab` over some queries.
    fn factors(&self, queries: &[f32], classes: Classes<'_>) -> Result<Vec<f64>, Error> {
        let mut sums = vec![0.0; self.index.bucket_count()];
        for scores in self.features(queries, classes).chunks_exact(2 * self.books.codewords()) {
            MidxLaw::fast(&self.index, scores)?.add_factors(&mut sums);
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use crate::{ClassId, Classes, Law, MidxConfig, Purpose, Quantizer, Sampler, stream};

    #[test]
    fn the_shared_law_is_the_mean_of_the_queries_laws() {
        let (n, d, batch) = (50, 6, 70);
        let mut rng = stream(3, Purpose::Init, 0, 0);
        let mut normals = |count: usize| -> Vec<f32> { (0..count).map(|_| StandardNormal.sample(&mut rng)).collect() };
        let (rows, queries) = (normals(n * d), normals(batch * d));
        let classes = Classes::new(&rows, d);
        for quantizer in [Quantizer::Pq, Quantizer::Rq] {
            let midx = MidxConfig { quantizer, codewords: 4, ..Default::default() }.build(classes, &[], 1).unwrap();
            let shared = midx.shared_law(&queries, classes).unwrap();
            let laws: Vec<_> = queries.chunks(d).map(|query| midx.at(query, classes).unwrap()).collect();
            for class in 0..n as ClassId {
                let mean = laws.iter().map(|law| law.ln_prob(class).exp()).sum::<f32>() / batch as f32;
                assert!((shared.ln_prob(class).exp() / mean - 1.0).abs() < 1e-5, "{quantizer:?}: class {class}");
            }
        }
    }
}
