//! What the classes that a query excludes leave of the nodes above them.

use cubecl::prelude::*;

use super::masses::{child_mass, mass_of_class};
use super::walk::{Asked, share_of};
use super::{FAN_OUT, Tree};
use crate::Buffer;
use crate::buffer::{cube_dim, grid};
use crate::draws::is_excluded;
use crate::loss::Lists;
use crate::table::{lanes, list_of};

/// For every excluded class the share of its ancestor's mass that is kept, level by level, the leaves first. Shares are sums of what is kept, so
/// that nothing cancels.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    /// Leaf of each excluded class.
    pub leaf_of: Buffer<u32>,
    pub of_level: Vec<Buffer<f32>>,
}

impl Tree {
    /// The shares of a batch, up to the children of the root.
    pub(super) fn shares(&self, asked: &Asked<'_>) -> Shares {
        let (client, entries) = (asked.queries.client(), asked.lists.excluded.len());
        let leaf_of = Buffer::<u32>::empty(client, entries);
        find_ancestors::launch(
            client,
            grid(entries),
            cube_dim(),
            asked.lists.excluded.arg(),
            self.places.slot_of.arg(),
            self.bounds.arg(),
            leaf_of.arg(),
            entries,
            self.leaves(),
        );
        let mut shares = Shares { leaf_of, of_level: Vec::new() };
        if self.height() > 0 {
            shares.of_level.push(self.leaf_shares(asked, &shares.leaf_of));
        }
        for level in 1..self.height() {
            let above = self.node_shares(level, asked, &shares);
            shares.of_level.push(above);
        }
        shares
    }

    fn leaf_shares(&self, asked: &Asked<'_>, leaf_of: &Buffer<u32>) -> Buffer<f32> {
        let Asked { queries, scales, phi, table, lists, .. } = asked;
        let (client, entries) = (queries.client(), lists.excluded.len());
        let shares = Buffer::empty(client, entries);
        let features = self.class_features.as_ref().unwrap_or(table);
        share_leaves::launch(
            client,
            grid(entries),
            cube_dim(),
            lanes(&[self.map.dim, table.width()]),
            self.map.feature_lanes(),
            queries.arg(),
            scales.arg(),
            phi.arg(),
            table.arg(),
            features.arg(),
            self.bounds.arg(),
            self.places.class_at.arg(),
            self.scales.arg(),
            self.weights.arg(),
            lists.excluded_start.arg(),
            lists.excluded.arg(),
            leaf_of.arg(),
            shares.arg(),
            entries,
            lists.batch,
            table.shard_rows(),
            features.shard_rows(),
            self.floor,
            self.map.sharpness,
            self.map.dim,
            table.width(),
            self.map.width(),
            self.law(),
        );
        shares
    }

    /// Shares of the nodes of a level from those of its children.
    fn node_shares(&self, level: usize, asked: &Asked<'_>, shares: &Shares) -> Buffer<f32> {
        let Asked { scales, phi, dense, lists, .. } = asked;
        let Lists { batch, excluded, excluded_start, .. } = lists;
        let (client, entries, sums) = (phi.client(), excluded.len(), &self.levels[level - 1]);
        let above = Buffer::empty(client, entries);
        let dense = dense[level - 1].as_ref();
        share_nodes::launch(
            client,
            grid(entries),
            cube_dim(),
            self.map.feature_lanes(),
            phi.arg(),
            sums.arg(),
            dense.unwrap_or(scales).arg(),
            self.masses[level - 1].arg(),
            excluded_start.arg(),
            shares.leaf_of.arg(),
            shares.of_level[level - 1].arg(),
            above.arg(),
            entries,
            *batch,
            sums.rows(),
            sums.shard_rows(),
            level as u32 - 1,
            self.floor,
            self.map.width(),
            dense.is_some(),
        );
        above
    }
}

#[cube(launch)]
fn find_ancestors(
    excluded: &[u32],
    slot_of: &[u32],
    bounds: &[u32],
    leaf_of: &mut [u32],
    entries: usize,
    leaves: usize,
) {
    if ABSOLUTE_POS < entries {
        leaf_of[ABSOLUTE_POS] = list_of(bounds, leaves, slot_of[excluded[ABSOLUTE_POS] as usize]) as u32;
    }
}

/// One excluded class a unit: the share of its leaf.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn share_leaves<N: Size, M: Size>(
    queries: &[Vector<f32, N>],
    query_scales: &[f32],
    phi: &[Vector<f32, M>],
    rows: Sequence<Box<[Vector<f32, N>]>>,
    features: Sequence<Box<[Vector<f32, M>]>>,
    bounds: &[u32],
    class_at: &[u32],
    scales: &[f32],
    weights: &[f32],
    excluded_start: &[u32],
    excluded: &[u32],
    leaf_of: &[u32],
    shares: &mut [f32],
    entries: usize,
    batch: usize,
    row_shard: usize,
    feature_shard: usize,
    floor: f32,
    sharpness: f32,
    #[comptime] dim: usize,
    #[comptime] row_width: usize,
    #[comptime] width: usize,
    #[comptime] law: u32,
) {
    if ABSOLUTE_POS < entries {
        let query = list_of(excluded_start, batch, ABSOLUTE_POS as u32);
        let from = excluded_start[query] as usize;
        let to = excluded_start[query + 1] as usize;
        let leaf = leaf_of[ABSOLUTE_POS] as usize;
        let mut highest = f32::new(-1e30f32);
        let mut all = 0.0f32;
        let mut kept = 0.0f32;
        let mut all_weights = 0.0f32;
        let mut kept_weights = 0.0f32;
        for slot in bounds[leaf] as usize..bounds[leaf + 1] as usize {
            let class = class_at[slot];
            let mut mass = mass_of_class(
                queries,
                query_scales[query],
                phi,
                &rows,
                &features,
                class as usize,
                slot,
                scales[slot],
                weights[slot],
                query,
                row_shard,
                feature_shard,
                floor,
                sharpness,
                dim,
                row_width,
                width,
                law,
            );
            if comptime!(law == 2 || law == 4) {
                if mass > highest {
                    let shrink = (highest - mass).exp();
                    all *= shrink;
                    kept *= shrink;
                    highest = mass;
                }
                mass = (mass - highest).exp();
            }
            all += mass;
            all_weights += weights[slot];
            if !is_excluded(excluded, from, to, class) {
                kept += mass;
                kept_weights += weights[slot];
            }
        }
        if all <= 0.0f32 {
            all = all_weights;
            kept = kept_weights;
        }
        shares[ABSOLUTE_POS] = kept / all;
    }
}

/// One excluded class a unit: the share of its ancestor on the level above `level`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn share_nodes<N: Size>(
    phi: &[Vector<f32, N>],
    sums: Sequence<Box<[Vector<f32, N>]>>,
    dense: &[f32],
    masses: &[f32],
    excluded_start: &[u32],
    leaf_of: &[u32],
    shares: &[f32],
    above: &mut [f32],
    entries: usize,
    batch: usize,
    count: usize,
    shard_rows: usize,
    level: u32,
    floor: f32,
    #[comptime] width: usize,
    #[comptime] is_dense: bool,
) {
    if ABSOLUTE_POS < entries {
        let query = list_of(excluded_start, batch, ABSOLUTE_POS as u32);
        let from = excluded_start[query] as usize;
        let to = excluded_start[query + 1] as usize;
        let first = (leaf_of[ABSOLUTE_POS] >> (2u32 * level + 2u32)) as usize * FAN_OUT;
        let mut end = first + FAN_OUT;
        if end > count {
            end = count;
        }
        let mut all = 0.0f32;
        let mut kept = 0.0f32;
        let mut all_weights = 0.0f32;
        let mut kept_weights = 0.0f32;
        for child in first..end {
            let share = share_of(leaf_of, shares, from, to, level, child);
            let mass = child_mass(phi, &sums, dense, masses, child, query, batch, shard_rows, floor, width, is_dense);
            all += mass;
            kept += mass * share;
            all_weights += masses[child];
            kept_weights += masses[child] * share;
        }
        if all <= 0.0f32 {
            all = all_weights;
            kept = kept_weights;
        }
        above[ABSOLUTE_POS] = kept / all;
    }
}
