//! The law of one query: first codes, buckets, classes.

use std::ops::Range;

use rand::Rng;
use rand::distr::Distribution;

use super::index::Index;
use super::kept::Kept;
use crate::draw::{Span, sample_one, share_out};
use crate::{ClassId, Classes, Draw, Error, Law, row_dots};

/// The law of [`Midx`](crate::Midx) at a query, or for a batch.
///
/// The mass of a class is the product of three: what the query gives to its first code, what it gives to its bucket, and
/// its own inside the bucket.
#[derive(Clone, Debug)]
pub struct MidxLaw<'a> {
    index: &'a Index,
    factors: Factors,
    /// Masses of classes inside their buckets, where they are not the weights of the index.
    inside: Option<Inside>,
    /// Masses of the first codes, `[K]`.
    rows: Vec<f64>,
    /// `Z`: their sum.
    total: f64,
}

/// What a query gives to codes.
#[derive(Clone, Debug)]
enum Factors {
    /// A factor for each first and each second code, `[K]` both.
    Codes { first: Vec<f64>, second: Vec<f64> },
    /// A factor for each bucket.
    Buckets(Vec<f64>),
}

/// Masses of classes by their place in the index, and the sum of each bucket.
#[derive(Clone, Debug)]
struct Inside {
    classes: Vec<f64>,
    sums: Vec<f64>,
}

impl<'a> MidxLaw<'a> {
    /// `q_i ∝ w_i exp(h·word(0, a_i)) exp(h·word(1, b_i))`, from the scores `[2K]` of the words.
    ///
    /// Exponentials are taken in f64 below the largest score of each book, so none overflows, and a bucket vanishes only
    /// 700 nats below.
    pub(super) fn fast(index: &'a Index, scores: &[f32]) -> Result<Self, Error> {
        let (first, second) = scores.split_at(scores.len() / 2);
        Self::new(index, Factors::Codes { first: exponentials(first), second: exponentials(second) }, None)
    }

    /// The law of given factors of the buckets: a bucket has its factor times the weight of its classes.
    pub(super) fn of_buckets(index: &'a Index, factors: Vec<f64>) -> Result<Self, Error> {
        Self::new(index, Factors::Buckets(factors), None)
    }

    /// The decomposition of the paper: inside a bucket classes have `prior_i exp(r_i)`, with the residual score
    /// `r_i = o_i - h·ĉ_i`, and a bucket `exp(h·ĉ)` times their sum. With the largest `r_i` of a bucket taken out of the one and into the
    /// other, nothing overflows.
    pub(super) fn exact(index: &'a Index, scores: &[f32], query: &[f32], classes: Classes<'_>) -> Result<Self, Error> {
        let logits = logits(query, classes);
        let mut inside = Inside { classes: vec![0.0; logits.len()], sums: Vec::with_capacity(index.bucket_count()) };
        let mut exponents = Vec::with_capacity(index.bucket_count());
        for bucket in 0..index.bucket_count() {
            let [a, b] = index.codes()[bucket].map(usize::from);
            let score = f64::from(scores[a]) + f64::from(scores[scores.len() / 2 + b]);
            let masses = &mut inside.classes[index.places(bucket)];
            let residual = |place| f64::from(logits[index.class_at(place) as usize]) - score;
            masses.iter_mut().zip(index.places(bucket)).for_each(|(mass, place)| *mass = residual(place));
            let largest = masses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weighed = masses.iter_mut().zip(index.places(bucket));
            weighed.for_each(|(mass, place)| *mass = index.weight_at(place) * (*mass - largest).exp());
            inside.sums.push(masses.iter().sum());
            exponents.push(score + largest);
        }
        let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        exponents.iter_mut().for_each(|exponent| *exponent = (*exponent - largest).exp());
        Self::new(index, Factors::Buckets(exponents), Some(inside))
    }

    fn new(index: &'a Index, factors: Factors, inside: Option<Inside>) -> Result<Self, Error> {
        let mut law = Self { index, factors, inside, rows: Vec::new(), total: 0.0 };
        law.rows = (0..index.row_count()).map(|a| law.first_factor(a) * law.row_sum(a)).collect();
        law.total = law.rows.iter().sum();
        if law.total.is_finite() && law.total > 0.0 { Ok(law) } else { Err(Error::BadQuery) }
    }

    /// Adds `P(a, b) / W_ab` to the sums of the buckets.
    pub(super) fn add_factors(&self, sums: &mut [f64]) {
        for a in 0..self.rows.len() {
            let scale = self.first_factor(a) / self.total;
            self.index.row(a).for_each(|bucket| sums[bucket] += scale * self.bucket_factor(bucket));
        }
    }

    fn first_factor(&self, a: usize) -> f64 {
        match &self.factors {
            Factors::Codes { first, .. } => first[a],
            Factors::Buckets(_) => 1.0,
        }
    }

    fn bucket_factor(&self, bucket: usize) -> f64 {
        match &self.factors {
            Factors::Codes { second, .. } => second[usize::from(self.index.codes()[bucket][1])],
            Factors::Buckets(factors) => factors[bucket],
        }
    }

    /// Sums of the class masses of all buckets.
    fn sums(&self) -> &[f64] {
        self.inside.as_ref().map_or(self.index.sums(), |inside| &inside.sums)
    }

    /// The mass of the class at a place, inside its bucket.
    pub(super) fn mass_at(&self, place: usize) -> f64 {
        self.inside.as_ref().map_or_else(|| self.index.weight_at(place), |inside| inside.classes[place])
    }

    /// Whether all classes of a bucket have the same mass.
    pub(super) fn is_equal(&self) -> bool {
        self.inside.is_none() && self.index.is_unweighted()
    }

    pub(super) fn index(&self) -> &'a Index {
        self.index
    }

    /// The sum of the masses of a row of buckets.
    fn row_sum(&self, a: usize) -> f64 {
        let row = self.index.row(a);
        let sums = &self.sums()[row.clone()];
        match &self.factors {
            Factors::Codes { second, .. } => sum_of_products(second, &self.index.codes()[row], sums),
            Factors::Buckets(factors) => factors[row].iter().zip(sums).map(|(factor, sum)| factor * sum).sum(),
        }
    }

    /// Masses of the buckets of a row, of the classes that are kept.
    fn masses(&self, a: usize, kept: &Kept) -> Vec<f64> {
        let row = self.index.row(a);
        let mass = |bucket| self.bucket_factor(bucket) * self.sums()[bucket];
        let mut masses: Vec<f64> = row.clone().map(mass).collect();
        for &(bucket, sum) in kept.in_buckets(row.clone()) {
            masses[bucket - row.start] = self.bucket_factor(bucket) * sum;
        }
        masses
    }

    /// Masses of the first codes, of the classes that are kept.
    fn kept_rows(&self, kept: &Kept) -> Vec<f64> {
        let mut rows = self.rows.clone();
        let mut touched: Vec<usize> = kept.buckets().map(|bucket| self.index.codes()[bucket][0].into()).collect();
        touched.dedup();
        for a in touched {
            rows[a] = self.first_factor(a) * self.masses(a, kept).iter().sum::<f64>();
        }
        rows
    }

    /// Draws inside a bucket.
    fn draw_inside(&self, bucket: usize, kept: &Kept, span: Span, points: &[f64], out: &mut Vec<Draw>) {
        let places = self.index.places(bucket);
        let excluded = kept.in_places(places.clone());
        let mut push = |place: usize, count: usize, mass: f64| {
            let class = self.index.class_at(place);
            out.push(Draw { class, count: count as u32, ln_prob: mass.ln() as f32 });
        };
        if self.is_equal() {
            let count = places.len() - excluded.len();
            share_out_equally(count, span, points, |rank, points| {
                push(place_of_rank(places.start + rank, excluded), points, span.mass / count as f64);
            });
            return;
        }
        let mut masses: Vec<f64> = places.clone().map(|place| self.mass_at(place)).collect();
        excluded.iter().for_each(|&place| masses[place - places.start] = 0.0);
        let total = masses.iter().sum();
        share_out(&masses, total, span, points, |i, span, taken| push(places.start + i, taken.len(), span.mass));
    }
}

/// `exp(x - max)`.
fn exponentials(scores: &[f32]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter().map(|score| f64::from(score - largest).exp()).collect()
}

/// Logits of all classes, as the softmax takes them.
fn logits(query: &[f32], classes: Classes<'_>) -> Vec<f32> {
    let mut logits = vec![0.0; classes.len()];
    row_dots(query, classes.rows(), classes.width(), &mut logits);
    for (class, logit) in logits.iter_mut().enumerate() {
        let scale = if classes.is_normalized() { classes.inverse_norm(class) } else { 1.0 };
        *logit = classes.score(*logit * scale + classes.bias(class));
    }
    logits
}

/// `sum of second[b] W_ab` in four sums, which do not wait for each other.
fn sum_of_products(second: &[f64], codes: &[[u16; 2]], sums: &[f64]) -> f64 {
    let ((codes, codes_left), (sums, sums_left)) = (codes.as_chunks::<4>(), sums.as_chunks::<4>());
    let product = |code: &[u16; 2], sum: &f64| second[usize::from(code[1])] * sum;
    let mut four = [0.0; 4];
    for (codes, sums) in codes.iter().zip(sums) {
        for lane in 0..4 {
            four[lane] += product(&codes[lane], &sums[lane]);
        }
    }
    let rest: f64 = codes_left.iter().zip(sums_left).map(|(code, sum)| product(code, sum)).sum();
    (four[0] + four[1]) + (four[2] + four[3]) + rest
}

/// [`share_out`] of `count` equal masses, O(points): gives each mass that gets points, and how many, to `sink`.
fn share_out_equally(count: usize, span: Span, points: &[f64], mut sink: impl FnMut(usize, usize)) {
    let scale = count as f64 / span.mass;
    let rank = |point: &f64| (((point - span.start) * scale) as usize).min(count - 1);
    points.chunk_by(|a, b| rank(a) == rank(b)).for_each(|points| sink(rank(&points[0]), points.len()));
}

/// The place that a place is when the excluded ones (ascending) are left out of the count.
fn place_of_rank(place: usize, excluded: &[usize]) -> usize {
    excluded.iter().fold(place, |place, &out| if out <= place { place + 1 } else { place })
}

impl Distribution<ClassId> for MidxLaw<'_> {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        sample_one(self, rng)
    }
}

impl Law for MidxLaw<'_> {
    fn ln_prob(&self, class: ClassId) -> f32 {
        let bucket = self.index.bucket_of(class);
        let [a, _] = self.index.codes()[bucket].map(usize::from);
        let factor = self.first_factor(a) * self.bucket_factor(bucket);
        (self.mass_at(self.index.place_of(class)) * factor / self.total).ln() as f32
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        let kept = Kept::new(self, excluded);
        let rows = self.kept_rows(&kept);
        let total: f64 = rows.iter().sum();
        if total <= 0.0 {
            return Err(Error::NothingLeft);
        }
        let taken = |from: &Range<usize>, taken: Range<usize>| from.start + taken.start..from.start + taken.end;
        share_out(&rows, total, Span::WHOLE, points, |a, span, of_row| {
            let masses = self.masses(a, &kept);
            let first = self.index.row(a).start;
            share_out(&masses, masses.iter().sum(), span, &points[of_row.clone()], |i, span, of_bucket| {
                self.draw_inside(first + i, &kept, span, &points[taken(&of_row, of_bucket)], out);
            });
        });
        Ok(())
    }
}
