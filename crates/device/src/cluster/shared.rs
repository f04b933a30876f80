//! One law for a whole batch.

use cubecl::prelude::*;

use super::Cluster;
use super::draw::{BLOCK, add_blocks, choose};
use crate::buffer::{cube_dim, grid};
use crate::loss::{Candidates, Lists};
use crate::random::{Draws, philox, unit};
use crate::shared::{BATCH_PLACE, SharedCandidates};
use crate::table::{inverse_norm, lane, lanes, list_of, product};
use crate::{Buffer, Table};

/// The law that a batch shares, as `rf_sampling::ClusterSampler` has it: a leaf as the mixture of the queries' laws chooses it, then
/// `exp(h̄·c + v·(c - mu)² / 2)` over its classes, up to a constant, with `h̄` and `v` the mean and the variance of the components of those
/// who come there.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Sum of the queries' masses of each leaf, `[L]`.
    masses: Buffer<f32>,
    /// The same of each block of leaves.
    block_masses: Buffer<f32>,
    /// `h̄ - v mu` of each leaf, then `v / 2`: `[L, 2 d]`; without dispersion `h̄`, `[L, d]`.
    operands: Buffer<f32>,
}

impl Cluster {
    /// Mass of each leaf for each query, `[L, B]`; none for queries without a true class, which have no part in the law of the batch.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits
    pub fn shares(&self, queries: &Buffer<f32>, lists: &Lists) -> Buffer<f32> {
        let shares = self.all_masses(queries, lists.batch);
        let units = shares.len();
        let args = (shares.arg(), lists.term_start.arg());
        leave_uncounted::launch(queries.client(), grid(units), cube_dim(), args.0, args.1, lists.batch, units);
        shares
    }

    /// What queries are averaged as: their components and, where there is dispersion, the squares of these.
    pub fn moments(&self) -> usize {
        self.operands.len() / self.leaves
    }

    /// The law that a batch shares.
    ///
    /// # Shapes
    /// - shares: `[L, B]`, of [`shares`](Self::shares)
    /// - sums: `shares · [h, h²]`, `[L, 2 d]`; without dispersion `shares · h`, `[L, d]`
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn mixture(&self, shares: &Buffer<f32>, sums: &Buffer<f32>) -> Mixture {
        let (client, leaves) = (shares.client(), self.leaves);
        assert_eq!(sums.len(), self.operands.len(), "sums of queries for {leaves} leaves");
        let blocks = leaves.div_ceil(BLOCK);
        let mixture = Mixture {
            masses: Buffer::empty(client, leaves),
            block_masses: Buffer::empty(client, blocks),
            operands: Buffer::empty(client, sums.len()),
        };
        let batch = shares.len() / leaves;
        add_queries::launch(client, grid(leaves), cube_dim(), shares.arg(), mixture.masses.arg(), batch, leaves);
        let args = (mixture.masses.arg(), mixture.block_masses.arg());
        add_blocks::launch(client, grid(blocks), cube_dim(), args.0, args.1, 1, leaves, blocks);
        center::launch(
            client,
            grid(leaves * self.dim),
            cube_dim(),
            mixture.masses.arg(),
            sums.arg(),
            self.operands.arg(),
            mixture.operands.arg(),
            leaves,
            self.dim,
            self.diagonal,
        );
        mixture
    }

    /// Draws `count` candidates for a whole batch, with `ln(M q)`. Nothing is excluded: every query leaves out its own classes when it is
    /// scored.
    pub fn draw_shared(&self, law: &Mixture, table: &Table, draws: Draws, count: usize) -> SharedCandidates {
        let client = table.client();
        let drawn = SharedCandidates::empty(client, count);
        let [key_0, key_1] = draws.key();
        draw_mixture::launch(
            client,
            grid(count),
            cube_dim(),
            lanes(&[self.dim, table.width()]),
            law.operands.arg(),
            table.arg(),
            law.masses.arg(),
            law.block_masses.arg(),
            self.bounds.arg(),
            self.places.class_at.arg(),
            drawn.ids.arg(),
            drawn.corrections.arg(),
            count,
            self.leaves,
            law.block_masses.len(),
            table.shard_rows(),
            key_0,
            key_1,
            draws.step as u32,
            self.dim,
            table.width() > self.dim,
            self.diagonal,
            self.normalized,
        );
        drawn
    }

    /// Corrects the true classes too, with `ln(M q)` of `M` shared draws: edges of lists without draws of their own.
    pub fn correct_terms(&self, law: &Mixture, table: &Table, lists: &Lists, edges: &mut Candidates, count: usize) {
        let client = table.client();
        let corrections = Buffer::<f32>::empty(client, lists.edges);
        ln_expected::launch(
            client,
            grid(lists.edges),
            cube_dim(),
            lanes(&[self.dim, table.width()]),
            law.operands.arg(),
            table.arg(),
            law.masses.arg(),
            law.block_masses.arg(),
            self.bounds.arg(),
            self.places.class_at.arg(),
            self.places.slot_of.arg(),
            edges.ids.arg(),
            corrections.arg(),
            lists.edges,
            count as f32,
            self.leaves,
            law.block_masses.len(),
            table.shard_rows(),
            self.dim,
            table.width() > self.dim,
            self.diagonal,
            self.normalized,
        );
        edges.corrections = corrections;
    }
}

#[cube(launch)]
fn leave_uncounted(shares: &mut [f32], term_start: &[u32], batch: usize, len: usize) {
    if ABSOLUTE_POS < len {
        let query = ABSOLUTE_POS % batch;
        if term_start[query] == term_start[query + 1] {
            shares[ABSOLUTE_POS] = 0.0f32;
        }
    }
}

/// The mass of one leaf a unit.
#[cube(launch)]
fn add_queries(shares: &[f32], masses: &mut [f32], batch: usize, leaves: usize) {
    if ABSOLUTE_POS < leaves {
        let mut sum = 0.0f32;
        for query in 0..batch {
            sum += shares[ABSOLUTE_POS * batch + query];
        }
        masses[ABSOLUTE_POS] = sum;
    }
}

/// From sums of queries to the operands of one component of a leaf a unit; zero for a leaf that nobody comes to.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn center(
    masses: &[f32],
    sums: &[f32],
    centroids: &[f32],
    operands: &mut [f32],
    leaves: usize,
    #[comptime] dim: usize,
    #[comptime] diagonal: bool,
) {
    let leaf = ABSOLUTE_POS / dim;
    let column = ABSOLUTE_POS % dim;
    if leaf < leaves {
        let at = leaf * comptime!(dim + if diagonal { dim } else { 0 });
        let mut scale = 0.0f32;
        if masses[leaf] > 0.0f32 {
            scale = 1.0f32 / masses[leaf];
        }
        let mean = sums[at + column] * scale;
        let mut operand = mean;
        if comptime!(diagonal) {
            let mut variance = sums[at + dim + column] * scale - mean * mean;
            if variance < 0.0f32 {
                variance = 0.0f32;
            }
            operand = mean - variance * centroids[column * leaves + leaf];
            operands[at + dim + column] = 0.5f32 * variance;
        }
        operands[at + column] = operand;
    }
}

/// The score of a class of a leaf: `(h̄ - v mu)·c + v·c² / 2`, and its bias.
#[cube]
#[allow(clippy::too_many_arguments)]
fn score<N: Size>(
    operands: &[Vector<f32, N>],
    leaf: usize,
    shards: &Sequence<Box<[Vector<f32, N>]>>,
    shard_rows: usize,
    class: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] diagonal: bool,
    #[comptime] normalized: bool,
) -> f32 {
    let at = leaf * comptime!(1 + diagonal as usize);
    let found = product(operands, at, shards, shard_rows, class, dim, bias);
    let scale = inverse_norm(found.squares, normalized);
    let mut sum = found.dot * scale + found.bias;
    if comptime!(diagonal) {
        let lanes = N::value();
        let reads = comptime!(dim / lanes);
        let mut spread = Vector::<f32, N>::new(0.0f32);
        for column in 0..reads {
            let x = lane(shards, shard_rows, class, column, comptime!((dim + bias as usize) / lanes));
            spread += operands[(at + 1) * reads + column] * x * x;
        }
        sum += spread.vector_sum() * scale * scale;
    }
    sum
}

/// One candidate a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn draw_mixture<N: Size>(
    operands: &[Vector<f32, N>],
    shards: Sequence<Box<[Vector<f32, N>]>>,
    masses: &[f32],
    block_masses: &[f32],
    bounds: &[u32],
    class_at: &[u32],
    ids: &mut [u32],
    corrections: &mut [f32],
    count: usize,
    leaves: usize,
    blocks: usize,
    shard_rows: usize,
    key_0: u32,
    key_1: u32,
    step: u32,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] diagonal: bool,
    #[comptime] normalized: bool,
) {
    if ABSOLUTE_POS < count {
        let draw = ABSOLUTE_POS as u32;
        let words = philox(key_0, key_1, step, 0u32, BATCH_PLACE, draw);
        let block = choose(block_masses, 0, blocks, 1, 0, unit(words.a));
        let mut end = (block.place + 1) * BLOCK;
        if end > leaves {
            end = leaves;
        }
        let leaf = choose(masses, block.place * BLOCK, end, 1, 0, unit(words.b));
        // One pass over the leaf: each class takes the place of the one before with its share of the mass so far.
        let mut highest = f32::new(-1e30f32);
        let mut sum = 0.0f32;
        let mut chosen = 0u32;
        let mut chosen_score = 0.0f32;
        let first = bounds[leaf.place] as usize;
        for slot in first..bounds[leaf.place + 1] as usize {
            let class = class_at[slot];
            let score =
                score(operands, leaf.place, &shards, shard_rows, class as usize, dim, bias, diagonal, normalized);
            if score > highest {
                sum *= (highest - score).exp();
                highest = score;
            }
            let mass = (score - highest).exp();
            sum += mass;
            let fresh = philox(key_0, key_1, step, 1u32 + (slot - first) as u32, BATCH_PLACE, draw);
            if unit(fresh.a) * sum < mass {
                chosen = class;
                chosen_score = score;
            }
        }
        ids[ABSOLUTE_POS] = chosen;
        let inside = chosen_score - highest - sum.ln();
        corrections[ABSOLUTE_POS] = (f32::cast_from(count as u32) * leaf.mass / block.total).ln() + inside;
    }
}

/// `ln(M q)` of one true class a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn ln_expected<N: Size>(
    operands: &[Vector<f32, N>],
    shards: Sequence<Box<[Vector<f32, N>]>>,
    masses: &[f32],
    block_masses: &[f32],
    bounds: &[u32],
    class_at: &[u32],
    slot_of: &[u32],
    ids: &[u32],
    corrections: &mut [f32],
    edges: usize,
    count: f32,
    leaves: usize,
    blocks: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] diagonal: bool,
    #[comptime] normalized: bool,
) {
    if ABSOLUTE_POS < edges {
        let own = slot_of[ids[ABSOLUTE_POS] as usize];
        let leaf = list_of(bounds, leaves, own);
        let mut total = 0.0f32;
        for block in 0..blocks {
            total += block_masses[block];
        }
        let mut highest = f32::new(-1e30f32);
        let mut sum = 0.0f32;
        let mut own_score = 0.0f32;
        for slot in bounds[leaf] as usize..bounds[leaf + 1] as usize {
            let class = class_at[slot] as usize;
            let score = score(operands, leaf, &shards, shard_rows, class, dim, bias, diagonal, normalized);
            if score > highest {
                sum *= (highest - score).exp();
                highest = score;
            }
            sum += (score - highest).exp();
            if slot as u32 == own {
                own_score = score;
            }
        }
        corrections[ABSOLUTE_POS] = (count * masses[leaf] / total).ln() + own_score - highest - sum.ln();
    }
}
