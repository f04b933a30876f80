//! Weights of rows, and sums of nodes, from the leaves up.

use cubecl::prelude::*;

use super::features::{features_of, raw_of_buffer, raw_of_table};
use super::{FAN_OUT, Tree};
use crate::buffer::{cube_dim, grid};
use crate::rows::Touched;
use crate::segments::Segments;
use crate::table::{inverse_norm, number};
use crate::{Buffer, Table};

/// Largest bias that counts in full, as on the host.
const LARGEST_BIAS: f32 = 40.0;

impl Tree {
    /// Scale and weight of the rows of some classes, in their slots; returns the old ones, `[count]` each.
    pub(super) fn weigh_rows(
        &self,
        table: &Table,
        classes: &Buffer<u32>,
        slots: &Buffer<u32>,
        count: usize,
    ) -> [Buffer<f32>; 2] {
        let client = table.client();
        let old = [Buffer::<f32>::empty(client, count), Buffer::<f32>::empty(client, count)];
        weigh::launch(
            client,
            grid(count),
            cube_dim(),
            table.arg(),
            classes.arg(),
            slots.arg(),
            self.prior.arg(),
            self.scales.arg(),
            self.weights.arg(),
            old[0].arg(),
            old[1].arg(),
            count,
            table.shard_rows(),
            self.map.dim,
            table.width() > self.map.dim,
            self.map.directions,
        );
        old
    }

    /// Sums the first `count[0] <= most` leaves of a list anew, from all their classes.
    pub(super) fn sum_leaves(&self, table: &Table, list: &Buffer<u32>, count: &Buffer<u32>, most: usize) {
        let (client, leaves, width) = (table.client(), &self.levels[0], self.map.width());
        for (number, shard) in leaves.shards().iter().enumerate() {
            let first = number * leaves.shard_rows();
            if let Some(features) = &self.class_features {
                add_features::launch(
                    client,
                    grid(most * width),
                    cube_dim(),
                    features.arg(),
                    list.arg(),
                    count.arg(),
                    self.bounds.arg(),
                    self.weights.arg(),
                    shard.arg(),
                    most,
                    first,
                    leaves.shard_rows(),
                    features.shard_rows(),
                    width,
                );
            } else {
                add_classes::launch(
                    client,
                    grid(most * self.map.columns),
                    cube_dim(),
                    self.map.operands.arg(),
                    table.arg(),
                    list.arg(),
                    count.arg(),
                    self.bounds.arg(),
                    self.places.class_at.arg(),
                    self.scales.arg(),
                    self.weights.arg(),
                    shard.arg(),
                    most,
                    first,
                    leaves.shard_rows(),
                    table.shard_rows(),
                    self.map.columns,
                    self.map.sharpness,
                    self.map.dim,
                    table.width(),
                    self.map.kind as u32,
                );
            }
        }
        self.weigh_leaves(list, count, most);
    }

    /// Weights of the first `count[0] <= most` leaves of a list.
    pub(super) fn weigh_leaves(&self, list: &Buffer<u32>, count: &Buffer<u32>, most: usize) {
        let args = (list.arg(), count.arg(), self.bounds.arg(), self.weights.arg(), self.masses[0].arg());
        add_weights::launch(list.client(), grid(most), cube_dim(), args.0, args.1, args.2, args.3, args.4, most);
    }

    /// Sums of the leaves of touched rows: new minus old, or all classes where most of them moved.
    pub(super) fn exchange(
        &self,
        table: &Table,
        touched: &Touched,
        segments: &Segments,
        [old_scales, old_weights]: &[Buffer<f32>; 2],
        most: usize,
    ) {
        let (client, leaves) = (table.client(), &self.levels[0]);
        for (number, shard) in leaves.shards().iter().enumerate() {
            exchange_classes::launch(
                client,
                grid(most * self.map.columns),
                cube_dim(),
                self.map.operands.arg(),
                table.arg(),
                touched.gradients.arg(),
                touched.classes.arg(),
                touched.slots.arg(),
                segments.keys.arg(),
                segments.starts.arg(),
                segments.count.arg(),
                self.bounds.arg(),
                self.places.class_at.arg(),
                self.scales.arg(),
                self.weights.arg(),
                old_scales.arg(),
                old_weights.arg(),
                shard.arg(),
                most,
                number * leaves.shard_rows(),
                leaves.shard_rows(),
                table.shard_rows(),
                self.map.columns,
                self.map.sharpness,
                self.map.dim,
                table.width(),
                self.map.kind as u32,
            );
        }
        self.weigh_leaves(&segments.keys, &segments.count, most);
    }

    /// Sums of the nodes above the first `count[0] <= most` leaves of a list, level by level; of a level that has no more nodes than the
    /// list, of all.
    pub(super) fn sum_up(&self, list: &Buffer<u32>, count: &Buffer<u32>, most: usize) {
        let (client, width) = (list.client(), self.map.width());
        for level in 1..=self.height() {
            let (below, above) = (&self.levels[level - 1], &self.levels[level]);
            let all = above.rows() <= most;
            let units = most.min(above.rows());
            for (number, shard) in above.shards().iter().enumerate() {
                add_children::launch(
                    client,
                    grid(units * width),
                    cube_dim(),
                    list.arg(),
                    count.arg(),
                    below.arg(),
                    self.masses[level - 1].arg(),
                    shard.arg(),
                    self.masses[level].arg(),
                    units,
                    below.rows(),
                    number * above.shard_rows(),
                    above.shard_rows(),
                    below.shard_rows(),
                    level as u32,
                    width,
                    all,
                );
            }
        }
    }
}

/// Scale and weight of a row a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn weigh(
    shards: Sequence<Box<[f32]>>,
    classes: &[u32],
    slots: &[u32],
    prior: &[f32],
    scales: &mut [f32],
    weights: &mut [f32],
    old_scales: &mut [f32],
    old_weights: &mut [f32],
    count: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] directions: bool,
) {
    if ABSOLUTE_POS < count {
        let class = classes[ABSOLUTE_POS] as usize;
        let slot = slots[ABSOLUTE_POS] as usize;
        let width = comptime!(dim + bias as usize);
        old_scales[ABSOLUTE_POS] = scales[slot];
        old_weights[ABSOLUTE_POS] = weights[slot];
        let mut squares = 0.0f32;
        for column in 0..dim {
            let x = number(&shards, shard_rows, class, column, width);
            squares += x * x;
        }
        scales[slot] = inverse_norm(squares, directions);
        let mut weight = prior[class];
        if comptime!(bias) {
            let b = number(&shards, shard_rows, class, dim, width);
            weight *= b.clamp(-LARGEST_BIAS, LARGEST_BIAS).exp();
        }
        weights[slot] = weight;
    }
}

/// The weight of a leaf a unit.
#[cube(launch)]
fn add_weights(list: &[u32], count: &[u32], bounds: &[u32], weights: &[f32], masses: &mut [f32], most: usize) {
    if ABSOLUTE_POS < most {
        if ABSOLUTE_POS < count[0] as usize {
            let leaf = list[ABSOLUTE_POS] as usize;
            let mut sum = 0.0f32;
            for slot in bounds[leaf] as usize..bounds[leaf + 1] as usize {
                sum += weights[slot];
            }
            masses[leaf] = sum;
        }
    }
}

/// One number of the sum of a leaf a unit, from the features that are kept of its classes.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_features(
    features: Sequence<Box<[f32]>>,
    list: &[u32],
    count: &[u32],
    bounds: &[u32],
    weights: &[f32],
    sums: &mut [f32],
    most: usize,
    first: usize,
    rows: usize,
    shard_rows: usize,
    #[comptime] width: usize,
) {
    let place = ABSOLUTE_POS / width;
    if place < most {
        if place < count[0] as usize {
            let column = ABSOLUTE_POS % width;
            let leaf = list[place] as usize;
            if leaf >= first && leaf < first + rows {
                let mut sum = 0.0f32;
                for slot in bounds[leaf] as usize..bounds[leaf + 1] as usize {
                    sum += weights[slot] * number(&features, shard_rows, slot, column, width);
                }
                sums[(leaf - first) * width + column] = sum;
            }
        }
    }
}

/// What a column adds to a sum: the features of some classes, weighted.
#[derive(CubeType, Clone, Copy)]
struct Added {
    first: f32,
    second: f32,
}

/// A column of the sum of all classes of a leaf.
#[cube]
#[allow(clippy::too_many_arguments)]
fn sum_of_leaf(
    operands: &[f32],
    shards: &Sequence<Box<[f32]>>,
    leaf: usize,
    bounds: &[u32],
    class_at: &[u32],
    scales: &[f32],
    weights: &[f32],
    column: usize,
    columns: usize,
    shard_rows: usize,
    sharpness: f32,
    #[comptime] dim: usize,
    #[comptime] width: usize,
    #[comptime] kind: u32,
) -> Added {
    let mut first = 0.0f32;
    let mut second = 0.0f32;
    for slot in bounds[leaf] as usize..bounds[leaf + 1] as usize {
        let class = class_at[slot] as usize;
        let raw = raw_of_table(operands, column, shards, shard_rows, class, scales[slot], dim, width, kind);
        let pair = features_of(raw.product, raw.squares, column, columns, sharpness, kind);
        first += weights[slot] * pair.first;
        second += weights[slot] * pair.second;
    }
    Added { first, second }
}

/// One column of the sum of a leaf a unit, from the rows of its classes.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_classes(
    operands: &[f32],
    shards: Sequence<Box<[f32]>>,
    list: &[u32],
    count: &[u32],
    bounds: &[u32],
    class_at: &[u32],
    scales: &[f32],
    weights: &[f32],
    sums: &mut [f32],
    most: usize,
    first: usize,
    rows: usize,
    shard_rows: usize,
    columns: usize,
    sharpness: f32,
    #[comptime] dim: usize,
    #[comptime] width: usize,
    #[comptime] kind: u32,
) {
    let place = ABSOLUTE_POS / columns;
    if place < most {
        if place < count[0] as usize {
            let column = ABSOLUTE_POS % columns;
            let leaf = list[place] as usize;
            if leaf >= first && leaf < first + rows {
                let added = sum_of_leaf(
                    operands, &shards, leaf, bounds, class_at, scales, weights, column, columns, shard_rows, sharpness,
                    dim, width, kind,
                );
                let at = (leaf - first) * columns * comptime!(if kind == 2 { 1usize } else { 2usize });
                sums[at + column] = added.first;
                if comptime!(kind != 2) {
                    sums[at + columns + column] = added.second;
                }
            }
        }
    }
}

/// The same from the touched classes of a leaf alone, new minus old, unless most of its classes are touched.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn exchange_classes(
    operands: &[f32],
    shards: Sequence<Box<[f32]>>,
    before: &[f32],
    classes: &[u32],
    slots: &[u32],
    leaf_list: &[u32],
    starts: &[u32],
    leaf_count: &[u32],
    bounds: &[u32],
    class_at: &[u32],
    scales: &[f32],
    weights: &[f32],
    old_scales: &[f32],
    old_weights: &[f32],
    sums: &mut [f32],
    most: usize,
    first: usize,
    rows: usize,
    shard_rows: usize,
    columns: usize,
    sharpness: f32,
    #[comptime] dim: usize,
    #[comptime] width: usize,
    #[comptime] kind: u32,
) {
    let place = ABSOLUTE_POS / columns;
    if place < most {
        if place < leaf_count[0] as usize {
            let column = ABSOLUTE_POS % columns;
            let leaf = leaf_list[place] as usize;
            if leaf >= first && leaf < first + rows {
                let from = starts[place] as usize;
                let to = starts[place + 1] as usize;
                let size = (bounds[leaf + 1] - bounds[leaf]) as usize;
                let at = (leaf - first) * columns * comptime!(if kind == 2 { 1usize } else { 2usize });
                let mut sum = 0.0f32;
                let mut other = 0.0f32;
                if 2 * (to - from) >= size {
                    let added = sum_of_leaf(
                        operands, &shards, leaf, bounds, class_at, scales, weights, column, columns, shard_rows,
                        sharpness, dim, width, kind,
                    );
                    sum += added.first;
                    other += added.second;
                } else {
                    sum += sums[at + column];
                    if comptime!(kind != 2) {
                        other += sums[at + columns + column];
                    }
                    for row in from..to {
                        let class = classes[row] as usize;
                        let slot = slots[row] as usize;
                        let old = raw_of_buffer(operands, column, before, row * width, old_scales[row], dim, kind);
                        let was = features_of(old.product, old.squares, column, columns, sharpness, kind);
                        let new =
                            raw_of_table(operands, column, &shards, shard_rows, class, scales[slot], dim, width, kind);
                        let is = features_of(new.product, new.squares, column, columns, sharpness, kind);
                        sum += weights[slot] * is.first - old_weights[row] * was.first;
                        other += weights[slot] * is.second - old_weights[row] * was.second;
                    }
                }
                sums[at + column] = sum;
                if comptime!(kind != 2) {
                    sums[at + columns + column] = other;
                }
            }
        }
    }
}

/// One number of the sum of a node a unit, from its children; the weight with the first. Of the leaves of a list that have one ancestor the
/// first stands for it.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_children(
    list: &[u32],
    count: &[u32],
    below: Sequence<Box<[f32]>>,
    below_masses: &[f32],
    above: &mut [f32],
    above_masses: &mut [f32],
    units: usize,
    below_rows: usize,
    first: usize,
    rows: usize,
    shard_rows: usize,
    level: u32,
    #[comptime] width: usize,
    #[comptime] all: bool,
) {
    let place = ABSOLUTE_POS / width;
    if place < units {
        let column = ABSOLUTE_POS % width;
        let mut node = place;
        let mut found = true;
        if comptime!(!all) {
            found = place < count[0] as usize;
            if found {
                node = (list[place] >> (2u32 * level)) as usize;
                if place > 0 {
                    found = (list[place - 1] >> (2u32 * level)) as usize != node;
                }
            }
        }
        if found {
            if node >= first && node < first + rows {
                let mut end = (node + 1) * FAN_OUT;
                if end > below_rows {
                    end = below_rows;
                }
                let mut sum = 0.0f32;
                let mut mass = 0.0f32;
                for child in node * FAN_OUT..end {
                    sum += number(&below, shard_rows, child, column, width);
                    if column == 0 {
                        mass += below_masses[child];
                    }
                }
                above[(node - first) * width + column] = sum;
                if column == 0 {
                    above_masses[node] = mass;
                }
            }
        }
    }
}
