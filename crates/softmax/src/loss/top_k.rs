//! The classes of the largest logits, over all classes.

use rayon::prelude::*;
use rf_sampling::{ClassId, Matrix, Threads, matmul};

use super::row::max;
use super::{ClassRows, with_ones};
use crate::Labels;

/// Queries that one task scores together.
const QUERIES: usize = 64;

/// Classes that are scored at a time: with as many queries, half a MiB of logits, which stay in the second-level cache.
const CLASSES: usize = 2048;

/// Logits that are looked at together: if none is large enough, none is looked at alone.
const RUN: usize = 128;

/// A class and its logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// The class.
    pub class: ClassId,
    /// Its logit `tau h·c + b`; its size in the absolute softmax.
    pub score: f32,
}

/// The `k` classes of the largest scores for each query, best first, of equal ones the lower id.
///
/// # Shapes
/// - queries: `[B, d]`
/// - rows: `[n, width]`
pub(crate) fn top_k(queries: &[f32], rows: ClassRows<'_>, k: usize, left_out: Option<&Labels>) -> Vec<Vec<Ranked>> {
    let queries = with_ones(queries, rows);
    let chunks = queries.par_chunks(QUERIES * rows.width).enumerate();
    let ranked: Vec<Vec<Vec<Ranked>>> =
        chunks.map(|(chunk, queries)| of_chunk(queries, rows, k, left_out, chunk * QUERIES)).collect();
    ranked.into_iter().flatten().collect()
}

fn of_chunk(
    queries: &[f32],
    rows: ClassRows<'_>,
    k: usize,
    left_out: Option<&Labels>,
    first_query: usize,
) -> Vec<Vec<Ranked>> {
    let (n, width) = (rows.len(), rows.width);
    let count = queries.len() / width;
    let queries = Matrix::new(queries, count, width);
    let mut best: Vec<Best> =
        (0..count).map(|_| Best { k: k.min(n), ranked: Vec::with_capacity(k.min(n) + 1) }).collect();
    let mut scores = vec![0.0; count * CLASSES];
    for first in (0..n).step_by(CLASSES) {
        let classes = CLASSES.min(n - first);
        let scores = &mut scores[..count * classes];
        let table = Matrix::new(&rows.data[first * width..(first + classes) * width], classes, width);
        matmul(scores, classes, 0.0, queries, table.t(), Threads::One);
        for (place, (best, scores)) in best.iter_mut().zip(scores.chunks_exact_mut(classes)).enumerate() {
            let _ = rows.score.apply(scores);
            let left_out = left_out.map_or(&[][..], |lists| lists.of(first_query + place));
            leave_out(scores, left_out, first);
            best.take(scores, first);
        }
    }
    best.into_iter().map(|best| best.ranked).collect()
}

/// Makes sure that no class of `ids` (ascending) is among the best.
fn leave_out(scores: &mut [f32], ids: &[ClassId], first: usize) {
    let begin = ids.partition_point(|&id| (id as usize) < first);
    let end = ids.partition_point(|&id| (id as usize) < first + scores.len());
    ids[begin..end].iter().for_each(|&id| scores[id as usize - first] = f32::NEG_INFINITY);
}

/// The best classes so far of a query.
struct Best {
    k: usize,
    /// Best first.
    ranked: Vec<Ranked>,
}

impl Best {
    /// Takes up the scores of the classes from `first` on.
    fn take(&mut self, scores: &[f32], first: usize) {
        for (run, scores) in scores.chunks(RUN).enumerate() {
            if max(scores) > self.least() {
                let from = first + run * RUN;
                scores.iter().enumerate().for_each(|(at, &score)| self.offer((from + at) as ClassId, score));
            }
        }
    }

    /// The score that a class must exceed.
    fn least(&self) -> f32 {
        if self.ranked.len() < self.k {
            f32::NEG_INFINITY
        } else {
            self.ranked.last().map_or(f32::INFINITY, |last| last.score)
        }
    }

    fn offer(&mut self, class: ClassId, score: f32) {
        if score > self.least() {
            let at = self.ranked.partition_point(|better| better.score >= score);
            self.ranked.insert(at, Ranked { class, score });
            self.ranked.truncate(self.k);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Score;

    /// Small whole numbers, so that there are many ties and sums are exact.
    fn numbers(len: usize, by: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * by + i / 7) % 11) as f32 - 5.0).collect()
    }

    #[test]
    fn the_best_are_those_of_a_sort_of_all() {
        let (n, d, batch) = (2 * CLASSES + 77, 3, QUERIES + 5);
        for (width, score) in [(d, Score::Plain), (d + 1, Score::Plain), (d + 1, Score::Absolute)] {
            let (data, queries) = (numbers(n * width, 5), numbers(batch * d, 3));
            let rows = ClassRows { data: &data, dim: d, width, score };
            let lists: Vec<Vec<ClassId>> = (0..batch as u32).map(|query| vec![query, 2000 + query, 4100]).collect();
            let labels = Labels::from_lists(lists.iter().map(Vec::as_slice));
            for left_out in [None, Some(&labels)] {
                let found = top_k(&queries, rows, 7, left_out);
                for (query, found) in found.iter().enumerate() {
                    let h = &queries[query * d..][..d];
                    let logit = |row: &[f32]| {
                        let products = h.iter().zip(row).map(|(a, b)| a * b).sum::<f32>();
                        score.of(products + row.get(d).copied().unwrap_or(0.0))
                    };
                    let mut all: Vec<Ranked> =
                        (0..).zip(data.chunks(width)).map(|(class, row)| Ranked { class, score: logit(row) }).collect();
                    all.retain(|ranked| left_out.is_none_or(|lists| !lists.of(query).contains(&ranked.class)));
                    all.sort_by(|a, b| b.score.total_cmp(&a.score));
                    assert_eq!(found, &all[..7]);
                }
            }
        }
    }

    #[test]
    fn there_are_no_more_than_all_classes() {
        let data = [1.0, 3.0, 2.0];
        let rows = ClassRows { data: &data, dim: 1, width: 1, score: Score::Plain };
        let classes: Vec<ClassId> = top_k(&[1.0], rows, 9, None)[0].iter().map(|ranked| ranked.class).collect();
        assert_eq!(classes, [1, 2, 0]);
        assert!(top_k(&[1.0], rows, 0, None)[0].is_empty());
    }
}
