//! Kernels of shared draws beside plain formulas.

use cubecl::client::Client;

use super::*;
use crate::loss::{Candidates, Lists, LossInput};
use crate::random::Draws;
use crate::rows::{Batch, Touched};
use crate::testing::{client, numbers};
use crate::{StaticLaw, Table};

/// Rows are read by fours, and with a bias number by number.
const DIM: usize = 8;
const CLASSES: usize = 11;
const BATCH: usize = 4;
/// Query 1 has no true class; query 3 leaves a class out that has no term.
const TERM_START: [u32; 5] = [0, 2, 2, 3, 4];
const TERM_IDS: [u32; 4] = [1, 7, 4, 2];
const WEIGHTS: [f32; 4] = [1.0, 0.5, 1.0, 1.0];
const EXCLUDED_START: [u32; 5] = [0, 2, 2, 3, 5];
const EXCLUDED: [u32; 5] = [1, 7, 4, 2, 9];

struct Case {
    queries: Vec<f32>,
    rows: Vec<f32>,
    /// Candidates: more than a block of them, many copies, and accidental hits.
    ids: Vec<u32>,
    corrections: Vec<f32>,
    term_corrections: Vec<f32>,
    bias: bool,
    normalized: bool,
    included: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        (0..8u32).map(|bits| {
            let (bias, normalized, included) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
            let queries = numbers(BATCH * DIM, 1).iter().map(|x| 2.0 * x).collect();
            let rows = numbers(CLASSES * (DIM + usize::from(bias)), 2);
            let ids: Vec<u32> = (0..70u32).map(|k| k * k % CLASSES as u32).collect();
            let corrections = numbers(ids.len(), 3);
            let term_corrections = numbers(TERM_IDS.len(), 4);
            Self { queries, rows, ids, corrections, term_corrections, bias, normalized, included }
        })
    }

    fn width(&self) -> usize {
        DIM + usize::from(self.bias)
    }

    fn lists(&self, client: &Client) -> (Lists, Candidates) {
        let lists = lists(client, self.included);
        let edges = Candidates { corrections: Buffer::upload(client, &self.term_corrections), ..lists.edges() };
        (lists, edges)
    }

    /// The losses by their formula, in f64, for other queries and rows.
    fn losses(&self, queries: &[f32], rows: &[f32]) -> [f64; BATCH] {
        let logit = |query: usize, class: u32| {
            let row = &rows[class as usize * self.width()..][..self.width()];
            let norm = row[..DIM].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let pairs = queries[query * DIM..].iter().zip(&row[..DIM]);
            let dot: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            dot / if self.normalized { norm } else { 1.0 } + row.get(DIM).map_or(0.0, |&b| f64::from(b))
        };
        std::array::from_fn(|query| {
            let range = |starts: &[u32]| starts[query] as usize..starts[query + 1] as usize;
            let left_out = &EXCLUDED[range(&EXCLUDED_START)];
            let kept = self.ids.iter().zip(&self.corrections).filter(|(class, _)| !left_out.contains(class));
            let negatives: f64 = kept.map(|(&class, &c)| (logit(query, class) - f64::from(c)).exp()).sum();
            let score = |term: usize| logit(query, TERM_IDS[term]) - f64::from(self.term_corrections[term]);
            let truth: f64 = range(&TERM_START).map(|term| score(term).exp()).sum();
            let term = |term: usize| {
                let sum = negatives + if self.included { truth } else { score(term).exp() };
                f64::from(WEIGHTS[term]) * (sum.ln() - score(term))
            };
            range(&TERM_START).map(term).sum()
        })
    }

    /// Slope of the mean loss by a move of one number.
    fn slope(&self, of: impl Fn(f32) -> [f64; BATCH]) -> f64 {
        let mean = |by: f32| of(by).iter().sum::<f64>() / 3.0;
        (mean(0.01) - mean(-0.01)) / 0.02
    }
}

fn lists(client: &Client, included: bool) -> Lists {
    let input = LossInput {
        term_start: &TERM_START,
        term_ids: &TERM_IDS,
        term_weights: &WEIGHTS,
        excluded_start: &EXCLUDED_START,
        excluded: &EXCLUDED,
        draws: 0,
        included,
    };
    Lists::upload(client, input)
}

/// `a · b`, `[rows, inner] · [inner, columns]`, each element found by a function.
fn product(
    rows: usize,
    inner: usize,
    columns: usize,
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let of = |at: usize| (0..inner).map(|k| a(at / columns, k) * b(k, at % columns)).sum();
    (0..rows * columns).map(of).collect()
}

fn moved(numbers: &[f32], at: usize, by: f32) -> Vec<f32> {
    let mut numbers = numbers.to_vec();
    numbers[at] += by;
    numbers
}

#[test]
fn losses_and_their_gradients_are_those_of_the_formula() {
    let Some(client) = client() else { return };
    for case in Case::all() {
        let ((lists, edges), width, count) = (case.lists(&client), case.width(), case.ids.len());
        let queries = Buffer::upload(&client, &case.queries);
        // Shards of three rows.
        let table = Table::in_shards(&client, &case.rows, width, 3);
        let shared = SharedCandidates {
            ids: Buffer::upload(&client, &case.ids),
            corrections: Buffer::upload(&client, &case.corrections),
        };
        let rows = SharedRows::of(&table, DIM, case.normalized, &shared);
        let dense = rows.rows.download();
        let query = |b: usize, j: usize| if j < DIM { case.queries[b * DIM + j] } else { 1.0 };
        let logits = product(count, width, BATCH, |m, j| dense[m * width + j], |j, b| query(b, j));
        let logits = Buffer::upload(&client, &logits);
        let loss = SharedLoss::of(logits, &queries, &table, case.normalized, &lists, &edges, &shared);

        let want = case.losses(&case.queries, &case.rows);
        let got = loss.terms.nll.download();
        assert!(got.iter().zip(want).all(|(got, want)| (f64::from(*got) - want).abs() < 1e-4), "{got:?} {want:?}");
        let weights = loss.weights.download();
        let by_candidates = product(BATCH, count, DIM, |b, m| weights[m * BATCH + b], |m, j| dense[m * width + j]);
        let by_terms = loss.terms.query_gradients(&table, DIM, &lists, &edges).download();
        for at in 0..BATCH * DIM {
            let want = case.slope(|by| case.losses(&moved(&case.queries, at, by), &case.rows));
            let got = f64::from(by_candidates[at] + by_terms[at]);
            assert!((got - want).abs() < 1e-3, "query {at}: {got} {want}");
        }

        let of_rows = product(count, BATCH, width, |m, b| weights[m * BATCH + b], query);
        let normalized = case.normalized;
        let batch = Batch { queries: &queries, dim: DIM, table: &table, normalized, edges: &edges, loss: &loss.terms };
        let touched = Touched::of_shared(batch, &shared, &rows, Buffer::upload(&client, &of_rows), None);
        let (classes, gradients) = touched.download();
        assert_eq!(classes, [0, 1, 2, 3, 4, 5, 7, 9]);
        for (at, &got) in gradients.iter().enumerate() {
            let place = classes[at / width] as usize * width + at % width;
            let want = case.slope(|by| case.losses(&case.queries, &moved(&case.rows, place, by)));
            assert!((f64::from(got) - want).abs() < 1e-3, "row number {place}: {got} {want}");
        }
    }
}

#[test]
fn shared_draws_follow_the_law_and_true_classes_have_their_expected_counts() {
    let Some(client) = client() else { return };
    let masses = [0.05f32, 0.3, 0.02, 0.13, 0.15, 0.1, 0.05, 0.04, 0.06, 0.02, 0.08];
    let (law, count) = (StaticLaw::upload(&client, &masses), 20_000);
    let draw = |step| law.draw_shared(Draws { seed: 5 << 40, step }, count);
    let ids = draw(3).ids.download();
    assert_eq!(draw(3).ids.download(), ids);
    assert_ne!(draw(4).ids.download(), ids);
    let ln_expected = |class: usize| (count as f32 * masses[class]).ln();
    let corrections = draw(3).corrections.download();
    assert!(ids.iter().zip(corrections).all(|(&class, got)| (got - ln_expected(class as usize)).abs() < 1e-5));
    let mut counts = [0.0f32; CLASSES];
    ids.iter().for_each(|&class| counts[class as usize] += 1.0);
    let expected = masses.map(|q| count as f32 * q);
    let chi: f32 = counts.iter().zip(expected).map(|(count, want)| (count - want).powi(2) / want).sum();
    // Chi-squared with ten degrees of freedom exceeds 29.6 once in a thousand seeds.
    assert!(chi < 29.6, "{chi}: {counts:?}");

    let lists = lists(&client, false);
    let mut edges = lists.edges();
    law.correct_terms(&lists, &mut edges, count);
    let terms = edges.corrections.download();
    assert!(
        terms.iter().zip(TERM_IDS).all(|(got, class)| (got - ln_expected(class as usize)).abs() < 1e-5),
        "{terms:?}"
    );
}
