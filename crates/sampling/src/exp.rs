//! The softmax itself as its own proposal.

use std::borrow::Cow;

use rand::Rng;
use rand::distr::Distribution;
use rayon::prelude::*;

use crate::draw::{Span, sample_one, scan};
use crate::vector::{add_scaled, exp_in_place};
use crate::{ClassId, Classes, Draw, Error, Law, Matrix, Sampler, Threads, matmul};

/// The exact softmax, "exp" in the papers: `q = p`, at O(nd) a query; the absolute softmax for
/// [absolute](Classes::absolute) classes.
///
/// The only proposal with an unbiased gradient (Blanc & Rendle 2018, theorem 2.1), kept as the reference that cheap
/// ones are measured against. Nothing is stored; the logits of a block of queries are one matrix product.
#[derive(Clone, Copy, Debug)]
pub struct ExactSoftmax;

/// Queries whose softmaxes one parallel task adds up.
const QUERIES_A_TASK: usize = 64;

/// The softmax of one query, or the mean of those of a batch.
#[derive(Clone, Debug)]
pub struct SoftmaxLaw {
    masses: Vec<f32>,
    total: f64,
}

impl Sampler for ExactSoftmax {
    type Law<'a> = SoftmaxLaw;

    fn features(&self, queries: &[f32], classes: Classes<'_>) -> Vec<f32> {
        let (n, d) = (classes.len(), classes.dim());
        let count = queries.len() / d;
        let mut logits = vec![0.0; count * n];
        let table = Matrix::with_stride(classes.rows(), n, d, classes.width());
        matmul(&mut logits, n, 0.0, Matrix::new(queries, count, d), table.t(), Threads::One);
        let scale = |class| if classes.is_normalized() { classes.inverse_norm(class) } else { 1.0 };
        let maps: Vec<(f32, f32)> = (0..n).map(|class| (scale(class), classes.bias(class))).collect();
        for logits in logits.chunks_exact_mut(n) {
            let mapped = logits.iter_mut().zip(&maps);
            mapped.for_each(|(logit, (scale, bias))| *logit = classes.score(*logit * scale + bias));
        }
        logits
    }

    fn law<'a>(&'a self, _: &'a [f32], logits: Cow<'a, [f32]>, _: Classes<'a>) -> Result<SoftmaxLaw, Error> {
        let mut masses = logits.into_owned();
        let max = masses.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        masses.iter_mut().for_each(|logit| *logit -= max);
        exp_in_place(&mut masses);
        let total: f64 = masses.iter().map(|&mass| f64::from(mass)).sum();
        if total.is_finite() { Ok(SoftmaxLaw { masses, total }) } else { Err(Error::BadQuery) }
    }

    /// The mean of the softmaxes of the queries, O(B n d), with the logits of a few queries in memory at a time.
    fn shared_law<'a>(&'a self, queries: &[f32], classes: Classes<'a>) -> Result<SoftmaxLaw, Error> {
        let block = |queries: &[f32]| {
            let logits = self.features(queries, classes);
            let mut sum = vec![0.0; classes.len()];
            for logits in logits.chunks_exact(classes.len()) {
                let SoftmaxLaw { masses, total } = self.law(&[], Cow::Borrowed(logits), classes)?;
                add_scaled(&mut sum, (1.0 / total) as f32, &masses);
            }
            Ok(sum)
        };
        let sums: Result<Vec<Vec<f32>>, Error> =
            queries.par_chunks(QUERIES_A_TASK * classes.dim()).map(block).collect();
        let mut masses = vec![0.0; classes.len()];
        sums?.iter().for_each(|sum| add_scaled(&mut masses, 1.0, sum));
        let total = masses.iter().map(|&mass| f64::from(mass)).sum();
        Ok(SoftmaxLaw { masses, total })
    }
}

impl Distribution<ClassId> for SoftmaxLaw {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        sample_one(self, rng)
    }
}

impl Law for SoftmaxLaw {
    fn ln_prob(&self, class: ClassId) -> f32 {
        (f64::from(self.masses[class as usize]) / self.total).ln() as f32
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        if excluded.is_empty() {
            scan(&self.masses, self.total, 0, Span::WHOLE, points, out);
            return Ok(());
        }
        let mut masses = self.masses.clone();
        excluded.iter().for_each(|&class| masses[class as usize] = 0.0);
        // Summed again rather than subtracted: what is left may be tiny beside what is excluded.
        let total: f64 = masses.iter().map(|&mass| f64::from(mass)).sum();
        if total <= 0.0 {
            return Err(Error::NothingLeft);
        }
        scan(&masses, total, 0, Span::WHOLE, points, out);
        Ok(())
    }
}
