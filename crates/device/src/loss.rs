//! The sampled loss: scores of true classes and candidates, their softmax, and the gradient of the queries.

use cubecl::client::Client;
use cubecl::prelude::*;

use crate::buffer::{cube_dim, grid};
use crate::table::{inverse_norm, lane, lanes, list_of, product};
use crate::{Buffer, Table};

/// What each query of a batch is compared with: its true classes, and room for `draws` candidates behind them. An *edge* is a pair of a
/// query and one of these classes.
#[derive(Clone, Debug)]
pub struct Lists {
    /// Queries `B`.
    pub batch: usize,
    /// Candidates of each query that has a true class.
    pub draws: usize,
    /// Pairs in all.
    pub edges: usize,
    /// Queries that have a true class.
    pub counted: usize,
    /// Whether the other true classes of a query compete with each of them.
    pub included: bool,
    pub(crate) edge_start: Buffer<u32>,
    pub(crate) term_start: Buffer<u32>,
    pub(crate) term_ids: Buffer<u32>,
    pub(crate) term_weights: Buffer<f32>,
    pub(crate) excluded_start: Buffer<u32>,
    pub(crate) excluded: Buffer<u32>,
}

/// The lists of a batch on the host. Lists lie one after the other; list `b` ends where list `b + 1` begins.
#[derive(Clone, Copy, Debug)]
pub struct LossInput<'a> {
    /// First term of each query, and the end of the last; `[B + 1]`.
    pub term_start: &'a [u32],
    /// Classes that have a term.
    pub term_ids: &'a [u32],
    /// Weight of each term.
    pub term_weights: &'a [f32],
    /// First class that each query must not draw, and the end; `[B + 1]`. A query that has none draws nothing.
    pub excluded_start: &'a [u32],
    /// These classes.
    pub excluded: &'a [u32],
    /// Candidates of each query that draws.
    pub draws: usize,
    /// Whether other true classes compete.
    pub included: bool,
}

impl Lists {
    /// Copies the lists of a batch.
    pub fn upload(client: &Client, input: LossInput<'_>) -> Self {
        let batch = input.term_start.len() - 1;
        let mut edge_start = vec![0u32];
        let mut counted = 0;
        for query in 0..batch {
            let terms = input.term_start[query + 1] - input.term_start[query];
            let draws = if terms > 0 { input.draws as u32 } else { 0 };
            counted += usize::from(terms > 0);
            edge_start.push(edge_start[query] + terms + draws);
        }
        Self {
            batch,
            draws: input.draws,
            edges: edge_start[batch] as usize,
            counted,
            included: input.included,
            edge_start: Buffer::upload(client, &edge_start),
            term_start: Buffer::upload(client, input.term_start),
            term_ids: Buffer::upload(client, input.term_ids),
            term_weights: Buffer::upload(client, input.term_weights),
            excluded_start: Buffer::upload(client, input.excluded_start),
            excluded: Buffer::upload(client, input.excluded),
        }
    }

    /// The edges, with the true classes in their places and no candidates yet.
    pub fn edges(&self) -> Candidates {
        let client = self.edge_start.client();
        let candidates = Candidates {
            ids: Buffer::empty(client, self.edges),
            corrections: Buffer::empty(client, self.edges),
            queries: Buffer::empty(client, self.edges),
        };
        write_terms::launch(
            client,
            grid(self.edges),
            cube_dim(),
            self.edge_start.arg(),
            self.term_start.arg(),
            self.term_ids.arg(),
            candidates.ids.arg(),
            candidates.corrections.arg(),
            candidates.queries.arg(),
            self.batch,
            self.edges,
        );
        candidates
    }
}

/// The class, the correction and the query of every edge.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// Classes.
    pub ids: Buffer<u32>,
    /// What is subtracted from each logit: `ln(m q)` for candidates, 0 for true classes.
    pub corrections: Buffer<f32>,
    /// Queries.
    pub queries: Buffer<u32>,
}

/// The sampled loss of a batch and what its gradients are made of.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Loss of each query, in nats; 0 for those without a true class.
    pub nll: Buffer<f32>,
    /// `d mean / d logit` of each edge.
    pub weights: Buffer<f32>,
    /// `h · c / |c|` of each edge, or `h · c`: the logit without its bias.
    pub plain: Buffer<f32>,
    /// `1 / |c|` of each edge; 1 for rows that enter as they are.
    pub inverse: Buffer<f32>,
}

impl Loss {
    /// `ln(e^{s_t} + sum_j e^{s_j}) - s_t` of every query, `s` the logit less its correction, the sum over the candidates; with several
    /// true classes the weighted sum of their terms.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits
    /// - table: `[n, d]`, or `[n, d + 1]` with the biases in the last column
    pub fn of(queries: &Buffer<f32>, table: &Table, normalized: bool, lists: &Lists, edges: &Candidates) -> Self {
        let (loss, scores) = Self::score(queries, table, normalized, lists, edges);
        let client = queries.client();
        settle::launch(
            client,
            grid(lists.batch),
            cube_dim(),
            lists.edge_start.arg(),
            lists.term_start.arg(),
            lists.term_weights.arg(),
            scores.arg(),
            loss.weights.arg(),
            loss.nll.arg(),
            lists.batch,
            1.0 / lists.counted as f32,
            lists.included,
        );
        loss
    }

    /// The scores of all edges, and a loss that lacks its values and weights.
    pub(crate) fn score(
        queries: &Buffer<f32>,
        table: &Table,
        normalized: bool,
        lists: &Lists,
        edges: &Candidates,
    ) -> (Self, Buffer<f32>) {
        let (client, dim) = (queries.client(), queries.len() / lists.batch);
        let loss = Self {
            nll: Buffer::empty(client, lists.batch),
            weights: Buffer::empty(client, lists.edges),
            plain: Buffer::empty(client, lists.edges),
            inverse: Buffer::empty(client, lists.edges),
        };
        let scores = Buffer::<f32>::empty(client, lists.edges);
        score_edges::launch(
            client,
            grid(lists.edges),
            cube_dim(),
            lanes(&[dim, table.width()]),
            queries.arg(),
            table.arg(),
            edges.ids.arg(),
            edges.queries.arg(),
            edges.corrections.arg(),
            scores.arg(),
            loss.plain.arg(),
            loss.inverse.arg(),
            lists.edges,
            table.shard_rows(),
            dim,
            table.width() > dim,
            normalized,
        );
        (loss, scores)
    }

    /// Gradient of the mean loss for the queries, `[B, d]`.
    pub fn query_gradients(&self, table: &Table, dim: usize, lists: &Lists, edges: &Candidates) -> Buffer<f32> {
        let client = self.nll.client();
        let gradients = Buffer::empty(client, lists.batch * dim);
        let (lanes, width) = (lanes(&[dim, table.width()]), table.width());
        let len = gradients.len() / lanes;
        gather_gradients::launch(
            client,
            grid(len),
            cube_dim(),
            lanes,
            table.arg(),
            edges.ids.arg(),
            lists.edge_start.arg(),
            self.weights.arg(),
            self.inverse.arg(),
            gradients.arg(),
            len,
            table.shard_rows(),
            dim / lanes,
            width / lanes,
        );
        gradients
    }

    /// Sum of the losses of all queries, in nats, `[1]`.
    pub fn total(&self) -> Buffer<f32> {
        total(&self.nll)
    }
}

/// The sum of some numbers, by runs of `sqrt(len)`.
pub(crate) fn total(values: &Buffer<f32>) -> Buffer<f32> {
    let (client, len) = (values.client(), values.len());
    let run = (len as f64).sqrt().ceil().max(1.0) as usize;
    let runs = len.div_ceil(run);
    let (sums, sum) = (Buffer::<f32>::empty(client, runs), Buffer::empty(client, 1));
    add_runs::launch(client, grid(runs), cube_dim(), values.arg(), sums.arg(), len, run, runs);
    add_runs::launch(client, grid(1), cube_dim(), sums.arg(), sum.arg(), runs, runs, 1);
    sum
}

#[cube(launch)]
fn add_runs(values: &[f32], sums: &mut [f32], len: usize, run: usize, runs: usize) {
    if ABSOLUTE_POS < runs {
        let mut end = (ABSOLUTE_POS + 1) * run;
        if end > len {
            end = len;
        }
        let mut sum = 0.0f32;
        for at in ABSOLUTE_POS * run..end {
            sum += values[at];
        }
        sums[ABSOLUTE_POS] = sum;
    }
}

#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn write_terms(
    edge_start: &[u32],
    term_start: &[u32],
    term_ids: &[u32],
    ids: &mut [u32],
    corrections: &mut [f32],
    queries: &mut [u32],
    batch: usize,
    edges: usize,
) {
    let edge = ABSOLUTE_POS;
    if edge < edges {
        let query = list_of(edge_start, batch, edge as u32);
        queries[edge] = query as u32;
        let place = edge as u32 - edge_start[query];
        let term = term_start[query] + place;
        if term < term_start[query + 1] {
            ids[edge] = term_ids[term as usize];
            corrections[edge] = 0.0f32;
        }
    }
}

/// The score of each edge.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn score_edges<N: Size>(
    queries: &[Vector<f32, N>],
    shards: Sequence<Box<[Vector<f32, N>]>>,
    ids: &[u32],
    edge_queries: &[u32],
    corrections: &[f32],
    scores: &mut [f32],
    plain: &mut [f32],
    inverse: &mut [f32],
    edges: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] normalized: bool,
) {
    let edge = ABSOLUTE_POS;
    if edge < edges {
        let query = edge_queries[edge] as usize;
        let found = product(queries, query, &shards, shard_rows, ids[edge] as usize, dim, bias);
        let scale = inverse_norm(found.squares, normalized);
        plain[edge] = found.dot * scale;
        inverse[edge] = scale;
        scores[edge] = found.dot * scale + found.bias - corrections[edge];
    }
}

/// `ln(e^a + e^b)`.
#[cube]
fn ln_add(a: f32, b: f32) -> f32 {
    let mut high = a;
    let mut low = b;
    if b > a {
        high = b;
        low = a;
    }
    high + (1.0f32 + (low - high).exp()).ln()
}

/// `ln sum e^s` of some scores; -1e30 for none.
#[cube]
pub(crate) fn ln_sum(scores: &[f32], from: usize, to: usize) -> f32 {
    let mut highest = f32::new(-1e30f32);
    for at in from..to {
        if scores[at] > highest {
            highest = scores[at];
        }
    }
    let mut sum = 0.0f32;
    for at in from..to {
        sum += (scores[at] - highest).exp();
    }
    let mut value = f32::new(-1e30f32);
    if sum > 0.0f32 {
        value = highest + sum.ln();
    }
    value
}

/// The loss of a query, and what the gradients of its candidates are made with: that of score `s` is `scale e^{s + factor}`.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Settled {
    pub loss: f32,
    pub factor: f32,
}

/// From the scores of the true classes of a query to their weights, given `ln sum e^s` of its candidates. The true classes are the edges
/// from `first` on, and the terms from `term` on.
#[cube]
#[allow(clippy::too_many_arguments)]
pub(crate) fn settle_terms(
    term_weights: &[f32],
    scores: &[f32],
    weights: &mut [f32],
    first: usize,
    term: usize,
    terms: usize,
    negatives: f32,
    scale: f32,
    #[comptime] included: bool,
) -> Settled {
    let mut loss = 0.0f32;
    let mut factor = f32::new(-1e30f32);
    if comptime!(included) {
        let all = ln_add(ln_sum(scores, first, first + terms), negatives);
        let mut weight_sum = 0.0f32;
        for k in 0..terms {
            weight_sum += term_weights[term + k];
        }
        for k in 0..terms {
            let score = scores[first + k];
            let weight = term_weights[term + k];
            loss += weight * (all - score);
            weights[first + k] = scale * (weight_sum * (score - all).exp() - weight);
        }
        if weight_sum > 0.0f32 {
            factor = weight_sum.ln() - all;
        }
    } else {
        for k in 0..terms {
            let score = scores[first + k];
            let weight = term_weights[term + k];
            let all = ln_add(score, negatives);
            if weight > 0.0f32 {
                loss += weight * (all - score);
                factor = ln_add(factor, weight.ln() - all);
            }
            // e^{s_t - all} - 1 without cancellation.
            weights[first + k] = 0.0f32 - scale * weight * (negatives - all).exp();
        }
    }
    Settled { loss, factor }
}

/// From scores to weights, one query a unit: the true classes of a query come first among its edges.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub(crate) fn settle(
    edge_start: &[u32],
    term_start: &[u32],
    term_weights: &[f32],
    scores: &[f32],
    weights: &mut [f32],
    nll: &mut [f32],
    batch: usize,
    scale: f32,
    #[comptime] included: bool,
) {
    let query = ABSOLUTE_POS;
    if query < batch {
        let first = edge_start[query] as usize;
        let end = edge_start[query + 1] as usize;
        let term = term_start[query] as usize;
        let terms = term_start[query + 1] as usize - term;
        let negatives = ln_sum(scores, first + terms, end);
        let settled = settle_terms(term_weights, scores, weights, first, term, terms, negatives, scale, included);
        for edge in first + terms..end {
            weights[edge] = scale * (scores[edge] + settled.factor).exp();
        }
        nll[query] = settled.loss;
    }
}

/// A few components of one query a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn gather_gradients<N: Size>(
    shards: Sequence<Box<[Vector<f32, N>]>>,
    ids: &[u32],
    edge_start: &[u32],
    weights: &[f32],
    inverse: &[f32],
    gradients: &mut [Vector<f32, N>],
    len: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS < len {
        let query = ABSOLUTE_POS / dim;
        let column = ABSOLUTE_POS % dim;
        let mut sum = Vector::<f32, N>::new(0.0f32);
        for edge in edge_start[query] as usize..edge_start[query + 1] as usize {
            let x = lane(&shards, shard_rows, ids[edge] as usize, column, width);
            sum += Vector::<f32, N>::new(weights[edge] * inverse[edge]) * x;
        }
        gradients[ABSOLUTE_POS] = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Batch, Touched};
    use crate::testing::{client, numbers};

    /// Rows are read by fours, and with a bias number by number.
    const DIM: usize = 8;
    const CLASSES: usize = 11;
    const DRAWS: usize = 4;
    const TERM_START: [u32; 4] = [0, 2, 2, 3];
    const TERM_IDS: [u32; 3] = [1, 7, 4];
    const WEIGHTS: [f32; 3] = [1.0, 0.5, 1.0];
    /// Query 1 has no true class; candidates of queries 0 and 2. Class 4 is a true class of one query and a candidate of another.
    const IDS: [u32; 11] = [1, 7, 4, 4, 10, 0, 4, 10, 2, 2, 10];

    struct Case {
        queries: Vec<f32>,
        rows: Vec<f32>,
        corrections: Vec<f32>,
        bias: bool,
        normalized: bool,
        included: bool,
    }

    impl Case {
        fn all() -> impl Iterator<Item = Self> {
            (0..8u32).map(|bits| {
                let (bias, normalized, included) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
                let mut corrections = numbers(IDS.len(), 3);
                [0, 1, 6].iter().for_each(|&term| corrections[term] = 0.0);
                let rows = numbers(CLASSES * (DIM + usize::from(bias)), 2);
                let queries = numbers(3 * DIM, 1).iter().map(|x| 2.0 * x).collect();
                Self { queries, rows, corrections, bias, normalized, included }
            })
        }

        fn width(&self) -> usize {
            DIM + usize::from(self.bias)
        }

        fn lists(&self, client: &Client) -> (Lists, Candidates) {
            let input = LossInput {
                term_start: &TERM_START,
                term_ids: &TERM_IDS,
                term_weights: &WEIGHTS,
                excluded_start: &TERM_START,
                excluded: &TERM_IDS,
                draws: DRAWS,
                included: self.included,
            };
            let lists = Lists::upload(client, input);
            let edges = Candidates {
                ids: Buffer::upload(client, &IDS),
                corrections: Buffer::upload(client, &self.corrections),
                queries: lists.edges().queries,
            };
            (lists, edges)
        }

        /// The loss by its formula, in f64, for other queries and rows.
        fn losses(&self, queries: &[f32], rows: &[f32]) -> [f64; 3] {
            let score = |query: usize, edge: usize| {
                let row = &rows[IDS[edge] as usize * self.width()..][..self.width()];
                let norm = row[..DIM].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                let pairs = queries[query * DIM..].iter().zip(&row[..DIM]);
                let dot: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                let logit = dot / if self.normalized { norm } else { 1.0 };
                logit + row.get(DIM).map_or(0.0, |&b| f64::from(b)) - f64::from(self.corrections[edge])
            };
            let loss = |query: usize, terms: std::ops::Range<usize>, weights: &[f32]| {
                let negatives: f64 = (terms.end..terms.end + DRAWS).map(|edge| score(query, edge).exp()).sum();
                let truth: f64 = terms.clone().map(|edge| score(query, edge).exp()).sum();
                let term = |(edge, weight): (usize, &f32)| {
                    let sum = negatives + if self.included { truth } else { score(query, edge).exp() };
                    f64::from(*weight) * (sum.ln() - score(query, edge))
                };
                terms.clone().zip(weights).map(term).sum()
            };
            [loss(0, 0..2, &WEIGHTS[..2]), 0.0, loss(2, 6..7, &WEIGHTS[2..])]
        }

        /// Slope of the mean loss by a move of one number.
        fn slope(&self, of: impl Fn(f32) -> [f64; 3]) -> f64 {
            let mean = |by: f32| of(by).iter().sum::<f64>() / 2.0;
            (mean(0.01) - mean(-0.01)) / 0.02
        }
    }

    #[test]
    fn losses_and_their_gradients_are_those_of_the_formula() {
        let Some(client) = client() else { return };
        for case in Case::all() {
            let (lists, edges) = case.lists(&client);
            assert_eq!((lists.edges, lists.counted), (IDS.len(), 2));
            assert_eq!(edges.queries.download(), [0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2]);
            let queries = Buffer::upload(&client, &case.queries);
            // Shards of three rows.
            let table = Table::in_shards(&client, &case.rows, case.width(), 3);
            let loss = Loss::of(&queries, &table, case.normalized, &lists, &edges);
            let want = case.losses(&case.queries, &case.rows);
            let got = loss.nll.download();
            assert!(got.iter().zip(want).all(|(got, want)| (f64::from(*got) - want).abs() < 1e-4), "{got:?} {want:?}");
            assert!((f64::from(loss.total().download()[0]) - want.iter().sum::<f64>()).abs() < 1e-4);

            let moved = |numbers: &[f32], at: usize, by: f32| {
                let mut numbers = numbers.to_vec();
                numbers[at] += by;
                numbers
            };
            let gradient = loss.query_gradients(&table, DIM, &lists, &edges).download();
            for (at, &got) in gradient.iter().enumerate() {
                let want = case.slope(|by| case.losses(&moved(&case.queries, at, by), &case.rows));
                assert!((f64::from(got) - want).abs() < 1e-3, "query {at}: {got} {want}");
            }
            let batch = Batch {
                queries: &queries,
                dim: DIM,
                table: &table,
                normalized: case.normalized,
                edges: &edges,
                loss: &loss,
            };
            let touched = Touched::of(batch, None);
            let (classes, gradients) = touched.download();
            assert_eq!(classes, [0, 1, 2, 4, 7, 10]);
            let norm: f64 = gradients.iter().map(|g| f64::from(*g).powi(2)).sum();
            assert!((f64::from(touched.squared_norm().download()[0]) - norm).abs() < 1e-5);
            for (at, &got) in gradients.iter().enumerate() {
                let place = classes[at / case.width()] as usize * case.width() + at % case.width();
                let want = case.slope(|by| case.losses(&case.queries, &moved(&case.rows, place, by)));
                assert!((f64::from(got) - want).abs() < 1e-3, "row number {place}: {got} {want}");
            }
        }
    }
}
