//! Sampled softmax over candidates that a batch shares: dense matrix products.

use rayon::prelude::*;
use rf_sampling::{ClassId, Matrix, Threads, add_scaled, dot, matmul};

use super::row::subtract_each;
use super::terms::{TrueScores, terms_loss};
use super::{ClassRows, LossValue, WORKSPACE, resolve, with_ones, without_ones};
use crate::OtherLabels;
use crate::candidates::SharedList;
use crate::labels::Terms;

/// Logits begin on cache lines: rows of this many numbers, or multiples.
const LINE: usize = 16;

/// A batch with shared candidates, resolved to the distinct rows that it touches.
#[derive(Clone, Debug)]
pub(crate) struct SharedLayout {
    /// Distinct classes, ascending: those of terms and candidates.
    pub ids: Vec<ClassId>,
    terms: Terms,
    others: OtherLabels,
    /// For each term, the position of its class in `ids`.
    targets: Vec<u32>,
    /// What is subtracted from each term's logit; empty for nothing.
    target_corrections: Vec<f32>,
    /// Positions of the distinct candidates in `ids`, ascending.
    candidates: Vec<u32>,
    /// What is subtracted from each candidate's logit.
    corrections: Vec<f32>,
    /// For each query, the places of the candidates that it leaves out.
    left_out: Vec<Vec<u32>>,
}

impl SharedLayout {
    pub fn new(terms: Terms, others: OtherLabels, list: &SharedList, target_corrections: Vec<f32>) -> Self {
        let (classes, corrections) = distinct(list);
        let (ids, targets, candidates) = resolve(&terms.ids, &classes);
        let place = |id: &ClassId| classes.binary_search(id).ok().map(|at| at as u32);
        let left_out = (0..terms.len()).map(|query| list.left_out(query).iter().filter_map(place).collect()).collect();
        Self { ids, terms, others, targets, target_corrections, candidates, corrections, left_out }
    }

    /// The rows of the candidates, `[M', width]`: a copy, since products need them side by side.
    fn candidate_rows(&self, rows: ClassRows<'_>) -> Vec<f32> {
        let mut gathered = vec![0.0; self.candidates.len() * rows.width];
        let pairs = gathered.par_chunks_mut(rows.width).zip(&self.candidates);
        pairs.with_min_len(64).for_each(|(to, &at)| to.copy_from_slice(rows.row(at as usize)));
        gathered
    }
}

/// The distinct candidates, ascending, and their corrections. A class that is named more than once has the sum of the
/// weights `e^{-correction}`.
fn distinct(list: &SharedList) -> (Vec<ClassId>, Vec<f32>) {
    let mut pairs: Vec<(ClassId, f32)> = list.ids.iter().copied().zip(list.ln_expected.iter().copied()).collect();
    pairs.sort_by_key(|pair| pair.0);
    let merged = pairs.chunk_by(|a, b| a.0 == b.0).map(|copies| {
        let least = copies.iter().map(|copy| copy.1).fold(f32::INFINITY, f32::min);
        let weight: f32 = copies.iter().map(|copy| (least - copy.1).exp()).sum();
        (copies[0].0, least - weight.ln())
    });
    merged.unzip()
}

/// Value and, if asked, gradient of the sampled softmax, as [`sampled_softmax`](super::sampled_softmax) has it, for
/// candidates that all queries share.
///
/// With `M'` distinct candidates the logits are one product `[B, d] · [d, M']`, and the gradients of queries and rows one
/// each of the same size: `6 B M' d` operations. Targets cost O(B d) beside them. Queries go in blocks whose logits fill
/// at most 256 MiB (or one query's, if those are more). Sums over queries run in their order, whatever the number of
/// threads.
///
/// # Shapes
/// - queries: `[B, d]`
/// - rows: `[layout.ids.len(), width]`
pub(crate) fn shared_softmax(queries: &[f32], rows: ClassRows<'_>, layout: &SharedLayout, gradient: bool) -> LossValue {
    let (batch, count, width) = (layout.terms.len(), layout.candidates.len(), rows.width);
    let counted = layout.terms.counted;
    let extended = with_ones(queries, rows);
    let pass = Pass { queries: &extended, rows, layout, scale: 1.0 / counted as f32 };
    let candidates = layout.candidate_rows(rows);
    let table = Matrix::new(&candidates, count, width);
    let stride = count.max(1).next_multiple_of(LINE);
    let block = (WORKSPACE / 4 / stride).clamp(1, batch.max(1));
    let mut logits = vec![0.0; block * stride];
    let (mut nll, mut weights) = (Vec::with_capacity(batch), Vec::with_capacity(layout.targets.len()));
    let mut grad_queries = vec![0.0; if gradient { extended.len() } else { 0 }];
    let mut grad_candidates = vec![0.0; if gradient { candidates.len() } else { 0 }];
    for first in (0..batch).step_by(block) {
        let size = block.min(batch - first);
        let queries = Matrix::new(&extended[first * width..(first + size) * width], size, width);
        let logits = &mut logits[..size * stride];
        matmul(logits, stride, 0.0, queries, table.t(), Threads::Pool);
        let rows = logits.par_chunks_mut(stride).enumerate();
        let scored: Vec<(f32, Vec<f32>)> = rows.map(|(row, logits)| pass.score(first + row, logits)).collect();
        for (loss, gradients) in scored {
            nll.push(loss);
            weights.extend(gradients);
        }
        if gradient {
            let probabilities = Matrix::with_stride(logits, size, count, stride);
            let into = &mut grad_queries[first * width..(first + size) * width];
            matmul(into, width, 0.0, probabilities, table, Threads::Pool);
            let beta = if first == 0 { 0.0 } else { 1.0 };
            matmul(&mut grad_candidates, width, beta, probabilities.t(), queries, Threads::Pool);
        }
    }
    if !gradient {
        return LossValue { nll, counted, ..LossValue::default() };
    }
    pass.add_targets_to_queries(&weights, &mut grad_queries);
    let grad_rows = pass.row_gradients(&weights, &grad_candidates);
    LossValue { nll, counted, grad_queries: without_ones(grad_queries, rows), grad_rows }
}

/// What all queries of a batch are scored with.
struct Pass<'a> {
    /// `[B, width]`, with ones if rows have a bias.
    queries: &'a [f32],
    rows: ClassRows<'a>,
    layout: &'a SharedLayout,
    /// One over the number of queries with a target.
    scale: f32,
}

impl<'a> Pass<'a> {
    fn query(&self, query: usize) -> &'a [f32] {
        &self.queries[query * self.rows.width..][..self.rows.width]
    }

    fn target(&self, term: usize) -> &'a [f32] {
        self.rows.row(self.layout.targets[term] as usize)
    }

    /// Turns the logits of a query's candidates into the gradient of its loss. Returns the loss and the gradients of the
    /// logits of its terms.
    fn score(&self, query: usize, logits: &mut [f32]) -> (f32, Vec<f32>) {
        let SharedLayout { terms, others, candidates, corrections, target_corrections, left_out, .. } = self.layout;
        let range = terms.range(query);
        if range.is_empty() {
            logits.fill(0.0);
            return (0.0, Vec::new());
        }
        let logits = &mut logits[..candidates.len()];
        let slopes = self.rows.score.apply(logits);
        subtract_each(logits, corrections);
        left_out[query].iter().for_each(|&at| logits[at as usize] = f32::NEG_INFINITY);
        let mut own: Vec<f32> = range.clone().map(|term| dot(self.query(query), self.target(term))).collect();
        let own_slopes = self.rows.score.apply(&mut own);
        if !target_corrections.is_empty() {
            subtract_each(&mut own, &target_corrections[range.clone()]);
        }
        let truth = TrueScores { scores: &mut own, weights: &terms.weights[range], others: *others };
        let nll = terms_loss(logits, truth, self.scale);
        slopes.apply(logits);
        own_slopes.apply(&mut own);
        (nll, own)
    }

    fn add_targets_to_queries(&self, weights: &[f32], gradients: &mut [f32]) {
        gradients.par_chunks_mut(self.rows.width).enumerate().for_each(|(query, gradient)| {
            let terms = self.layout.terms.range(query);
            terms.for_each(|term| add_scaled(gradient, weights[term], self.target(term)));
        });
    }

    /// Gradients of all touched rows: those of the candidates, and of the terms in the order of the queries.
    fn row_gradients(&self, weights: &[f32], candidates: &[f32]) -> Vec<f32> {
        let width = self.rows.width;
        let mut gradients = vec![0.0; self.rows.data.len()];
        for (&at, gradient) in self.layout.candidates.iter().zip(candidates.chunks_exact(width)) {
            gradients[at as usize * width..][..width].copy_from_slice(gradient);
        }
        for query in 0..self.layout.terms.len() {
            for term in self.layout.terms.range(query) {
                let row = &mut gradients[self.layout.targets[term] as usize * width..][..width];
                add_scaled(row, weights[term], self.query(query));
            }
        }
        gradients
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Labels, Reduction};

    fn list(ids: &[ClassId], ln_expected: &[f32], left_out: Option<Labels>) -> SharedList {
        SharedList { batch: 3, ids: ids.to_vec(), ln_expected: ln_expected.to_vec(), left_out }
    }

    #[test]
    fn copies_of_a_candidate_add_their_weights() {
        let (classes, corrections) = distinct(&list(&[7, 2, 7], &[0.5, -1.0, 2.0], None));
        assert_eq!(classes, [2, 7]);
        let want = [-1.0, -((-0.5f32).exp() + (-2.0f32).exp()).ln()];
        assert!(corrections.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-6), "{corrections:?}");
    }

    #[test]
    fn a_left_out_class_that_is_no_candidate_takes_nothing_away() {
        let labels = Labels::from_lists([&[4, 9][..], &[5], &[]]);
        let list = list(&[4, 9, 6], &[0.0; 3], Some(labels.clone()));
        let terms = labels.terms(Reduction::PickAll, OtherLabels::Excluded, 0, 0);
        let layout = SharedLayout::new(terms, OtherLabels::Excluded, &list, Vec::new());
        assert_eq!(layout.left_out, [vec![0, 2], vec![], vec![]]);
        assert_eq!(layout.ids, [4, 5, 6, 9]);
        assert_eq!((layout.candidates, layout.targets), (vec![0, 2, 3], vec![0, 3, 1]));
    }
}
