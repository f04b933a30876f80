//! Choosing a leaf by its mass, and a class in it.

use cubecl::prelude::*;

use super::Cluster;
use crate::buffer::{cube_dim, grid};
use crate::draws::{edge_of, is_excluded};
use crate::loss::{Candidates, Lists};
use crate::random::{Draws, philox, unit};
use crate::table::{inverse_norm, lanes, product};
use crate::{Buffer, Table};

/// Leaves that are chosen among at once. A draw chooses a block of leaves, then a leaf: in f32 the running sum over all leaves would lose
/// the small ones.
pub(super) const BLOCK: usize = 64;

impl Cluster {
    /// Draws candidates for every query, without the classes it excludes, with `ln(m q')`.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits
    pub fn draw(&self, queries: &Buffer<f32>, table: &Table, draws: Draws, lists: &Lists, edges: &Candidates) {
        let client = queries.client();
        let masses = self.masses(queries, table, lists);
        let blocks = self.leaves.div_ceil(BLOCK);
        let block_masses = Buffer::<f32>::empty(client, blocks * lists.batch);
        let units = blocks * lists.batch;
        let args = (masses.arg(), block_masses.arg());
        add_blocks::launch(client, grid(units), cube_dim(), args.0, args.1, lists.batch, self.leaves, blocks);
        let pairs = lists.batch * lists.draws;
        let [key_0, key_1] = draws.key();
        draw_cluster::launch(
            client,
            grid(pairs),
            cube_dim(),
            lanes(&[self.dim, table.width()]),
            queries.arg(),
            table.arg(),
            masses.arg(),
            block_masses.arg(),
            self.bounds.arg(),
            self.places.class_at.arg(),
            lists.excluded_start.arg(),
            lists.excluded.arg(),
            lists.edge_start.arg(),
            lists.term_start.arg(),
            edges.ids.arg(),
            edges.corrections.arg(),
            lists.batch,
            lists.draws,
            self.leaves,
            blocks,
            table.shard_rows(),
            key_0,
            key_1,
            draws.step as u32,
            self.dim,
            table.width() > self.dim,
            self.normalized,
        );
    }
}

/// The mass of each block of leaves for each query.
#[cube(launch)]
pub(super) fn add_blocks(masses: &[f32], block_masses: &mut [f32], batch: usize, leaves: usize, blocks: usize) {
    let block = ABSOLUTE_POS / batch;
    let query = ABSOLUTE_POS % batch;
    if block < blocks {
        let mut end = (block + 1) * BLOCK;
        if end > leaves {
            end = leaves;
        }
        let mut sum = 0.0f32;
        for leaf in block * BLOCK..end {
            sum += masses[leaf * batch + query];
        }
        block_masses[block * batch + query] = sum;
    }
}

/// A choice among masses, and what it was made of.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Choice {
    pub place: usize,
    pub mass: f32,
    pub total: f32,
}

/// Chooses among `masses[k * stride + offset]`, `k` from `from` to `to`, at a point of the unit interval; of masses that are zero none.
#[cube]
pub(super) fn choose(masses: &[f32], from: usize, to: usize, stride: usize, offset: usize, point: f32) -> Choice {
    let mut total = 0.0f32;
    for place in from..to {
        total += masses[place * stride + offset];
    }
    let target = point * total;
    let mut sum = 0.0f32;
    let mut chosen = from;
    let mut mass = 0.0f32;
    for place in from..to {
        let next = masses[place * stride + offset];
        // The last positive mass before the target is passed, or the last of all where rounding never passes it.
        if sum <= target && next > 0.0f32 {
            chosen = place;
            mass = next;
        }
        sum += next;
    }
    Choice { place: chosen, mass, total }
}

/// One candidate a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn draw_cluster<N: Size>(
    queries: &[Vector<f32, N>],
    shards: Sequence<Box<[Vector<f32, N>]>>,
    masses: &[f32],
    block_masses: &[f32],
    bounds: &[u32],
    class_at: &[u32],
    excluded_start: &[u32],
    excluded: &[u32],
    edge_start: &[u32],
    term_start: &[u32],
    ids: &mut [u32],
    corrections: &mut [f32],
    batch: usize,
    draws: usize,
    leaves: usize,
    blocks: usize,
    shard_rows: usize,
    key_0: u32,
    key_1: u32,
    step: u32,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] normalized: bool,
) {
    if ABSOLUTE_POS < batch * draws {
        let query = ABSOLUTE_POS / draws;
        let draw = (ABSOLUTE_POS % draws) as u32;
        let edge = edge_of(edge_start, term_start, query, draw);
        if edge != 0xFFFF_FFFFu32 {
            let words = philox(key_0, key_1, step, 0u32, query as u32, draw);
            let block = choose(block_masses, 0, blocks, batch, query, unit(words.a));
            let mut end = (block.place + 1) * BLOCK;
            if end > leaves {
                end = leaves;
            }
            let leaf = choose(masses, block.place * BLOCK, end, batch, query, unit(words.b));
            let from = excluded_start[query] as usize;
            let to = excluded_start[query + 1] as usize;
            // One pass over the leaf: each class takes the place of the one before with its share of the mass so far.
            let mut highest = f32::new(-1e30f32);
            let mut sum = 0.0f32;
            let mut chosen = 0u32;
            let mut chosen_score = 0.0f32;
            let first = bounds[leaf.place] as usize;
            for slot in first..bounds[leaf.place + 1] as usize {
                let class = class_at[slot];
                if !is_excluded(excluded, from, to, class) {
                    let found = product(queries, query, &shards, shard_rows, class as usize, dim, bias);
                    let score = found.dot * inverse_norm(found.squares, normalized) + found.bias;
                    if score > highest {
                        sum *= (highest - score).exp();
                        highest = score;
                    }
                    let mass = (score - highest).exp();
                    sum += mass;
                    let fresh = philox(key_0, key_1, step, 1u32 + (slot - first) as u32, query as u32, draw);
                    if unit(fresh.a) * sum < mass {
                        chosen = class;
                        chosen_score = score;
                    }
                }
            }
            ids[edge as usize] = chosen;
            // A query that excludes every class has no candidate, and one that was not found has no weight.
            let mut correction = 1e30f32;
            if sum > 0.0f32 && leaf.mass > 0.0f32 {
                let inside = chosen_score - highest - sum.ln();
                correction = (f32::cast_from(draws as u32) * leaf.mass / block.total).ln() + inside;
            }
            corrections[edge as usize] = correction;
        }
    }
}
