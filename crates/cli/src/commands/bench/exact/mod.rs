//! The exact softmax drawn as a processor likes it, to compare cheap proposals with a good expensive one.
//!
//! [`ExactSoftmax`] keeps the logits of every class and goes over them several times. Here classes are scored in blocks
//! that stay in the cache, on all threads, and no logit is kept. Both choices below draw `m` times with replacement from
//! `q = p` without the excluded classes, and know `ln q`.

mod gumbel;
mod inverse;

use std::borrow::Cow;

use rf_sampling::{
    Block, ClassId, Classes, Draw, Error, ExactSoftmax, MIN_NORM, Matrix, Sampler, SoftmaxLaw, Threads, dot,
    exp_in_place, matmul,
};

/// Classes that are scored together: the logits of ten queries then fill 80 KiB.
const BLOCK: usize = 2048;

/// How draws are made from the masses of the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The inverse of the distribution function, over blocks and then in the blocks that a point falls on, which are
    /// scored once more.
    Inverse,
    /// The Gumbel trick: the largest of `o_i + G_i` is a draw from the softmax.
    Gumbel,
}

/// The exact softmax over normalised classes without biases.
#[derive(Debug)]
pub struct ExactInBlocks {
    inverse_norms: Vec<f32>,
    choice: Choice,
}

/// What a query asks.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    vector: &'a [f32],
    /// Its length, which no logit exceeds.
    norm: f32,
    excluded: &'a [ClassId],
}

impl ExactInBlocks {
    /// Takes the norms of the rows.
    ///
    /// # Panics
    /// If the classes are not normalised or have biases.
    pub fn new(classes: Classes<'_>, choice: Choice) -> Self {
        assert!(classes.is_normalized() && classes.width() == classes.dim(), "normalised classes without biases");
        let norm = |row: &[f32]| dot(row, row).sqrt().max(MIN_NORM);
        Self { inverse_norms: classes.rows().chunks_exact(classes.dim()).map(|row| 1.0 / norm(row)).collect(), choice }
    }

    fn blocks(&self) -> usize {
        self.inverse_norms.len().div_ceil(BLOCK)
    }

    /// Masses `exp(o_i - |h|)` of the classes of a block for some queries, `[queries, classes]`; 0 for excluded ones.
    fn score(&self, classes: Classes<'_>, queries: &[Query<'_>], block: usize, masses: &mut Vec<f32>) {
        let (first, dim) = (block * BLOCK, classes.dim());
        let inverse_norms = &self.inverse_norms[first..self.inverse_norms.len().min(first + BLOCK)];
        let count = inverse_norms.len();
        let vectors: Vec<f32> = queries.iter().flat_map(|query| query.vector).copied().collect();
        let rows = Matrix::new(&classes.rows()[first * dim..(first + count) * dim], count, dim);
        masses.resize(queries.len() * count, 0.0);
        matmul(masses, count, 0.0, Matrix::new(&vectors, queries.len(), dim), rows.t(), Threads::One);
        for (masses, query) in masses.chunks_exact_mut(count).zip(queries) {
            let scales = masses.iter_mut().zip(inverse_norms);
            scales.for_each(|(mass, scale)| *mass = *mass * scale - query.norm);
        }
        exp_in_place(masses);
        for (masses, query) in masses.chunks_exact_mut(count).zip(queries) {
            let here = query.excluded.iter().map(|&class| class as usize).filter(|class| *class / BLOCK == block);
            here.for_each(|class| masses[class - first] = 0.0);
        }
    }
}

/// Sum of a few thousand numbers, in the lanes of a product with ones.
fn total(masses: &[f32]) -> f64 {
    const ONES: [f32; BLOCK] = [1.0; BLOCK];
    f64::from(dot(masses, &ONES))
}

impl Sampler for ExactInBlocks {
    type Law<'a> = SoftmaxLaw;

    fn law<'a>(&'a self, query: &'a [f32], _: Cow<'a, [f32]>, classes: Classes<'a>) -> Result<SoftmaxLaw, Error> {
        ExactSoftmax.at(query, classes)
    }

    fn draw_block(&self, block: &Block<'_>) -> Result<Vec<Vec<Draw>>, Error> {
        let query = |task| {
            let (vector, _) = block.query(task);
            Query { vector, norm: dot(vector, vector).sqrt(), excluded: task.excluded }
        };
        let queries: Vec<Query<'_>> = block.tasks.iter().map(query).collect();
        let points: Vec<&[f64]> = block.tasks.iter().map(|task| &*task.points).collect();
        match self.choice {
            Choice::Inverse => inverse::draw(self, block.classes, &queries, &points),
            Choice::Gumbel => gumbel::draw(self, block.classes, &queries, &points),
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(self.inverse_norms.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};
    use rf_sampling::{BatchRequest, Law, Points, Purpose, draw_batch, stream};

    use super::*;

    const D: usize = 4;
    const B: usize = 3;

    fn normals(count: usize, place: u64) -> Vec<f32> {
        let mut rng = stream(5, Purpose::Init, 0, place);
        (0..count).map(|_| StandardNormal.sample(&mut rng)).collect()
    }

    /// Queries of length 4 and a class that each must not draw.
    fn queries() -> (Vec<f32>, [ClassId; B]) {
        let mut queries = normals(B * D, 1);
        for query in queries.chunks_exact_mut(D) {
            let norm = dot(query, query).sqrt();
            query.iter_mut().for_each(|x| *x *= 4.0 / norm);
        }
        (queries, [0, 3, 7])
    }

    fn draw<S: Sampler>(sampler: &S, classes: Classes<'_>, draws: usize, step: u64) -> Vec<Vec<Draw>> {
        let (queries, targets) = queries();
        let request = BatchRequest { queries: &queries, draws, points: Points::Independent, seed: 9, step };
        draw_batch(sampler, classes, request, |query| Some(&targets[query..=query])).unwrap()
    }

    #[test]
    fn the_inverse_draws_what_the_plain_sampler_draws() {
        // Three blocks, the last not full.
        let rows = normals(5_000 * D, 2);
        let classes = Classes::new(&rows, D).normalized();
        let sampler = ExactInBlocks::new(classes, Choice::Inverse);
        for (ours, plain) in draw(&sampler, classes, 400, 1).iter().zip(draw(&ExactSoftmax, classes, 400, 1)) {
            let id_and_count = |draw: &Draw| (draw.class, draw.count);
            assert!(ours.iter().map(id_and_count).eq(plain.iter().map(id_and_count)));
            assert!(ours.iter().zip(&plain).all(|(a, b)| (a.ln_prob - b.ln_prob).abs() < 1e-4));
        }
    }

    /// Expected and observed counts of groups of classes, by chi-squared with a quantile of 1e-6.
    fn assert_follows_the_softmax(n: usize, groups: usize, draws: usize, steps: u64) {
        let rows = normals(n * D, 3);
        let classes = Classes::new(&rows, D).normalized();
        let sampler = ExactInBlocks::new(classes, Choice::Gumbel);
        let (queries, targets) = queries();
        let mut counts = vec![vec![0.0; groups]; B];
        for step in 0..steps {
            for (counts, draws) in counts.iter_mut().zip(draw(&sampler, classes, draws, step)) {
                draws.iter().for_each(|draw| counts[draw.class as usize * groups / n] += f64::from(draw.count));
            }
        }
        for (query, counts) in counts.iter().enumerate() {
            let law = ExactSoftmax.at(&queries[query * D..][..D], classes).unwrap();
            let left: f64 = 1.0 - f64::from(law.ln_prob(targets[query])).exp();
            let mut expected = vec![0.0; groups];
            for (class, ln_prob) in law.ln_probs(n).into_iter().enumerate() {
                let kept = if class == targets[query] as usize { 0.0 } else { f64::from(ln_prob).exp() / left };
                expected[class * groups / n] += kept * (draws as u64 * steps) as f64;
            }
            let seen = counts.iter().zip(&expected).filter(|pair| *pair.1 > 0.0);
            let chi_squared: f64 = seen.map(|(count, expected)| (count - expected).powi(2) / expected).sum();
            let freedom = groups as f64 - 1.0;
            assert!(chi_squared < freedom + 4.75 * (2.0 * freedom).sqrt() + 15.0, "query {query}: {chi_squared}");
            assert_eq!(counts.iter().sum::<f64>(), (draws as u64 * steps) as f64);
        }
    }

    #[test]
    fn gumbel_draws_follow_the_softmax_with_replacement() {
        // Of twelve classes some are drawn several times; of 5,000 in three blocks hardly any.
        assert_follows_the_softmax(12, 12, 6, 3_000);
        assert_follows_the_softmax(5_000, 20, 6, 300);
    }

    #[test]
    fn gumbel_draws_know_their_probability() {
        let rows = normals(12 * D, 3);
        let classes = Classes::new(&rows, D).normalized();
        let of = |draws: Vec<Vec<Draw>>| -> Vec<_> {
            draws.concat().iter().map(|draw| (draw.class, draw.ln_prob)).collect()
        };
        let plain = of(draw(&ExactSoftmax, classes, 2_000, 0));
        for (class, ln_prob) in of(draw(&ExactInBlocks::new(classes, Choice::Gumbel), classes, 6, 1)) {
            let same = plain.iter().any(|(other, known)| *other == class && (known - ln_prob).abs() < 1e-4);
            assert!(same, "class {class} at {ln_prob}");
        }
    }
}
