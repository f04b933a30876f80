//! Weights of rows, and sums of nodes, from the leaves up.

use std::ops::Range;

use cubecl::client::Client;
use cubecl::prelude::*;

use super::{FAN_OUT, Tree};
use crate::buffer::{cube_dim, grid};
use crate::lists::find_lists;
use crate::rows::{Touched, count_up, look_up};
use crate::table::{inverse_norm, lanes, number, squares_of};
use crate::{Buffer, Table};

/// Largest bias that counts in full, as on the host.
const LARGEST_BIAS: f32 = 40.0;

/// Scales and weights of some rows, `[count]` each.
#[derive(Clone, Debug)]
struct Weighed {
    scales: Buffer<f32>,
    weights: Buffer<f32>,
}

impl Weighed {
    fn empty(client: &Client, count: usize) -> Self {
        Self { scales: Buffer::empty(client, count), weights: Buffer::empty(client, count) }
    }
}

/// Features of some rows with the weights of a list that these rows are a part of.
#[derive(Clone, Copy, Debug)]
struct Mapped<'a> {
    phi: &'a Buffer<f32>,
    weights: &'a Buffer<f32>,
}

/// The first `used[0]` of some rows, in the order of their slots.
#[derive(Clone, Copy, Debug)]
struct List<'a> {
    slots: &'a Buffer<u32>,
    leaf_of: &'a Buffer<u32>,
    used: &'a Buffer<u32>,
}

impl Tree {
    /// Takes up the rows of a stretch of whole leaves, and sums these leaves anew if so asked.
    pub(super) fn take_slots(&self, table: &Table, stretch: Range<usize>, summed: bool) {
        let client = table.client();
        for part in self.parts(stretch) {
            let count = part.len();
            let slots = count_up(client, part.start, count);
            let classes = look_up(&self.places.class_at, &slots, count);
            let used = Buffer::upload(client, &[count as u32]);
            let [_, new] = self.weigh_rows(table, &classes, &slots, &used);
            if summed || self.class_features.is_some() {
                let rows = table.gather_first(&classes, self.map.dim);
                let phi = self.map.of_rows(&rows, &new.scales, &used, 0..count);
                let leaf_of = find_lists(&self.bounds, &slots, count);
                let list = List { slots: &slots, leaf_of: &leaf_of, used: &used };
                self.take(list, 0..count, Mapped { phi: &phi, weights: &new.weights }, None);
            }
        }
    }

    /// Takes up rows that were stepped.
    pub(super) fn exchange(&self, table: &Table, touched: &Touched, leaf_of: &Buffer<u32>) {
        let Touched { slots, classes, gradients, .. } = touched;
        let list = List { slots, leaf_of, used: touched.count() };
        let [old, new] = self.weigh_rows(table, classes, slots, list.used);
        let now = table.gather_first(classes, self.map.dim);
        let before = cut(gradients, table.width(), self.map.dim);
        for part in self.parts(0..touched.most()) {
            let phi = self.map.of_rows(&now, &new.scales, list.used, part.clone());
            let now = Mapped { phi: &phi, weights: &new.weights };
            if self.class_features.is_some() {
                self.take(list, part, now, None);
            } else {
                let phi = self.map.of_rows(&before, &old.scales, list.used, part.clone());
                self.take(list, part, now, Some(Mapped { phi: &phi, weights: &old.weights }));
            }
        }
    }

    /// Parts of a stretch that are mapped at once.
    fn parts(&self, stretch: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let (end, part) = (stretch.end, self.part);
        stretch.step_by(part).map(move |first| first..end.min(first + part))
    }

    /// Keeps the features of a part of a list of rows, or adds them to the sums of their leaves: new minus old, or the new ones alone.
    fn take(&self, list: List<'_>, part: Range<usize>, now: Mapped<'_>, before: Option<Mapped<'_>>) {
        let List { slots, leaf_of, used } = list;
        if let Some(features) = &self.class_features {
            features.scatter(slots, used, part, now.phi);
            return;
        }
        let (leaves, width, old) = (&self.levels[0], self.map.width(), before.unwrap_or(now));
        for (number, shard) in leaves.shards().iter().enumerate() {
            add_rows::launch(
                slots.client(),
                grid(part.len() * width),
                cube_dim(),
                now.phi.arg(),
                now.weights.arg(),
                old.phi.arg(),
                old.weights.arg(),
                slots.arg(),
                leaf_of.arg(),
                used.arg(),
                self.bounds.arg(),
                shard.arg(),
                part.start,
                part.len(),
                number * leaves.shard_rows(),
                leaves.shard_rows(),
                width,
                before.is_none(),
            );
        }
    }

    /// Takes up scale and weight of the rows of the first `used[0]` of some classes; returns the old ones and the new ones.
    fn weigh_rows(
        &self,
        table: &Table,
        classes: &Buffer<u32>,
        slots: &Buffer<u32>,
        used: &Buffer<u32>,
    ) -> [Weighed; 2] {
        let (client, most, lanes) = (table.client(), classes.len(), lanes(&[self.map.dim, table.width()]));
        let [old, new] = [Weighed::empty(client, most), Weighed::empty(client, most)];
        weigh::launch(
            client,
            grid(most),
            cube_dim(),
            lanes,
            table.arg(),
            classes.arg(),
            slots.arg(),
            self.prior.arg(),
            self.scales.arg(),
            self.weights.arg(),
            old.scales.arg(),
            old.weights.arg(),
            new.scales.arg(),
            new.weights.arg(),
            used.arg(),
            table.shard_rows(),
            self.map.dim,
            table.width(),
            self.map.directions,
        );
        [old, new]
    }

    /// Weights of the first `count[0] <= most` leaves of a list.
    pub(super) fn weigh_leaves(&self, list: &Buffer<u32>, count: &Buffer<u32>, most: usize) {
        let args = (list.arg(), count.arg(), self.bounds.arg(), self.weights.arg(), self.masses[0].arg());
        add_weights::launch(list.client(), grid(most), cube_dim(), args.0, args.1, args.2, args.3, args.4, most);
    }

    /// Sums of the first `count[0] <= most` leaves of a list, where the features of classes are kept.
    pub(super) fn sum_kept(&self, list: &Buffer<u32>, count: &Buffer<u32>, most: usize) {
        let Some(features) = &self.class_features else { return };
        let (leaves, width) = (&self.levels[0], self.map.width());
        for (number, shard) in leaves.shards().iter().enumerate() {
            add_features::launch(
                list.client(),
                grid(most * width),
                cube_dim(),
                features.arg(),
                list.arg(),
                count.arg(),
                self.bounds.arg(),
                self.weights.arg(),
                shard.arg(),
                most,
                number * leaves.shard_rows(),
                leaves.shard_rows(),
                features.shard_rows(),
                width,
            );
        }
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

/// The first `dim` numbers of rows of `width`.
fn cut(rows: &Buffer<f32>, width: usize, dim: usize) -> Buffer<f32> {
    if dim == width {
        return rows.clone();
    }
    let (client, len) = (rows.client(), rows.len() / width * dim);
    let firsts = Buffer::empty(client, len);
    cut_rows::launch(client, grid(len), cube_dim(), rows.arg(), firsts.arg(), len, width, dim);
    firsts
}

#[cube(launch)]
fn cut_rows(rows: &[f32], firsts: &mut [f32], len: usize, #[comptime] width: usize, #[comptime] dim: usize) {
    if ABSOLUTE_POS < len {
        firsts[ABSOLUTE_POS] = rows[ABSOLUTE_POS / dim * width + ABSOLUTE_POS % dim];
    }
}

/// Scale and weight of a row a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn weigh<N: Size>(
    shards: Sequence<Box<[Vector<f32, N>]>>,
    classes: &[u32],
    slots: &[u32],
    prior: &[f32],
    scales: &mut [f32],
    weights: &mut [f32],
    old_scales: &mut [f32],
    old_weights: &mut [f32],
    new_scales: &mut [f32],
    new_weights: &mut [f32],
    used: &[u32],
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] width: usize,
    #[comptime] directions: bool,
) {
    if ABSOLUTE_POS < used[0] as usize {
        let class = classes[ABSOLUTE_POS] as usize;
        let slot = slots[ABSOLUTE_POS] as usize;
        old_scales[ABSOLUTE_POS] = scales[slot];
        old_weights[ABSOLUTE_POS] = weights[slot];
        let row = squares_of(&shards, shard_rows, class, dim, width);
        let scale = inverse_norm(row.squares, directions);
        let mut weight = prior[class];
        if comptime!(width > dim) {
            weight *= row.bias.clamp(-LARGEST_BIAS, LARGEST_BIAS).exp();
        }
        scales[slot] = scale;
        weights[slot] = weight;
        new_scales[ABSOLUTE_POS] = scale;
        new_weights[ABSOLUTE_POS] = weight;
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

/// One number of the sum of a leaf a unit: the first of the rows of a leaf stands for it. New minus old is added up on its own, so that a
/// sum is rounded once; a leaf whose classes are all there is summed anew, and so is, `anew`, one whose first class is.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_rows(
    phi: &[f32],
    weights: &[f32],
    old_phi: &[f32],
    old_weights: &[f32],
    slots: &[u32],
    leaf_of: &[u32],
    used: &[u32],
    bounds: &[u32],
    sums: &mut [f32],
    start: usize,
    count: usize,
    first: usize,
    shard_rows: usize,
    #[comptime] width: usize,
    #[comptime] anew: bool,
) {
    let place = ABSOLUTE_POS / width;
    let mut end = count;
    if start + end > used[0] as usize {
        // Nothing where the part begins behind the last row.
        end = 0;
        if start < used[0] as usize {
            end = used[0] as usize - start;
        }
    }
    if place < end {
        let column = ABSOLUTE_POS % width;
        let leaf = leaf_of[start + place];
        let mut heads = leaf as usize >= first && (leaf as usize) < first + shard_rows;
        if heads && place > 0 {
            heads = leaf_of[start + place - 1] != leaf;
        }
        if heads {
            let mut sum = 0.0f32;
            let mut change = 0.0f32;
            let mut at = place;
            let mut inside = true;
            while inside {
                let new = weights[start + at] * phi[at * width + column];
                sum += new;
                if comptime!(!anew) {
                    change += new - old_weights[start + at] * old_phi[at * width + column];
                }
                at += 1;
                inside = at < end;
                if inside {
                    inside = leaf_of[start + at] == leaf;
                }
            }
            let to = (leaf as usize - first) * width + column;
            let from = bounds[leaf as usize];
            let mut whole = at - place == (bounds[leaf as usize + 1] - from) as usize;
            if comptime!(anew) {
                whole = slots[start + place] == from;
                change += sum;
            }
            if whole {
                sums[to] = sum;
            } else {
                sums[to] += change;
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
