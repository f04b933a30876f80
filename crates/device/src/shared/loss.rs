//! The softmax of every query over its true classes and the candidates of the batch.

use cubecl::prelude::*;

use super::SharedCandidates;
use crate::buffer::{cube_dim, grid};
use crate::draws::is_excluded;
use crate::loss::{Candidates, Lists, Loss, ln_sum, settle_terms};
use crate::{Buffer, Table};

/// Candidates whose sum one unit computes.
const BLOCK: usize = 64;

/// The sampled loss of a batch that shares its candidates, and what its gradients are made of.
#[derive(Clone, Debug)]
pub struct SharedLoss {
    /// Losses of the queries, and the weights of the true classes.
    pub terms: Loss,
    /// `d mean / d logit` of each candidate for each query, `[M, B]`.
    pub weights: Buffer<f32>,
}

impl SharedLoss {
    /// The loss as [`Loss::of`] has it. Every query leaves out the candidates that its lists exclude.
    ///
    /// # Shapes
    /// - logits: `[M, B]`; the weights take their place
    /// - queries: `[B, d]`, as they enter the logits
    /// - table: `[n, d]`, or `[n, d + 1]` with the biases in the last column
    ///
    /// # Panics
    /// If the logits are not one for each candidate and query.
    pub fn of(
        logits: Buffer<f32>,
        queries: &Buffer<f32>,
        table: &Table,
        normalized: bool,
        lists: &Lists,
        edges: &Candidates,
        shared: &SharedCandidates,
    ) -> Self {
        let (client, count, batch) = (queries.client(), shared.len(), lists.batch);
        assert_eq!(logits.len(), count * batch, "logits of {count} candidates for {batch} queries");
        let (terms, scores) = Loss::score(queries, table, normalized, lists, edges);
        let blocks = count.div_ceil(BLOCK);
        let (sums, factors) = (Buffer::<f32>::empty(client, batch * blocks), Buffer::<f32>::empty(client, batch));
        sum_blocks::launch(
            client,
            grid(batch * blocks),
            cube_dim(),
            logits.arg(),
            shared.ids.arg(),
            shared.corrections.arg(),
            lists.excluded_start.arg(),
            lists.excluded.arg(),
            sums.arg(),
            batch,
            count,
            blocks,
        );
        let scale = 1.0 / lists.counted as f32;
        settle::launch(
            client,
            grid(batch),
            cube_dim(),
            lists.term_start.arg(),
            lists.term_weights.arg(),
            scores.arg(),
            sums.arg(),
            terms.weights.arg(),
            terms.nll.arg(),
            factors.arg(),
            batch,
            blocks,
            scale,
            lists.included,
        );
        let args = (logits.arg(), factors.arg());
        weigh::launch(client, grid(count * batch), cube_dim(), args.0, args.1, batch, count * batch, scale);
        Self { terms, weights: logits }
    }
}

/// Turns logits into scores and sums `e^s` over a block of candidates for one query a unit: `sums[query][block]`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn sum_blocks(
    logits: &mut [f32],
    ids: &[u32],
    corrections: &[f32],
    excluded_start: &[u32],
    excluded: &[u32],
    sums: &mut [f32],
    batch: usize,
    count: usize,
    blocks: usize,
) {
    // Neighbours read one row: the logits of a candidate lie side by side.
    let block = ABSOLUTE_POS / batch;
    let query = ABSOLUTE_POS % batch;
    if block < blocks {
        let from = excluded_start[query] as usize;
        let to = excluded_start[query + 1] as usize;
        let mut end = (block + 1) * BLOCK;
        if end > count {
            end = count;
        }
        let mut highest = f32::new(-1e30f32);
        for at in block * BLOCK..end {
            let mut score = logits[at * batch + query] - corrections[at];
            if is_excluded(excluded, from, to, ids[at]) {
                score = f32::new(-1e30f32);
            }
            logits[at * batch + query] = score;
            if score > highest {
                highest = score;
            }
        }
        let mut sum = 0.0f32;
        for at in block * BLOCK..end {
            sum += (logits[at * batch + query] - highest).exp();
        }
        sums[query * blocks + block] = highest + sum.ln();
    }
}

/// From the scores of the true classes and the sums over candidates to losses and weights, one query a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn settle(
    term_start: &[u32],
    term_weights: &[f32],
    scores: &[f32],
    sums: &[f32],
    weights: &mut [f32],
    nll: &mut [f32],
    factors: &mut [f32],
    batch: usize,
    blocks: usize,
    scale: f32,
    #[comptime] included: bool,
) {
    let query = ABSOLUTE_POS;
    if query < batch {
        // All edges are terms.
        let first = term_start[query] as usize;
        let terms = term_start[query + 1] as usize - first;
        let negatives = ln_sum(sums, query * blocks, (query + 1) * blocks);
        let settled = settle_terms(term_weights, scores, weights, first, first, terms, negatives, scale, included);
        let mut factor = f32::new(-1e30f32);
        if terms > 0 {
            factor = settled.factor;
        }
        nll[query] = settled.loss;
        factors[query] = factor;
    }
}

/// From a score to its weight.
#[cube(launch)]
fn weigh(scores: &mut [f32], factors: &[f32], batch: usize, len: usize, scale: f32) {
    if ABSOLUTE_POS < len {
        scores[ABSOLUTE_POS] = scale * (scores[ABSOLUTE_POS] + factors[ABSOLUTE_POS % batch]).exp();
    }
}
