//! The classes of the largest logits.

use cubecl::client::Client;
use cubecl::prelude::*;

use super::{Chunk, LEFT_OUT, leave_out};
use crate::Buffer;
use crate::buffer::{cube_dim, grid};

/// Logits that are looked at together: if none is large enough, none is looked at alone.
const RUN: usize = 128;

/// The `k` best classes of each query so far, best first, of equal ones the lower id.
#[derive(Clone, Debug)]
pub struct Best {
    batch: usize,
    k: usize,
    /// `[B, k]`.
    ids: Buffer<u32>,
    /// `[B, k]`; places that are free have that of a class left out.
    scores: Buffer<f32>,
    left_out_start: Buffer<u32>,
    left_out: Buffer<u32>,
}

impl Best {
    /// Nothing taken up yet. Classes in `left_out` are never among the best; list `b` begins at `left_out_start[b]` and ends where the
    /// next begins.
    ///
    /// # Panics
    /// If `k` is zero.
    pub fn new(client: &Client, k: usize, left_out_start: &[u32], left_out: &[u32]) -> Self {
        assert!(k > 0, "the best of none");
        let batch = left_out_start.len() - 1;
        Self {
            batch,
            k,
            ids: Buffer::upload(client, &vec![u32::MAX; batch * k]),
            scores: Buffer::upload(client, &vec![LEFT_OUT; batch * k]),
            left_out_start: Buffer::upload(client, left_out_start),
            left_out: Buffer::upload(client, left_out),
        }
    }

    /// Takes up the logits of a chunk, `[B, count]`; those of classes left out are overwritten.
    pub fn add(&self, logits: &Buffer<f32>, chunk: Chunk) {
        let (client, batch, count) = (logits.client(), self.batch, chunk.count);
        leave_out(logits, chunk, &self.left_out_start, &self.left_out);
        let lanes = count.div_ceil(RUN);
        let highest = Buffer::<f32>::empty(client, batch * lanes);
        find_highest::launch(client, grid(batch * lanes), cube_dim(), logits.arg(), highest.arg(), batch, count, lanes);
        keep_best::launch(
            client,
            grid(batch),
            cube_dim(),
            logits.arg(),
            highest.arg(),
            self.ids.arg(),
            self.scores.arg(),
            batch,
            chunk.first,
            count,
            lanes,
            self.k,
        );
    }

    /// Class and logit of the best of each query, best first; fewer than `k` if there are fewer. Waits for the device.
    pub fn download(&self) -> Vec<Vec<(u32, f32)>> {
        let (ids, scores) = (self.ids.download(), self.scores.download());
        let lists = ids.chunks(self.k).zip(scores.chunks(self.k));
        let found = |(ids, scores): (&[u32], &[f32])| {
            let pairs = ids.iter().copied().zip(scores.iter().copied());
            pairs.take_while(|pair| pair.0 != u32::MAX).collect()
        };
        lists.map(found).collect()
    }
}

/// The largest logit of every `lanes`-th class of a query: neighbouring units read neighbouring logits.
#[cube(launch)]
fn find_highest(logits: &[f32], highest: &mut [f32], batch: usize, count: usize, lanes: usize) {
    if ABSOLUTE_POS < batch * lanes {
        let row = ABSOLUTE_POS / lanes * count;
        let mut at = ABSOLUTE_POS % lanes;
        let mut high = f32::new(LEFT_OUT);
        while at < count {
            if logits[row + at] > high {
                high = logits[row + at];
            }
            at += lanes;
        }
        highest[ABSOLUTE_POS] = high;
    }
}

/// Whether a class comes before another.
#[cube]
fn is_before(score: f32, id: u32, other_score: f32, other_id: u32) -> bool {
    score > other_score || (score == other_score && id < other_id)
}

/// One query a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn keep_best(
    logits: &[f32],
    highest: &[f32],
    ids: &mut [u32],
    scores: &mut [f32],
    batch: usize,
    first: usize,
    count: usize,
    lanes: usize,
    k: usize,
) {
    let query = ABSOLUTE_POS;
    if query < batch {
        let last = query * k + k - 1;
        for lane in 0..lanes {
            let high = highest[query * lanes + lane];
            if high > f32::new(LEFT_OUT) && high >= scores[last] {
                let mut at = lane;
                while at < count {
                    let score = logits[query * count + at];
                    let id = (first + at) as u32;
                    if score > f32::new(LEFT_OUT) && is_before(score, id, scores[last], ids[last]) {
                        insert(ids, scores, query * k, last, score, id);
                    }
                    at += lanes;
                }
            }
        }
    }
}

/// Puts a class in its place between `begin` and `last`; the last falls out.
#[cube]
fn insert(ids: &mut [u32], scores: &mut [f32], begin: usize, last: usize, score: f32, id: u32) {
    let mut place = last;
    let mut moves = place > begin;
    while moves {
        if is_before(score, id, scores[place - 1], ids[place - 1]) {
            scores[place] = scores[place - 1];
            ids[place] = ids[place - 1];
            place -= 1;
            moves = place > begin;
        } else {
            moves = false;
        }
    }
    scores[place] = score;
    ids[place] = id;
}
