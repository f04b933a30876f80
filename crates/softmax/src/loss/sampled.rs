//! Sampled softmax: `-s_t + ln(sum of exp s)` over a target and its candidates.

use std::ops::Range;

use rayon::prelude::*;
use rf_sampling::{ClassId, add_scaled, dot};

use super::terms::{TrueScores, settle};
use super::{ClassRows, LossValue, resolve};
use crate::OtherLabels;
use crate::candidates::QueryLists;
use crate::labels::Terms;

/// A batch resolved to the distinct rows that it touches.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Distinct classes, ascending: those of terms and candidates.
    pub ids: Vec<ClassId>,
    terms: Terms,
    others: OtherLabels,
    /// For each term, the position of its class in `ids`.
    targets: Vec<u32>,
    /// What is subtracted from each term's logit; empty for nothing.
    target_corrections: Vec<f32>,
    offsets: Vec<usize>,
    /// For each candidate, its position in `ids`.
    positions: Vec<u32>,
    /// What is subtracted from each candidate's logit.
    corrections: Vec<f32>,
}

impl Layout {
    pub fn new(terms: Terms, others: OtherLabels, candidates: QueryLists, target_corrections: Vec<f32>) -> Self {
        let (ids, targets, positions) = resolve(&terms.ids, &candidates.ids);
        let QueryLists { offsets, ln_expected: corrections, .. } = candidates;
        Self { ids, terms, others, targets, target_corrections, offsets, positions, corrections }
    }

    fn candidates(&self, query: usize) -> Range<usize> {
        self.offsets[query]..self.offsets[query + 1]
    }

    fn target_correction(&self, term: usize) -> f32 {
        self.target_corrections.get(term).copied().unwrap_or(0.0)
    }
}

/// Value and, if asked, gradient of the sampled softmax.
///
/// For query `b` with target `t` and candidates `j`: `s_t = o_t - correction_t`, `s_j = o_j - correction_j`, and the loss
/// is `ln(e^{s_t} + sum_j e^{s_j}) - s_t`, with `|o|` for `o` in the absolute softmax. With `correction_j = ln(m q_j)` and none for the target it is the estimator of
/// Bengio & Senécal 2008 that Rawat et al. 2019 (section 2) train with. A query with several true classes has the
/// weighted sum of their terms, all over the same candidates.
///
/// # Shapes
/// - queries: `[B, d]`
/// - rows: `[layout.ids.len(), width]`
pub(crate) fn sampled_softmax(queries: &[f32], rows: ClassRows<'_>, layout: &Layout, gradient: bool) -> LossValue {
    let counted = layout.terms.counted;
    let scored: Vec<Scored> = (0..layout.terms.len())
        .into_par_iter()
        .with_min_len(8)
        .map(|query| score(&queries[query * rows.dim..][..rows.dim], rows, layout, query))
        .collect();
    let nll = scored.iter().map(|scored| scored.nll).collect();
    if !gradient {
        return LossValue { nll, counted, ..LossValue::default() };
    }
    let scale = 1.0 / counted as f32;
    let edges: Vec<Vec<Edge>> = scored.into_iter().map(|scored| scored.edges).collect();
    let mut grad_queries = vec![0.0; queries.len()];
    grad_queries.par_chunks_mut(rows.dim).zip(&edges).for_each(|(gradient, edges)| {
        edges.iter().for_each(|edge| add_scaled(gradient, scale * edge.weight, rows.row(edge.row as usize)));
    });
    LossValue { nll, counted, grad_queries, grad_rows: row_gradients(queries, rows, &edges, scale) }
}

/// `d loss / d logit` of one (query, row) pair.
#[derive(Clone, Copy, Debug)]
struct Edge {
    row: u32,
    weight: f32,
}

struct Scored {
    nll: f32,
    /// The terms first, then the candidates.
    edges: Vec<Edge>,
}

fn score(query: &[f32], rows: ClassRows<'_>, layout: &Layout, place: usize) -> Scored {
    let terms = layout.terms.range(place);
    if terms.is_empty() {
        return Scored { nll: 0.0, edges: Vec::new() };
    }
    let logit = |row: u32| {
        let row = rows.row(row as usize);
        dot(query, &row[..rows.dim]) + if rows.has_bias() { row[rows.dim] } else { 0.0 }
    };
    let range = layout.candidates(place);
    let mut edges = Vec::with_capacity(range.len() + terms.len());
    let mut slopes = Vec::with_capacity(range.len() + terms.len());
    let mut push = |row: u32, correction: f32| {
        let logit = logit(row);
        slopes.push(rows.score.slope(logit));
        edges.push(Edge { row, weight: rows.score.of(logit) - correction });
    };
    terms.clone().for_each(|term| push(layout.targets[term], layout.target_correction(term)));
    let pairs = layout.positions[range.clone()].iter().zip(&layout.corrections[range]);
    pairs.for_each(|(&row, &correction)| push(row, correction));

    let weights = &layout.terms.weights[terms];
    let nll = match layout.others {
        OtherLabels::Excluded if weights.len() > 1 => each_alone(&mut edges, weights),
        _ => all_together(&mut edges, weights),
    };
    edges.iter_mut().zip(slopes).for_each(|(edge, slope)| edge.weight *= slope);
    Scored { nll, edges }
}

/// Turns scores into gradients, for terms that share one sum over terms and candidates, and returns the loss.
fn all_together(edges: &mut [Edge], weights: &[f32]) -> f32 {
    let ln_total = ln_sum(edges);
    let terms = || edges.iter().zip(weights);
    let nll = terms().map(|(edge, weight)| weight * (ln_total - edge.weight)).sum();
    let total_weight: f32 = weights.iter().sum();
    edges.iter_mut().for_each(|edge| edge.weight = total_weight * (edge.weight - ln_total).exp());
    edges.iter_mut().zip(weights).for_each(|(edge, weight)| edge.weight -= weight);
    nll
}

/// The same for terms that are each compared with the candidates alone.
fn each_alone(edges: &mut [Edge], weights: &[f32]) -> f32 {
    let (terms, candidates) = edges.split_at_mut(weights.len());
    let mut scores: Vec<f32> = terms.iter().map(|edge| edge.weight).collect();
    let truth = TrueScores { scores: &mut scores, weights, others: OtherLabels::Excluded };
    let settled = settle(truth, f64::from(ln_sum(candidates)), 1.0);
    terms.iter_mut().zip(scores).for_each(|(edge, gradient)| edge.weight = gradient);
    let gradient = |score: f32| (f64::from(score) + settled.ln_factor).exp() as f32;
    candidates.iter_mut().for_each(|edge| edge.weight = gradient(edge.weight));
    settled.loss as f32
}

/// `ln(sum e^s)` over the scores; `-inf` over none.
fn ln_sum(edges: &[Edge]) -> f32 {
    let max = edges.iter().map(|edge| edge.weight).fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = edges.iter().map(|edge| f64::from(edge.weight - max).exp()).sum();
    total.ln() as f32 + max
}

/// Gradients of the rows: the pairs sorted by row, then each row gathers its queries. Every sum runs in the order of the
/// queries, so the result does not depend on the number of threads.
fn row_gradients(queries: &[f32], rows: ClassRows<'_>, edges: &[Vec<Edge>], scale: f32) -> Vec<f32> {
    let mut ends = vec![0usize; rows.len() + 1];
    edges.iter().flatten().for_each(|edge| ends[edge.row as usize + 1] += 1);
    (0..rows.len()).for_each(|row| ends[row + 1] += ends[row]);
    let mut next = ends.clone();
    let mut by_row = vec![(0u32, 0.0f32); ends[rows.len()]];
    for (query, edges) in edges.iter().enumerate() {
        for edge in edges {
            by_row[next[edge.row as usize]] = (query as u32, scale * edge.weight);
            next[edge.row as usize] += 1;
        }
    }
    let mut gradients = vec![0.0; rows.data.len()];
    gradients.par_chunks_mut(rows.width).enumerate().with_min_len(16).for_each(|(row, gradient)| {
        for &(query, weight) in &by_row[ends[row]..ends[row + 1]] {
            let query = &queries[query as usize * rows.dim..][..rows.dim];
            add_scaled(gradient, weight, query);
            if rows.has_bias() {
                gradient[rows.dim] += weight;
            }
        }
    });
    gradients
}
