//! Lloyd's k-means over rows of a dense table.

use std::ops::Range;

use rand::{Rng, RngExt, seq::index};
use rayon::prelude::*;

use crate::{Matrix, Threads, dot, matmul};

/// Runs of rows that are added up apart, and then in their order: fixed, so that sums do not depend on the number of
/// threads.
const STRIPES: usize = 16;

/// Rows whose products with all codewords are one matrix product.
pub(super) const ROWS_A_BLOCK: usize = 256;

/// Lloyd's iterations end when one lowers the error by less than this share of it.
const TOLERANCE: f64 = 1e-3;

/// Rows for each codeword among which k-means++ chooses its start.
const START_ROWS_A_CODEWORD: usize = 16;

/// Some columns of the rows of a dense table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Points<'a> {
    data: &'a [f32],
    stride: usize,
    first: usize,
    width: usize,
}

impl<'a> Points<'a> {
    /// # Shapes
    /// - data: `[rows, stride]`
    pub fn new(data: &'a [f32], stride: usize, columns: Range<usize>) -> Self {
        Self { data, stride, first: columns.start, width: columns.len() }
    }

    pub fn len(self) -> usize {
        self.data.len() / self.stride
    }

    fn row(self, i: usize) -> &'a [f32] {
        &self.data[i * self.stride + self.first..][..self.width]
    }

    fn rows(self, rows: Range<usize>) -> Self {
        Self { data: &self.data[rows.start * self.stride..rows.end * self.stride], ..self }
    }
}

/// Codewords of some columns.
#[derive(Clone, Debug)]
pub(super) struct Codebook {
    /// `[K, width]`.
    words: Vec<f32>,
    /// `|word|² / 2`.
    half_norms: Vec<f32>,
    columns: Range<usize>,
}

impl Codebook {
    /// # Shapes
    /// - words: `[K, columns.len()]`
    pub fn new(words: Vec<f32>, columns: Range<usize>) -> Self {
        let half_norms = words.chunks_exact(columns.len()).map(|word| 0.5 * dot(word, word)).collect();
        Self { words, half_norms, columns }
    }

    pub fn words(&self) -> &[f32] {
        &self.words
    }

    pub fn word(&self, code: usize) -> &[f32] {
        &self.words[code * self.columns.len()..][..self.columns.len()]
    }

    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    fn len(&self) -> usize {
        self.half_norms.len()
    }

    /// Gives to `sink` the place of each point, its nearest codeword (of equals the first) and the squared distance.
    ///
    /// `|x - c|²` is smallest where `x · c - |c|² / 2` is largest.
    pub fn nearest(&self, points: Points<'_>, mut sink: impl FnMut(usize, usize, f32)) {
        let (k, width) = (self.len(), self.columns.len());
        let words = Matrix::new(&self.words, k, width);
        let mut scores = vec![0.0; ROWS_A_BLOCK.min(points.len()) * k];
        for start in (0..points.len()).step_by(ROWS_A_BLOCK) {
            let block = points.rows(start..points.len().min(start + ROWS_A_BLOCK));
            let rows = Matrix::with_stride(&block.data[block.first..], block.len(), width, block.stride);
            matmul(&mut scores, k, 0.0, rows, words.t(), Threads::One);
            for (i, scores) in scores.chunks_exact(k).take(block.len()).enumerate() {
                let (code, score) = largest(scores, &self.half_norms);
                let row = block.row(i);
                sink(start + i, code, (dot(row, row) - 2.0 * score).max(0.0));
            }
        }
    }

    /// Codewords to start from: k-means++ (Arthur & Vassilvitskii 2007), each drawn in proportion to its squared distance
    /// from those before, among [`START_ROWS_A_CODEWORD`] random rows for each.
    pub fn start(points: Points<'_>, k: usize, columns: Range<usize>, rng: &mut impl Rng) -> Self {
        let count = points.len().min(START_ROWS_A_CODEWORD * k);
        let rows: Vec<&[f32]> = index::sample(rng, points.len(), count).iter().map(|i| points.row(i)).collect();
        let mut distances = vec![f64::INFINITY; count];
        let mut words = Vec::with_capacity(k * columns.len());
        let mut chosen = rng.random_range(0..count);
        for _ in 0..k {
            let word = rows[chosen];
            words.extend_from_slice(word);
            let nearer = |(distance, row): (&mut f64, &&[f32])| *distance = distance.min(squared_distance(word, row));
            distances.par_iter_mut().zip(&rows).with_min_len(ROWS_A_BLOCK).for_each(nearer);
            let point = rng.random::<f64>() * distances.iter().sum::<f64>();
            let mut cumulative = 0.0;
            let passed = |&distance: &f64| {
                cumulative += distance;
                cumulative > point
            };
            // Where every row is a codeword already the rest repeats one, and no row is nearest to a repetition.
            chosen = distances.iter().position(passed).unwrap_or(chosen);
        }
        Self::new(words, columns)
    }

    /// At most `iterations` of Lloyd's: every codeword becomes the mean of the points nearest to it.
    ///
    /// Codewords without points move to points that are far from theirs, no two to points of the same.
    pub fn improve(&mut self, points: Points<'_>, iterations: usize) {
        let mut last = f64::INFINITY;
        for _ in 0..iterations {
            let mut sums = self.sums(points);
            let moved = sums.fill_dead(points);
            *self = Self::new(sums.means(&self.words), self.columns());
            if moved == 0 && last - sums.error <= TOLERANCE * last {
                return;
            }
            last = sums.error;
        }
    }

    fn sums(&self, points: Points<'_>) -> Sums {
        let rows = points.len().div_ceil(STRIPES);
        let stripe = |stripe: usize| {
            let start = (stripe * rows).min(points.len());
            let part = points.rows(start..points.len().min(start + rows));
            let mut sums = Sums::zeros(self.len(), points.width);
            self.nearest(part, |i, code, distance| sums.add(start + i, part.row(i), code, distance));
            sums
        };
        let stripes: Vec<Sums> = (0..STRIPES).into_par_iter().map(stripe).collect();
        stripes.into_iter().reduce(Sums::joined).expect("there are some stripes")
    }
}

fn largest(scores: &[f32], half_norms: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (code, (score, half_norm)) in scores.iter().zip(half_norms).enumerate() {
        let score = score - half_norm;
        if score > best.1 {
            best = (code, score);
        }
    }
    best
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// Sums of the points of each codeword.
struct Sums {
    width: usize,
    /// `[K, width]`.
    totals: Vec<f64>,
    counts: Vec<u32>,
    /// Sum of squared distances.
    error: f64,
    /// The furthest point of each codeword: squared distance, row; `[K]`.
    furthest: Vec<(f32, usize)>,
}

impl Sums {
    fn zeros(k: usize, width: usize) -> Self {
        Self { width, totals: vec![0.0; k * width], counts: vec![0; k], error: 0.0, furthest: vec![(0.0, 0); k] }
    }

    fn add(&mut self, row: usize, point: &[f32], code: usize, distance: f32) {
        let total = &mut self.totals[code * self.width..][..self.width];
        total.iter_mut().zip(point).for_each(|(total, &x)| *total += f64::from(x));
        self.counts[code] += 1;
        self.error += f64::from(distance);
        if distance > self.furthest[code].0 {
            self.furthest[code] = (distance, row);
        }
    }

    fn joined(mut self, other: Self) -> Self {
        self.totals.iter_mut().zip(&other.totals).for_each(|(total, other)| *total += other);
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
        self.error += other.error;
        let pairs = self.furthest.iter_mut().zip(other.furthest);
        pairs.filter(|(furthest, other)| other.0 > furthest.0).for_each(|(furthest, other)| *furthest = other);
        self
    }

    /// Gives codewords that have no points the furthest point of another each; returns how many.
    fn fill_dead(&mut self, points: Points<'_>) -> usize {
        self.furthest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let dead: Vec<usize> = (0..self.counts.len()).filter(|&code| self.counts[code] == 0).collect();
        let far = self.furthest.iter().filter(|point| point.0 > 0.0);
        let mut moved = 0;
        for (code, &(_, row)) in dead.into_iter().zip(far) {
            let total = &mut self.totals[code * self.width..][..self.width];
            total.iter_mut().zip(points.row(row)).for_each(|(total, &x)| *total = f64::from(x));
            self.counts[code] = 1;
            moved += 1;
        }
        moved
    }

    /// Means, and the old words where there are no points.
    fn means(&self, old: &[f32]) -> Vec<f32> {
        let mean = |(i, &total): (usize, &f64)| match self.counts[i / self.width] {
            0 => old[i],
            count => (total / f64::from(count)) as f32,
        };
        self.totals.iter().enumerate().map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Purpose, stream};

    fn corners(noise: f32) -> Vec<f32> {
        let mut rng = stream(1, Purpose::Data, 0, 0);
        let corner = |i: usize| [(i % 2) as f32, (i / 2 % 2) as f32];
        (0..400).flat_map(corner).map(|x| x + noise * rng.random::<f32>()).collect()
    }

    fn distances(book: &Codebook, points: Points<'_>) -> f64 {
        let mut sum = 0.0;
        book.nearest(points, |_, _, distance| sum += f64::from(distance));
        sum
    }

    #[test]
    fn four_corners_have_four_codewords() {
        let data = corners(0.1);
        let points = Points::new(&data, 2, 0..2);
        let mut book = Codebook::start(points, 4, 0..2, &mut stream(1, Purpose::Codebooks, 0, 0));
        book.improve(points, 20);
        let mut words: Vec<[i32; 2]> =
            book.words.chunks(2).map(|w| [w[0].round() as i32, w[1].round() as i32]).collect();
        words.sort_unstable();
        assert_eq!(words, [[0, 0], [0, 1], [1, 0], [1, 1]]);
    }

    #[test]
    fn a_codeword_without_points_is_put_where_it_helps() {
        let data = corners(0.1);
        let points = Points::new(&data, 2, 0..2);
        let mut book = Codebook::new(vec![0.0, 0.0, 1.0, 0.2, 90.0, 90.0, 91.0, 90.0], 0..2);
        let before = distances(&book, points);
        book.improve(points, 20);
        assert!(distances(&book, points) < 0.05 * before && book.words.iter().all(|x| x.abs() < 2.0));
    }

    #[test]
    fn more_codewords_than_distinct_points_leave_no_error() {
        let data = corners(0.0);
        let points = Points::new(&data, 2, 0..2);
        let mut book = Codebook::start(points, 9, 0..2, &mut stream(1, Purpose::Codebooks, 0, 0));
        book.improve(points, 3);
        assert!(distances(&book, points) == 0.0 && book.words.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn the_nearest_codeword_is_that_of_a_plain_search_in_some_columns() {
        let data = corners(1.0);
        let points = Points::new(&data, 4, 1..3);
        let book = Codebook::new((0..10).map(|i| (i as f32 * 0.7).sin()).collect(), 1..3);
        book.nearest(points, |i, code, distance| {
            let all: Vec<f64> = (0..5).map(|code| squared_distance(points.row(i), book.word(code))).collect();
            assert!((all[code] - f64::from(distance)).abs() < 1e-5);
            assert!(all.iter().all(|&other| all[code] <= other + 1e-6));
        });
    }
}
