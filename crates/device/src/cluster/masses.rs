//! What each leaf weighs for each query.

use cubecl::prelude::*;

use super::Cluster;
use crate::buffer::{cube_dim, grid};
use crate::draws::is_excluded;
use crate::loss::Lists;
use crate::table::{inverse_norm, lanes, list_of, product};
use crate::{Buffer, Table};

/// Queries whose products with a leaf one unit computes: what is kept of the leaf is read once for all of them.
const QUERIES: usize = 8;

impl Cluster {
    /// Mass of each leaf for each query, without the excluded classes, `[L, B]`; a query's need not add up to one.
    pub(super) fn masses(&self, queries: &Buffer<f32>, table: &Table, lists: &Lists) -> Buffer<f32> {
        let (client, batch, masses) = (queries.client(), lists.batch, self.all_masses(queries, lists.batch));
        leave_out::launch(
            client,
            grid(lists.excluded.len()),
            cube_dim(),
            lanes(&[self.dim, table.width()]),
            queries.arg(),
            table.arg(),
            masses.arg(),
            self.bounds.arg(),
            self.places.slot_of.arg(),
            self.places.class_at.arg(),
            lists.excluded_start.arg(),
            lists.excluded.arg(),
            lists.excluded.len(),
            batch,
            self.leaves,
            table.shard_rows(),
            self.dim,
            table.width() > self.dim,
            self.normalized,
        );
        masses
    }

    /// Mass of each leaf for each query, `[L, B]`; a query's add up to one.
    pub(super) fn all_masses(&self, queries: &Buffer<f32>, batch: usize) -> Buffer<f32> {
        let client = queries.client();
        let masses = Buffer::empty(client, self.leaves * batch);
        let units = self.leaves * batch.div_ceil(QUERIES);
        multiply::launch(
            client,
            grid(units),
            cube_dim(),
            queries.arg(),
            self.operands.arg(),
            self.ln_weights.arg(),
            masses.arg(),
            batch,
            self.leaves,
            self.dim,
            self.diagonal,
        );
        let args = (self.frequencies.arg(), masses.arg());
        mix::launch(client, grid(batch), cube_dim(), args.0, args.1, batch, self.leaves, self.epsilon);
        masses
    }
}

/// `ln W + h·mu + h'diag(s²)h / 2` of one leaf for a few queries a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn multiply(
    queries: &[f32],
    operands: &[f32],
    ln_weights: &[f32],
    logits: &mut [f32],
    batch: usize,
    leaves: usize,
    #[comptime] dim: usize,
    #[comptime] diagonal: bool,
) {
    let group = ABSOLUTE_POS / leaves;
    let leaf = ABSOLUTE_POS % leaves;
    let first = group * QUERIES;
    if first < batch {
        let mut sums = Array::<f32>::new(QUERIES);
        #[unroll]
        for k in 0..QUERIES {
            sums[k] = ln_weights[leaf];
        }
        for j in 0..dim {
            let mean = operands[j * leaves + leaf];
            let mut spread = 0.0f32;
            if comptime!(diagonal) {
                spread = operands[(dim + j) * leaves + leaf];
            }
            #[unroll]
            for k in 0..QUERIES {
                // The last group may be short of queries; it computes the last one again.
                let mut query = first + k;
                if query >= batch {
                    query = batch - 1;
                }
                let x = queries[query * dim + j];
                sums[k] += x * (mean + x * spread);
            }
        }
        #[unroll]
        for k in 0..QUERIES {
            if first + k < batch {
                logits[leaf * batch + first + k] = sums[k];
            }
        }
    }
}

/// `(1 - epsilon) g / sum g + epsilon u` of all leaves for one query a unit.
#[cube(launch)]
fn mix(frequencies: &[f32], masses: &mut [f32], batch: usize, leaves: usize, epsilon: f32) {
    let query = ABSOLUTE_POS;
    if query < batch {
        let mut highest = f32::new(-1e30f32);
        for leaf in 0..leaves {
            let x = masses[leaf * batch + query];
            if x > highest {
                highest = x;
            }
        }
        let mut total = 0.0f32;
        for leaf in 0..leaves {
            total += (masses[leaf * batch + query] - highest).exp();
        }
        for leaf in 0..leaves {
            let g = (masses[leaf * batch + query] - highest).exp() / total;
            masses[leaf * batch + query] = (1.0f32 - epsilon) * g + epsilon * frequencies[leaf];
        }
    }
}

/// Multiplies the mass of the leaf of each excluded class by the share of its kept classes; one excluded class a unit, the first of its
/// query in that leaf.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn leave_out<N: Size>(
    queries: &[Vector<f32, N>],
    shards: Sequence<Box<[Vector<f32, N>]>>,
    masses: &mut [f32],
    bounds: &[u32],
    slot_of: &[u32],
    class_at: &[u32],
    excluded_start: &[u32],
    excluded: &[u32],
    count: usize,
    batch: usize,
    leaves: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] normalized: bool,
) {
    let at = ABSOLUTE_POS;
    if at < count {
        let query = list_of(excluded_start, batch, at as u32);
        let from = excluded_start[query] as usize;
        let to = excluded_start[query + 1] as usize;
        let leaf = list_of(bounds, leaves, slot_of[excluded[at] as usize]);
        let mut first = true;
        for other in from..at {
            if list_of(bounds, leaves, slot_of[excluded[other] as usize]) == leaf {
                first = false;
            }
        }
        if first {
            let mut highest = f32::new(-1e30f32);
            let mut all = 0.0f32;
            let mut kept = 0.0f32;
            for slot in bounds[leaf] as usize..bounds[leaf + 1] as usize {
                let class = class_at[slot];
                let found = product(queries, query, &shards, shard_rows, class as usize, dim, bias);
                let score = found.dot * inverse_norm(found.squares, normalized) + found.bias;
                if score > highest {
                    let shrink = (highest - score).exp();
                    all *= shrink;
                    kept *= shrink;
                    highest = score;
                }
                let mass = (score - highest).exp();
                all += mass;
                if !is_excluded(excluded, from, to, class) {
                    kept += mass;
                }
            }
            masses[leaf * batch + query] *= kept / all;
        }
    }
}
