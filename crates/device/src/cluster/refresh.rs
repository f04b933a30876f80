//! The sums of the leaves after a step.

use cubecl::prelude::*;

use super::Cluster;
use crate::buffer::{cube_dim, grid};
use crate::lists::find_lists;
use crate::rows::Touched;
use crate::segments::Segments;
use crate::table::{inverse_norm, lanes, number, squares_of};
use crate::{Buffer, Table};

/// Leaves that every refresh sums anew, in turn.
const REBUILT: usize = 2;

/// Largest bias that counts in full, as on the host.
const LARGEST_BIAS: f32 = 40.0;

impl Cluster {
    /// Takes up the rows that were stepped: new minus old in the leaves of the touched rows, or all their classes where most of them moved;
    /// and sums the next leaves anew.
    pub fn refresh(&mut self, table: &Table, touched: &Touched) {
        let client = table.client().clone();
        let most = touched.most();
        let old = [Buffer::<f32>::empty(&client, most), Buffer::<f32>::empty(&client, most)];
        self.weigh_rows(table, &touched.classes, touched.count(), &old);
        let leaf_of = find_lists(&self.bounds, &touched.slots, most);
        let segments = Segments::of(&leaf_of, touched.count());
        let most = most.min(self.leaves);
        let [old_scales, old_weights] = &old;
        sum_touched::launch(
            &client,
            grid(most * self.dim),
            cube_dim(),
            table.arg(),
            touched.gradients.arg(),
            touched.classes.arg(),
            segments.keys.arg(),
            segments.starts.arg(),
            segments.count.arg(),
            self.bounds.arg(),
            self.places.class_at.arg(),
            self.scales.arg(),
            self.weights.arg(),
            old_scales.arg(),
            old_weights.arg(),
            self.sums.arg(),
            most,
            table.shard_rows(),
            self.dim,
            table.width() > self.dim,
            self.diagonal,
        );
        self.derive(&segments.keys, &segments.count, most);
        self.rebuild_next(table);
    }

    /// Sums the next few leaves anew.
    fn rebuild_next(&mut self, table: &Table) {
        let client = table.client();
        let turn: Vec<u32> =
            (0..REBUILT.min(self.leaves)).map(|k| ((self.next_rebuild + k) % self.leaves) as u32).collect();
        let (count, list) = (turn.len(), Buffer::upload(client, &turn));
        sum_whole::launch(
            client,
            grid(count * self.dim),
            cube_dim(),
            table.arg(),
            list.arg(),
            self.bounds.arg(),
            self.places.class_at.arg(),
            self.scales.arg(),
            self.weights.arg(),
            self.sums.arg(),
            count,
            table.shard_rows(),
            self.dim,
            table.width() > self.dim,
            self.diagonal,
        );
        self.derive(&list, &Buffer::upload(client, &[count as u32]), count);
        self.next_rebuild = (self.next_rebuild + REBUILT) % self.leaves;
    }

    /// Makes operands and `ln W` of the first `count[0] <= most` leaves of a list.
    pub(super) fn derive(&self, list: &Buffer<u32>, count: &Buffer<u32>, most: usize) {
        let client = self.sums.client();
        derive_leaves::launch(
            client,
            grid(most * self.dim),
            cube_dim(),
            list.arg(),
            count.arg(),
            self.sums.arg(),
            self.operands.arg(),
            self.ln_weights.arg(),
            self.leaves,
            self.dim,
            self.diagonal,
        );
    }

    /// Scale and weight of the rows of the first `used[0]` of some classes; the old ones go to `old`.
    pub(super) fn weigh_rows(&self, table: &Table, classes: &Buffer<u32>, used: &Buffer<u32>, old: &[Buffer<f32>; 2]) {
        weigh::launch(
            table.client(),
            grid(classes.len()),
            cube_dim(),
            lanes(&[self.dim, table.width()]),
            table.arg(),
            classes.arg(),
            self.scales.arg(),
            self.weights.arg(),
            old[0].arg(),
            old[1].arg(),
            used.arg(),
            table.shard_rows(),
            self.dim,
            table.width(),
            self.normalized,
        );
    }
}

/// Scale and weight of a row a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn weigh<N: Size>(
    shards: Sequence<Box<[Vector<f32, N>]>>,
    classes: &[u32],
    scales: &mut [f32],
    weights: &mut [f32],
    old_scales: &mut [f32],
    old_weights: &mut [f32],
    used: &[u32],
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] width: usize,
    #[comptime] normalized: bool,
) {
    if ABSOLUTE_POS < used[0] as usize {
        let class = classes[ABSOLUTE_POS] as usize;
        old_scales[ABSOLUTE_POS] = scales[class];
        old_weights[ABSOLUTE_POS] = weights[class];
        let row = squares_of(&shards, shard_rows, class, dim, width);
        scales[class] = inverse_norm(row.squares, normalized);
        let mut weight = 1.0f32;
        if comptime!(width > dim) {
            weight = row.bias.clamp(-LARGEST_BIAS, LARGEST_BIAS).exp();
        }
        weights[class] = weight;
    }
}

/// Sums of one component over the classes of a leaf.
#[derive(CubeType, Clone, Copy)]
struct Moments {
    weight: f32,
    first: f32,
    second: f32,
}

#[cube]
#[allow(clippy::too_many_arguments)]
fn moments_of(
    shards: &Sequence<Box<[f32]>>,
    leaf: usize,
    column: usize,
    bounds: &[u32],
    class_at: &[u32],
    scales: &[f32],
    weights: &[f32],
    shard_rows: usize,
    #[comptime] width: usize,
) -> Moments {
    let mut weight = 0.0f32;
    let mut first = 0.0f32;
    let mut second = 0.0f32;
    for slot in bounds[leaf] as usize..bounds[leaf + 1] as usize {
        let class = class_at[slot] as usize;
        let x = number(shards, shard_rows, class, column, width) * scales[class];
        let w = weights[class];
        weight += w;
        first += w * x;
        second += w * x * x;
    }
    Moments { weight, first, second }
}

/// Puts the sums of one component in their places; the weight with the first component.
#[cube]
fn store(
    sums: &mut [f32],
    leaf: usize,
    column: usize,
    moments: Moments,
    #[comptime] dim: usize,
    #[comptime] diagonal: bool,
) {
    let at = leaf * comptime!(1 + dim + if diagonal { dim } else { 0 });
    sums[at + 1 + column] = moments.first;
    if comptime!(diagonal) {
        sums[at + 1 + dim + column] = moments.second;
    }
    if column == 0 {
        sums[at] = moments.weight;
    }
}

/// One component of the sums of a leaf a unit, from all its classes.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn sum_whole(
    shards: Sequence<Box<[f32]>>,
    list: &[u32],
    bounds: &[u32],
    class_at: &[u32],
    scales: &[f32],
    weights: &[f32],
    sums: &mut [f32],
    count: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] diagonal: bool,
) {
    if ABSOLUTE_POS < count * dim {
        let leaf = list[ABSOLUTE_POS / dim] as usize;
        let column = ABSOLUTE_POS % dim;
        let width = comptime!(dim + bias as usize);
        let moments = moments_of(&shards, leaf, column, bounds, class_at, scales, weights, shard_rows, width);
        store(sums, leaf, column, moments, dim, diagonal);
    }
}

/// The same from the touched classes of a leaf alone, new minus old, unless most of its classes are touched. The unit of the first
/// component alone reads and writes the weight.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn sum_touched(
    shards: Sequence<Box<[f32]>>,
    before: &[f32],
    classes: &[u32],
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
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] diagonal: bool,
) {
    let place = ABSOLUTE_POS / dim;
    let column = ABSOLUTE_POS % dim;
    let width = comptime!(dim + bias as usize);
    if place < most && place < leaf_count[0] as usize {
        let leaf = leaf_list[place] as usize;
        let from = starts[place] as usize;
        let to = starts[place + 1] as usize;
        let size = (bounds[leaf + 1] - bounds[leaf]) as usize;
        if 2 * (to - from) >= size {
            let moments = moments_of(&shards, leaf, column, bounds, class_at, scales, weights, shard_rows, width);
            store(sums, leaf, column, moments, dim, diagonal);
        } else {
            let at = leaf * comptime!(1 + dim + if diagonal { dim } else { 0 });
            let mut weight = 0.0f32;
            let mut first = sums[at + 1 + column];
            let mut second = 0.0f32;
            if comptime!(diagonal) {
                second = sums[at + 1 + dim + column];
            }
            for row in from..to {
                let class = classes[row] as usize;
                let old = before[row * width + column] * old_scales[row];
                let new = number(&shards, shard_rows, class, column, width) * scales[class];
                let (v, w) = (old_weights[row], weights[class]);
                weight += w - v;
                first += w * new - v * old;
                second += w * new * new - v * old * old;
            }
            // Only the first component's unit touches the weight.
            if column == 0 {
                weight += sums[at];
            }
            store(sums, leaf, column, Moments { weight, first, second }, dim, diagonal);
        }
    }
}

/// Operands of one component of a leaf a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn derive_leaves(
    list: &[u32],
    count: &[u32],
    sums: &[f32],
    operands: &mut [f32],
    ln_weights: &mut [f32],
    leaves: usize,
    #[comptime] dim: usize,
    #[comptime] diagonal: bool,
) {
    let place = ABSOLUTE_POS / dim;
    let column = ABSOLUTE_POS % dim;
    if place < count[0] as usize {
        let leaf = list[place] as usize;
        let at = leaf * comptime!(1 + dim + if diagonal { dim } else { 0 });
        // Rounding of new minus old may leave nothing of a tiny weight; any positive one keeps the law.
        let mut weight = sums[at];
        if weight < 1e-37f32 {
            weight = 1e-37f32;
        }
        let mean = sums[at + 1 + column] / weight;
        operands[column * leaves + leaf] = mean;
        if comptime!(diagonal) {
            let mut variance = sums[at + 1 + dim + column] / weight - mean * mean;
            if variance < 0.0f32 {
                variance = 0.0f32;
            }
            operands[(dim + column) * leaves + leaf] = 0.5f32 * variance;
        }
        if column == 0 {
            ln_weights[leaf] = weight.ln();
        }
    }
}
