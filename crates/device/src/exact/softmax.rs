//! The softmax over all classes.

use cubecl::prelude::*;

use super::{Chunk, LEFT_OUT, leave_out};
use crate::buffer::{cube_dim, grid};
use crate::loss::{settle, total};
use crate::table::list_of;
use crate::{Buffer, Lists};

/// Most units that share the logits of one query.
const LANES: usize = 256;

/// The loss over all classes of a batch, taken up chunk by chunk; what a query leaves out is no negative of it.
///
/// Its lists have one draw a query: in that place stands the logarithm of the sum over all negatives, and the loss is settled as that of
/// one candidate with that score.
#[derive(Clone, Debug)]
pub struct Softmax {
    lists: Lists,
    /// Scores of the true classes of each query, and behind them `ln(sum e^s)` over the negatives.
    scores: Buffer<f32>,
    /// Largest logit of each query so far.
    highest: Buffer<f32>,
    /// `sum e^{s - highest}` so far.
    sums: Buffer<f32>,
}

/// The loss of each query, and what its gradients are made of.
#[derive(Clone, Debug)]
pub struct Settled {
    softmax: Softmax,
    /// Loss of each query, in nats, `[B]`; 0 for those without a true class.
    pub nll: Buffer<f32>,
    /// `d mean / d logit` of the true classes of each query, and behind them the sum of those of the negatives.
    weights: Buffer<f32>,
}

impl Softmax {
    /// Nothing taken up yet.
    ///
    /// # Panics
    /// If the lists are not for one draw.
    pub fn new(lists: Lists) -> Self {
        assert_eq!(lists.draws, 1, "the sum over the negatives is one draw");
        let client = lists.edge_start.client();
        let (batch, edges) = (lists.batch, lists.edges);
        let scores = Buffer::empty(client, edges);
        let highest = Buffer::upload(client, &vec![LEFT_OUT; batch]);
        let sums = Buffer::upload(client, &vec![0.0; batch]);
        Self { lists, scores, highest, sums }
    }

    /// Takes up the logits of a chunk, `[B, count]`; those of excluded classes are overwritten.
    pub fn add(&self, logits: &Buffer<f32>, chunk: Chunk) {
        let Lists { batch, edge_start, term_start, term_ids, excluded_start, excluded, .. } = &self.lists;
        let (client, count, terms) = (logits.client(), chunk.count, term_ids.len());
        take_terms::launch(
            client,
            grid(terms),
            cube_dim(),
            logits.arg(),
            edge_start.arg(),
            term_start.arg(),
            term_ids.arg(),
            self.scores.arg(),
            *batch,
            chunk.first,
            count,
            terms,
        );
        leave_out(logits, chunk, excluded_start, excluded);
        let lanes = count.min(LANES);
        let (highest, sums) =
            (Buffer::<f32>::empty(client, batch * lanes), Buffer::<f32>::empty(client, batch * lanes));
        let found = (highest.arg(), sums.arg());
        add_lanes::launch(
            client,
            grid(batch * lanes),
            cube_dim(),
            logits.arg(),
            found.0,
            found.1,
            *batch,
            count,
            lanes,
        );
        let so_far = (self.highest.arg(), self.sums.arg());
        let found = (highest.arg(), sums.arg());
        merge_lanes::launch(client, grid(*batch), cube_dim(), found.0, found.1, so_far.0, so_far.1, *batch, lanes);
    }

    /// The loss, all chunks being taken up: `ln(e^{s_t} + sum_j e^{s_j}) - s_t` over the negatives `j`; with several true classes the
    /// weighted sum of their terms.
    pub fn settle(self) -> Settled {
        let Lists { batch, counted, included, edge_start, term_start, term_weights, .. } = &self.lists;
        let client = self.scores.client().clone();
        let (nll, weights) = (Buffer::empty(&client, *batch), Buffer::empty(&client, self.lists.edges));
        write_sums::launch(
            &client,
            grid(*batch),
            cube_dim(),
            self.highest.arg(),
            self.sums.arg(),
            edge_start.arg(),
            self.scores.arg(),
            *batch,
        );
        settle::launch(
            &client,
            grid(*batch),
            cube_dim(),
            edge_start.arg(),
            term_start.arg(),
            term_weights.arg(),
            self.scores.arg(),
            weights.arg(),
            nll.arg(),
            *batch,
            1.0 / (*counted).max(1) as f32,
            *included,
        );
        Settled { softmax: self, nll, weights }
    }
}

impl Settled {
    /// Sum of the losses of all queries, in nats, `[1]`.
    pub fn total(&self) -> Buffer<f32> {
        total(&self.nll)
    }

    /// Turns the logits of a chunk, computed anew, into `d mean / d logit`.
    pub fn weigh(&self, logits: &Buffer<f32>, chunk: Chunk) {
        let Lists { batch, edge_start, term_start, term_ids, excluded_start, excluded, .. } = &self.softmax.lists;
        let (client, terms) = (logits.client(), term_ids.len());
        leave_out(logits, chunk, excluded_start, excluded);
        weigh_negatives::launch(
            client,
            grid(batch * chunk.count),
            cube_dim(),
            logits.arg(),
            edge_start.arg(),
            self.softmax.scores.arg(),
            self.weights.arg(),
            *batch,
            chunk.count,
        );
        write_terms::launch(
            client,
            grid(terms),
            cube_dim(),
            logits.arg(),
            edge_start.arg(),
            term_start.arg(),
            term_ids.arg(),
            self.weights.arg(),
            *batch,
            chunk.first,
            chunk.count,
            terms,
        );
    }
}

/// The scores of true classes that are in the chunk, one a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn take_terms(
    logits: &[f32],
    edge_start: &[u32],
    term_start: &[u32],
    term_ids: &[u32],
    scores: &mut [f32],
    batch: usize,
    first: usize,
    count: usize,
    terms: usize,
) {
    let term = ABSOLUTE_POS;
    if term < terms {
        let class = term_ids[term] as usize;
        if class >= first && class < first + count {
            let query = list_of(term_start, batch, term as u32);
            let edge = edge_start[query] as usize + term - term_start[query] as usize;
            scores[edge] = logits[query * count + class - first];
        }
    }
}

/// The reverse: puts the weights of true classes where their logits were.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn write_terms(
    logits: &mut [f32],
    edge_start: &[u32],
    term_start: &[u32],
    term_ids: &[u32],
    weights: &[f32],
    batch: usize,
    first: usize,
    count: usize,
    terms: usize,
) {
    let term = ABSOLUTE_POS;
    if term < terms {
        let class = term_ids[term] as usize;
        if class >= first && class < first + count {
            let query = list_of(term_start, batch, term as u32);
            let edge = edge_start[query] as usize + term - term_start[query] as usize;
            logits[query * count + class - first] = weights[edge];
        }
    }
}

/// Largest logit, and the sum of exponentials below it, of every `lanes`-th class of a query: neighbouring units read neighbouring logits.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_lanes(logits: &[f32], highest: &mut [f32], sums: &mut [f32], batch: usize, count: usize, lanes: usize) {
    if ABSOLUTE_POS < batch * lanes {
        let row = ABSOLUTE_POS / lanes * count;
        let lane = ABSOLUTE_POS % lanes;
        let mut high = f32::new(LEFT_OUT);
        let mut at = lane;
        while at < count {
            if logits[row + at] > high {
                high = logits[row + at];
            }
            at += lanes;
        }
        let mut sum = 0.0f32;
        at = lane;
        while at < count {
            sum += (logits[row + at] - high).exp();
            at += lanes;
        }
        highest[ABSOLUTE_POS] = high;
        sums[ABSOLUTE_POS] = sum;
    }
}

/// Adds the lanes of a query to what was before, one query a unit.
#[cube(launch)]
fn merge_lanes(
    lane_highest: &[f32],
    lane_sums: &[f32],
    highest: &mut [f32],
    sums: &mut [f32],
    batch: usize,
    lanes: usize,
) {
    if ABSOLUTE_POS < batch {
        let before = highest[ABSOLUTE_POS];
        let from = ABSOLUTE_POS * lanes;
        let mut high = before;
        for lane in from..from + lanes {
            if lane_highest[lane] > high {
                high = lane_highest[lane];
            }
        }
        let mut sum = sums[ABSOLUTE_POS] * (before - high).exp();
        for lane in from..from + lanes {
            sum += lane_sums[lane] * (lane_highest[lane] - high).exp();
        }
        highest[ABSOLUTE_POS] = high;
        sums[ABSOLUTE_POS] = sum;
    }
}

/// `ln(sum e^s)` of the negatives of a query to the last of its places; -1e30 for none.
#[cube(launch)]
fn write_sums(highest: &[f32], sums: &[f32], edge_start: &[u32], scores: &mut [f32], batch: usize) {
    if ABSOLUTE_POS < batch {
        let end = edge_start[ABSOLUTE_POS + 1];
        if end > edge_start[ABSOLUTE_POS] {
            let mut value = f32::new(-1e30f32);
            if highest[ABSOLUTE_POS] > value {
                value = highest[ABSOLUTE_POS] + sums[ABSOLUTE_POS].ln();
            }
            scores[end as usize - 1] = value;
        }
    }
}

/// One logit a unit.
#[cube(launch)]
fn weigh_negatives(
    logits: &mut [f32],
    edge_start: &[u32],
    scores: &[f32],
    weights: &[f32],
    batch: usize,
    count: usize,
) {
    if ABSOLUTE_POS < batch * count {
        let query = ABSOLUTE_POS / count;
        let end = edge_start[query + 1];
        let mut weight = 0.0f32;
        if end > edge_start[query] {
            let last = end as usize - 1;
            weight = weights[last] * (logits[ABSOLUTE_POS] - scores[last]).exp();
        }
        logits[ABSOLUTE_POS] = weight;
    }
}
