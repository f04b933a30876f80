//! The cluster proposal: a leaf by its estimated mass, a class by the softmax inside the leaf.
//!
//! The law is that of `rf_sampling::ClusterSampler` with two levels: leaf `C` with `(1 - epsilon) g(C) / sum g + epsilon u(C)`,
//! `g = W exp(h·mu + h'Sigma h / 2)`, then the exact softmax over its classes. Excluded classes are left out where they are: the mass of
//! their leaf is multiplied by the share of the kept ones, so that nothing cancels.

use cubecl::client::Client;
use cubecl::prelude::*;

use crate::buffer::{cube_dim, grid};
use crate::draws::{edge_of, is_excluded};
use crate::loss::{Candidates, Lists};
use crate::random::{Draws, philox, unit};
use crate::rows::{Places, Touched};
use crate::segments::Segments;
use crate::table::{inverse_norm, list_of, number, product};
use crate::{Buffer, Table};

/// Leaves that are chosen among at once. A draw chooses a block of leaves, then a leaf: in f32 the running sum over all leaves would lose
/// the small ones.
const BLOCK: usize = 64;

/// Queries whose products with a leaf one unit computes: what is kept of the leaf is read once for all of them.
const QUERIES: usize = 8;

/// Leaves that every refresh sums anew, in turn.
const REBUILT: usize = 2;

/// Largest bias that counts in full, as on the host.
const LARGEST_BIAS: f32 = 40.0;

/// A cluster sampler on the host, to be copied to the device.
#[derive(Clone, Copy, Debug)]
pub struct ClusterParts<'a> {
    /// First slot of each leaf, and `n`; `[L + 1]`.
    pub bounds: &'a [u32],
    /// Class of each slot, `[n]`.
    pub order: &'a [u32],
    /// `[W, sum w c, sum w c²]` of each leaf, `[L, 1 + 2 d]`; without dispersion `[W, sum w c]`.
    pub sums: &'a [f32],
    /// Share of each leaf in the law of frequencies, `[L]`.
    pub frequencies: &'a [f32],
    /// Share of that law.
    pub epsilon: f32,
    /// Whether the variance of each component is kept.
    pub diagonal: bool,
    /// The next leaf to be summed anew.
    pub next_rebuild: usize,
}

/// A cluster sampler on a device.
#[derive(Clone, Debug)]
pub struct Cluster {
    leaves: usize,
    dim: usize,
    bounds: Buffer<u32>,
    places: Places,
    sums: Buffer<f32>,
    /// What queries are multiplied with, `[d + s, L]`: leaves side by side.
    operands: Buffer<f32>,
    ln_weights: Buffer<f32>,
    frequencies: Buffer<f32>,
    /// Factor of the row of each class, and its weight `e^b`.
    scales: Buffer<f32>,
    weights: Buffer<f32>,
    epsilon: f32,
    diagonal: bool,
    normalized: bool,
    next_rebuild: usize,
}

impl Cluster {
    /// Copies a sampler whose rows are in `table`.
    ///
    /// # Panics
    /// If the lengths do not agree.
    pub fn upload(client: &Client, parts: ClusterParts<'_>, table: &Table, dim: usize, normalized: bool) -> Self {
        let (leaves, n) = (parts.bounds.len() - 1, parts.order.len());
        let spread = if parts.diagonal { dim } else { 0 };
        assert_eq!((parts.sums.len(), n), (leaves * (1 + dim + spread), table.rows()), "sums of leaves, and classes");
        let mut slot_of = vec![0; n];
        parts.order.iter().zip(0..).for_each(|(&class, slot)| slot_of[class as usize] = slot);
        let floats = |len| Buffer::<f32>::empty(client, len);
        let cluster = Self {
            leaves,
            dim,
            bounds: Buffer::upload(client, parts.bounds),
            places: Places { slot_of: Buffer::upload(client, &slot_of), class_at: Buffer::upload(client, parts.order) },
            sums: Buffer::upload(client, parts.sums),
            operands: floats(leaves * (dim + spread)),
            ln_weights: floats(leaves),
            frequencies: Buffer::upload(client, parts.frequencies),
            scales: floats(n),
            weights: floats(n),
            epsilon: parts.epsilon,
            diagonal: parts.diagonal,
            normalized,
            next_rebuild: parts.next_rebuild,
        };
        let all: Vec<u32> = (0..n.max(leaves) as u32).collect();
        let all = Buffer::upload(client, &all);
        let old = [floats(n), floats(n)];
        cluster.weigh_rows(table, &all, n, &old);
        cluster.derive(&all, &Buffer::upload(client, &[leaves as u32]), leaves);
        cluster
    }

    /// Sums of the leaves, and the next leaf to be summed anew: what a checkpoint keeps. Waits for the device.
    pub fn download(&self) -> (Vec<f32>, usize) {
        (self.sums.download(), self.next_rebuild)
    }

    /// Where the classes lie.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        let floats = [&self.sums, &self.operands, &self.ln_weights, &self.frequencies, &self.scales, &self.weights];
        let words = [&self.bounds, &self.places.slot_of, &self.places.class_at];
        4 * (floats.map(Buffer::len).iter().sum::<usize>() + words.map(Buffer::len).iter().sum::<usize>())
    }

    /// Bytes of the masses of a batch.
    pub fn workspace(leaves: usize, batch: usize) -> usize {
        4 * batch * leaves
    }

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

    /// Mass of each leaf for each query, without the excluded classes, `[L, B]`; a query's need not add up to one.
    fn masses(&self, queries: &Buffer<f32>, table: &Table, lists: &Lists) -> Buffer<f32> {
        let (client, batch) = (queries.client(), lists.batch);
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
        leave_out::launch(
            client,
            grid(lists.excluded.len()),
            cube_dim(),
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

    /// Takes up the rows that were stepped: new minus old in the leaves of the touched rows, or all their classes where most of them moved;
    /// and sums the next leaves anew.
    pub fn refresh(&mut self, table: &Table, touched: &Touched) {
        let client = table.client().clone();
        let old = [Buffer::<f32>::empty(&client, touched.count), Buffer::<f32>::empty(&client, touched.count)];
        self.weigh_rows(table, &touched.classes, touched.count, &old);
        let leaf_of = Buffer::<u32>::empty(&client, touched.count);
        let args = (touched.slots.arg(), self.bounds.arg(), leaf_of.arg());
        find_leaves::launch(
            &client,
            grid(touched.count),
            cube_dim(),
            args.0,
            args.1,
            args.2,
            touched.count,
            self.leaves,
        );
        let segments = Segments::of(&leaf_of, &Buffer::upload(&client, &[touched.count as u32]));
        let most = touched.count.min(self.leaves);
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
    fn derive(&self, list: &Buffer<u32>, count: &Buffer<u32>, most: usize) {
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

    /// Scale and weight of the rows of some classes; the old ones go to `old`.
    fn weigh_rows(&self, table: &Table, classes: &Buffer<u32>, count: usize, old: &[Buffer<f32>; 2]) {
        weigh::launch(
            table.client(),
            grid(count),
            cube_dim(),
            table.arg(),
            classes.arg(),
            self.scales.arg(),
            self.weights.arg(),
            old[0].arg(),
            old[1].arg(),
            count,
            table.shard_rows(),
            self.dim,
            table.width() > self.dim,
            self.normalized,
        );
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
fn leave_out(
    queries: &[f32],
    shards: Sequence<Box<[f32]>>,
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
                let found = product(queries, query * dim, &shards, shard_rows, class as usize, dim, bias);
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

/// The mass of each block of leaves for each query.
#[cube(launch)]
fn add_blocks(masses: &[f32], block_masses: &mut [f32], batch: usize, leaves: usize, blocks: usize) {
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
struct Choice {
    place: usize,
    mass: f32,
    total: f32,
}

/// Chooses among `masses[k * stride + offset]`, `k` from `from` to `to`, at a point of the unit interval; of masses that are zero none.
#[cube]
fn choose(masses: &[f32], from: usize, to: usize, stride: usize, offset: usize, point: f32) -> Choice {
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
fn draw_cluster(
    queries: &[f32],
    shards: Sequence<Box<[f32]>>,
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
                    let found = product(queries, query * dim, &shards, shard_rows, class as usize, dim, bias);
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

/// Scale and weight of a row a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn weigh(
    shards: Sequence<Box<[f32]>>,
    classes: &[u32],
    scales: &mut [f32],
    weights: &mut [f32],
    old_scales: &mut [f32],
    old_weights: &mut [f32],
    count: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] normalized: bool,
) {
    if ABSOLUTE_POS < count {
        let class = classes[ABSOLUTE_POS] as usize;
        let width = comptime!(dim + bias as usize);
        old_scales[ABSOLUTE_POS] = scales[class];
        old_weights[ABSOLUTE_POS] = weights[class];
        let mut squares = 0.0f32;
        for column in 0..dim {
            let x = number(&shards, shard_rows, class, column, width);
            squares += x * x;
        }
        scales[class] = inverse_norm(squares, normalized);
        let mut weight = 1.0f32;
        if comptime!(bias) {
            let mut b = number(&shards, shard_rows, class, dim, width);
            if b > LARGEST_BIAS {
                b = LARGEST_BIAS;
            }
            if b < 0.0f32 - LARGEST_BIAS {
                b = 0.0f32 - LARGEST_BIAS;
            }
            weight = b.exp();
        }
        weights[class] = weight;
    }
}

#[cube(launch)]
fn find_leaves(slots: &[u32], bounds: &[u32], leaf_of: &mut [u32], count: usize, leaves: usize) {
    if ABSOLUTE_POS < count {
        leaf_of[ABSOLUTE_POS] = list_of(bounds, leaves, slots[ABSOLUTE_POS]) as u32;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Loss;
    use crate::loss::LossInput;
    use crate::rows::{Batch, Rule, Step};
    use crate::testing::{client, numbers};
    use rf_sampling::{Classes, ClusterConfig, ClusterSampler, Dispersion, Grouping, Law, Sampler};

    const DIM: usize = 6;
    const CLASSES: usize = 157;
    const BATCH: usize = 9;
    const DRAWS: usize = 400;

    struct Case {
        normalized: bool,
        bias: bool,
        grouping: Grouping,
        dispersion: Dispersion,
        leaf_size: usize,
    }

    impl Case {
        fn all() -> [Self; 4] {
            let case = |normalized, bias, grouping, dispersion, leaf_size| Self {
                normalized,
                bias,
                grouping,
                dispersion,
                leaf_size,
            };
            [
                case(true, false, Grouping::Index, Dispersion::Diagonal, 12),
                case(false, true, Grouping::Frequency, Dispersion::Diagonal, 7),
                case(true, true, Grouping::Frequency, Dispersion::None, 30),
                // More than one block of leaves.
                case(false, false, Grouping::Frequency, Dispersion::Diagonal, 2),
            ]
        }

        fn width(&self) -> usize {
            DIM + usize::from(self.bias)
        }

        fn classes<'a>(&self, rows: &'a [f32]) -> Classes<'a> {
            let classes = Classes::new(rows, self.width());
            let classes = if self.bias { classes.with_bias() } else { classes };
            if self.normalized { classes.normalized() } else { classes }
        }

        fn host(&self, rows: &[f32]) -> ClusterSampler {
            let counts: Vec<u64> = (0..CLASSES as u64).map(|class| 5000 / (1 + class * 37 % 157)).collect();
            let config = ClusterConfig {
                leaf_size: Some(self.leaf_size),
                grouping: Some(self.grouping),
                dispersion: self.dispersion,
                epsilon: 0.05,
                ..Default::default()
            };
            config.build(self.classes(rows), &counts, 1).unwrap()
        }

        fn device(&self, client: &Client, host: &ClusterSampler, table: &Table) -> Cluster {
            let leaves = host.leaves();
            let starts = (0..leaves.leaves()).map(|leaf| leaves.slots(leaf).start as u32);
            let bounds: Vec<u32> = starts.chain([leaves.len() as u32]).collect();
            let order: Vec<u32> = (0..leaves.len()).map(|slot| leaves.class_at(slot)).collect();
            let parts = ClusterParts {
                bounds: &bounds,
                order: &order,
                sums: host.sums(),
                frequencies: host.frequencies(),
                epsilon: 0.05,
                diagonal: self.dispersion == Dispersion::Diagonal,
                next_rebuild: host.next_rebuild(),
            };
            Cluster::upload(client, parts, table, DIM, self.normalized)
        }

        fn rows(&self) -> Vec<f32> {
            numbers(CLASSES * self.width(), 11)
        }
    }

    fn queries() -> Vec<f32> {
        numbers(BATCH * DIM, 12).iter().map(|x| 3.0 * x).collect()
    }

    /// Queries with one true class, none, or several; the true classes of some share a leaf.
    fn labels() -> (Vec<u32>, Vec<u32>) {
        let lists: [&[u32]; BATCH] = [&[3], &[], &[0, 1, 2, 90], &[156], &[5, 6], &[77], &[], &[150, 151], &[40]];
        let mut start = vec![0];
        lists.iter().for_each(|list| start.push(start[start.len() - 1] + list.len() as u32));
        (start, lists.concat())
    }

    fn lists(client: &Client) -> Lists {
        let (start, ids) = labels();
        let input = LossInput {
            term_start: &start,
            term_ids: &ids,
            term_weights: &vec![1.0; ids.len()],
            excluded_start: &start,
            excluded: &ids,
            draws: DRAWS,
            included: false,
        };
        Lists::upload(client, input)
    }

    #[test]
    fn draws_follow_the_law_of_the_host_without_the_excluded_classes() {
        let Some(client) = client() else { return };
        for case in Case::all() {
            let rows = case.rows();
            let table = Table::in_shards(&client, &rows, case.width(), 50);
            let host = case.host(&rows);
            let cluster = case.device(&client, &host, &table);
            let (lists, queries) = (lists(&client), queries());
            let on_device = Buffer::upload(&client, &queries);
            let draw = |step| {
                let edges = lists.edges();
                cluster.draw(&on_device, &table, Draws { seed: 3, step }, &lists, &edges);
                (edges.ids.download(), edges.corrections.download())
            };
            let first = draw(0);
            assert_eq!(draw(0), first);
            let (start, labels) = labels();
            let edge_start = lists.edge_start.download();
            let batches = [first, draw(1), draw(2)];
            for query in 0..BATCH {
                let excluded = &labels[start[query] as usize..start[query + 1] as usize];
                if excluded.is_empty() {
                    assert_eq!(edge_start[query], edge_start[query + 1]);
                    continue;
                }
                let classes = case.classes(&rows);
                let law = host.at(&queries[query * DIM..][..DIM], classes).unwrap();
                let q: Vec<f64> = law.ln_probs(CLASSES).iter().map(|ln| f64::from(*ln).exp()).collect();
                let kept = 1.0 - excluded.iter().map(|&class| q[class as usize]).sum::<f64>();
                let mut counts = vec![0.0f64; CLASSES];
                for (ids, corrections) in &batches {
                    for at in edge_start[query] as usize + excluded.len()..edge_start[query + 1] as usize {
                        let class = ids[at] as usize;
                        assert!(!excluded.contains(&ids[at]), "query {query} drew {class}");
                        let want = (DRAWS as f64 * q[class] / kept).ln();
                        assert!(
                            (f64::from(corrections[at]) - want).abs() < 2e-3,
                            "{class}: {} {want}",
                            corrections[at]
                        );
                        counts[class] += 1.0;
                    }
                }
                // Chi-squared over classes that are expected five times and all the others together.
                let total = (3 * DRAWS) as f64;
                let (mut chi, mut cells, mut rest) = (0.0, 0, (total, total));
                for class in (0..CLASSES).filter(|class| !excluded.contains(&(*class as u32))) {
                    let expected = total * q[class] / kept;
                    if expected >= 5.0 {
                        chi += (counts[class] - expected).powi(2) / expected;
                        cells += 1;
                        rest = (rest.0 - expected, rest.1 - counts[class]);
                    }
                }
                chi += (rest.0 - rest.1).powi(2) / rest.0.max(1.0);
                // Mean `cells`, variance twice that: five deviations.
                let bound = f64::from(cells) + 5.0 * f64::from(2 * cells).sqrt() + 5.0;
                assert!(chi < bound, "query {query}: chi-squared {chi} of {cells} cells");
            }
        }
    }

    #[test]
    fn after_a_step_the_sums_are_those_of_the_new_rows() {
        let Some(client) = client() else { return };
        for case in Case::all() {
            let rows = case.rows();
            let table = Table::in_shards(&client, &rows, case.width(), 50);
            let mut host = case.host(&rows);
            let mut cluster = case.device(&client, &host, &table);
            let lists = lists(&client);
            let queries = Buffer::upload(&client, &queries());
            let mut before = rows.clone();
            for step in 0..3 {
                let edges = lists.edges();
                cluster.draw(&queries, &table, Draws { seed: 3, step }, &lists, &edges);
                let loss = Loss::of(&queries, &table, case.normalized, &lists, &edges);
                let normalized = case.normalized;
                let batch =
                    Batch { queries: &queries, dim: DIM, table: &table, normalized, edges: &edges, loss: &loss };
                let mut touched = Touched::of(batch, Some(cluster.places()));
                touched.step(&table, &[], Step { rule: Rule::Sgd, rate: 0.5, factor: 1.0, second: 1.0 });
                cluster.refresh(&table, &touched);

                let after = table.download();
                let mut ids = touched.download().0;
                ids.sort_unstable();
                let width = case.width();
                let old: Vec<f32> =
                    ids.iter().flat_map(|&id| before[id as usize * width..][..width].to_vec()).collect();
                host.refresh(&ids, &old, case.classes(&after)).unwrap();
                let (sums, next) = cluster.download();
                assert_eq!(next, host.next_rebuild());
                let fresh = case.host(&after);
                for (at, ((got, host), fresh)) in sums.iter().zip(host.sums()).zip(fresh.sums()).enumerate() {
                    let close = |a: f32, b: f32| (a - b).abs() < 1e-4 * b.abs().max(1.0);
                    assert!(close(*got, *host) && close(*got, *fresh), "{at}: {got}, {host} on the host, {fresh} anew");
                }
                assert_ne!(after, before);
                before = after;
            }
        }
    }
}
