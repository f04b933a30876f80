//! The two codebooks, and what they make of the rows.

use std::ops::Range;

use rand::Rng;
use rand::seq::index;
use rayon::prelude::*;

use super::Quantizer;
use super::k_means::{Codebook, Points, ROWS_A_BLOCK};
use crate::linalg::all_dots;
use crate::vector::add_scaled;
use crate::{Classes, Purpose, stream};

/// Rows for each codeword that k-means looks at, as in Faiss: means of more are hardly better, and a table of any length
/// then costs little beyond its assignment.
const ROWS_A_CODEWORD: usize = 256;

/// A class row is near `word(0, a) + word(1, b)` (`rq`), or the two words end to end (`pq`).
#[derive(Clone, Debug)]
pub(super) struct Codebooks {
    dim: usize,
    codewords: usize,
    books: [Codebook; 2],
}

/// Where the random numbers of a quantisation come from.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub seed: u64,
    pub step: u64,
}

impl Codebooks {
    /// Codebooks of `K` words, from k-means over the rows.
    pub fn fit(quantizer: Quantizer, codewords: usize, classes: Classes<'_>, iterations: usize, place: Place) -> Self {
        let dim = classes.dim();
        let mut rows = sample(classes, codewords, place);
        let books = [0, 1].map(|part| {
            let columns = columns(quantizer, dim, part);
            let mut rng = stream(place.seed, Purpose::Codebooks, place.step, 1 + part as u64);
            let points = Points::new(&rows, dim, columns.clone());
            let mut book = Codebook::start(points, codewords, columns, &mut rng);
            book.improve(points, iterations);
            subtract(&mut rows, dim, &book);
            book
        });
        Self { dim, codewords, books }
    }

    /// The same from the present words, moved on by k-means.
    pub fn refit(&self, classes: Classes<'_>, iterations: usize, place: Place) -> Self {
        let mut rows = sample(classes, self.codewords, place);
        let books = self.books.clone().map(|mut book| {
            book.improve(Points::new(&rows, self.dim, book.columns()), iterations);
            subtract(&mut rows, self.dim, &book);
            book
        });
        Self { books, ..*self }
    }

    /// Codebooks of given words.
    ///
    /// # Shapes
    /// - words: those of the first book, then those of the second
    pub fn with_words(&self, words: &[f32]) -> Self {
        let (first, second) = words.split_at(self.books[0].words().len());
        let book = |part: usize, words: &[f32]| Codebook::new(words.to_vec(), self.books[part].columns());
        Self { books: [book(0, first), book(1, second)], ..*self }
    }

    /// Words of both books, one after the other.
    pub fn words(&self) -> Vec<f32> {
        self.books.iter().flat_map(|book| book.words()).copied().collect()
    }

    pub fn codewords(&self) -> usize {
        self.codewords
    }

    pub fn bytes(&self) -> usize {
        self.books.iter().map(|book| size_of_val(book.words()) + 4 * self.codewords).sum()
    }

    /// Products of queries with the words of both books, the same numbers for a query alone as in a block.
    ///
    /// # Shapes
    /// - queries: `[B, d]`
    /// - output: `[B, 2K]`
    pub fn scores(&self, queries: &[f32]) -> Vec<f32> {
        let (k, count) = (self.codewords, queries.len() / self.dim);
        let mut scores = vec![0.0; count * 2 * k];
        let mut products = vec![0.0; count * k];
        for (part, book) in self.books.iter().enumerate() {
            let columns = book.columns();
            let queries: Vec<&[f32]> = queries.chunks_exact(self.dim).map(|query| &query[columns.clone()]).collect();
            all_dots(&queries, book.words(), columns.len(), &mut products);
            let rows = scores.chunks_exact_mut(2 * k).zip(products.chunks_exact(k));
            rows.for_each(|(scores, products)| scores[part * k..][..k].copy_from_slice(products));
        }
        scores
    }

    /// Codes of all classes, `a K + b`. O(n K d), a matrix product for each block of rows and each book.
    pub fn assign(&self, classes: Classes<'_>) -> Vec<u32> {
        let mut codes = vec![0; classes.len()];
        codes.par_chunks_mut(ROWS_A_BLOCK).enumerate().for_each(|(block, codes)| {
            let start = block * ROWS_A_BLOCK;
            let mut rows = gather(classes, start..start + codes.len());
            for book in &self.books {
                let mut nearest = vec![0; codes.len()];
                book.nearest(Points::new(&rows, self.dim, book.columns()), |i, code, _| nearest[i] = code);
                for ((row, at), code) in rows.chunks_exact_mut(self.dim).zip(codes.iter_mut()).zip(nearest) {
                    add_scaled(&mut row[book.columns()], -1.0, book.word(code));
                    *at = *at * self.codewords as u32 + code as u32;
                }
            }
        });
        codes
    }

    /// Mean of `|c_i - ĉ_i|²` over the rows, `ĉ_i` what the codes say.
    pub fn error(&self, classes: Classes<'_>, code_of: impl Fn(usize) -> [u16; 2] + Sync) -> f64 {
        let distance = |class: usize| {
            let mut row = gather(classes, class..class + 1);
            let words = self.books.iter().zip(code_of(class));
            words.for_each(|(book, code)| add_scaled(&mut row[book.columns()], -1.0, book.word(code.into())));
            f64::from(crate::dot(&row, &row))
        };
        let distances: Vec<f64> = (0..classes.len()).into_par_iter().with_min_len(ROWS_A_BLOCK).map(distance).collect();
        distances.iter().sum::<f64>() / classes.len() as f64
    }
}

/// The columns of one of the two books.
pub(super) fn columns(quantizer: Quantizer, dim: usize, part: usize) -> Range<usize> {
    match (quantizer, part) {
        (Quantizer::Rq, _) => 0..dim,
        (Quantizer::Pq, 0) => 0..dim / 2,
        (Quantizer::Pq, _) => dim / 2..dim,
    }
}

/// Rows as the logits see them, `[classes, d]`: directions of normalised classes.
fn gather(classes: Classes<'_>, ids: Range<usize>) -> Vec<f32> {
    let mut rows = Vec::with_capacity(ids.len() * classes.dim());
    for class in ids {
        let scale = if classes.is_normalized() { classes.inverse_norm(class) } else { 1.0 };
        rows.extend(classes.embedding(class).iter().map(|x| x * scale));
    }
    rows
}

/// The rows that k-means looks at: all, or a random choice of a long table.
fn sample(classes: Classes<'_>, codewords: usize, place: Place) -> Vec<f32> {
    let (n, wanted) = (classes.len(), ROWS_A_CODEWORD * codewords);
    if n <= wanted {
        return gather(classes, 0..n);
    }
    let mut rng = stream(place.seed, Purpose::Codebooks, place.step, 0);
    let mut ids = chosen(&mut rng, n, wanted);
    ids.sort_unstable();
    ids.into_iter().flat_map(|class| gather(classes, class..class + 1)).collect()
}

fn chosen(rng: &mut impl Rng, n: usize, wanted: usize) -> Vec<usize> {
    index::sample(rng, n, wanted).into_vec()
}

/// Leaves the residuals of rows in their place.
fn subtract(rows: &mut [f32], dim: usize, book: &Codebook) {
    rows.par_chunks_mut(ROWS_A_BLOCK * dim).for_each(|rows| {
        let mut nearest = vec![0; rows.len() / dim];
        book.nearest(Points::new(rows, dim, book.columns()), |i, code, _| nearest[i] = code);
        let pairs = rows.chunks_exact_mut(dim).zip(nearest);
        pairs.for_each(|(row, code)| add_scaled(&mut row[book.columns()], -1.0, book.word(code)));
    });
}
