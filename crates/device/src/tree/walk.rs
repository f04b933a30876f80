//! The draws of a batch on their way down.

use cubecl::prelude::*;

use super::kept::Shares;
use super::masses::{child_mass, mass_of_class};
use super::{FAN_OUT, Tree};
use crate::buffer::{cube_dim, grid};
use crate::draws::{edge_of, is_excluded};
use crate::loss::{Candidates, Lists};
use crate::random::{Draws, philox, unit};
use crate::table::lanes;
use crate::{Buffer, Table};

/// Random words of the slots of a leaf have these numbers and the next ones; those before are of levels.
const LEAF_WORDS: u32 = 64;

/// What the law of a batch is computed from.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a> {
    pub queries: &'a Buffer<f32>,
    /// What queries are multiplied by before the map.
    pub scales: Buffer<f32>,
    /// Their features, `[B, F]`.
    pub phi: Buffer<f32>,
    /// Products of the nodes of a level with all queries, `[nodes, B]`, for the levels that have few nodes.
    pub dense: Vec<Option<Buffer<f32>>>,
    pub table: &'a Table,
    pub lists: &'a Lists,
}

impl Tree {
    /// Draws candidates for every query, without the classes it excludes, with `ln(m q')`.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits
    pub fn draw(&self, queries: &Buffer<f32>, table: &Table, draws: Draws, lists: &Lists, edges: &Candidates) {
        let (scales, phi) = self.map.of_queries(queries);
        let dense = self.dense(&phi, lists);
        let asked = Asked { queries, scales, phi, dense, table, lists };
        self.walk(&asked, draws, &edges.ids, &edges.corrections, false);
    }

    /// Takes all draws down; they go to the edges of their queries, or, `together`, one after the other.
    pub(super) fn walk(
        &self,
        asked: &Asked<'_>,
        draws: Draws,
        ids: &Buffer<u32>,
        corrections: &Buffer<f32>,
        together: bool,
    ) {
        let shares = self.shares(asked);
        let (client, pairs) = (ids.client(), asked.lists.batch * asked.lists.draws);
        let (nodes, ln_q) = (Buffer::<u32>::empty(client, pairs), Buffer::<f32>::empty(client, pairs));
        for level in (0..self.height()).rev() {
            self.descend(level, asked, &shares, draws, &nodes, &ln_q);
        }
        self.choose_classes(asked, draws, [&nodes, ids], [&ln_q, corrections], together);
    }

    /// Takes every draw from its node to a child, a node of `level`.
    fn descend(
        &self,
        level: usize,
        asked: &Asked<'_>,
        shares: &Shares,
        draws: Draws,
        nodes: &Buffer<u32>,
        ln_q: &Buffer<f32>,
    ) {
        let (sums, Lists { batch, draws: each, .. }) = (&self.levels[level], asked.lists);
        let [key_0, key_1] = draws.key();
        let dense = asked.dense[level].as_ref();
        descend::launch(
            nodes.client(),
            grid(batch * each),
            cube_dim(),
            self.map.feature_lanes(),
            asked.phi.arg(),
            sums.arg(),
            dense.unwrap_or(&asked.scales).arg(),
            self.masses[level].arg(),
            asked.lists.excluded_start.arg(),
            shares.leaf_of.arg(),
            shares.of_level[level].arg(),
            nodes.arg(),
            ln_q.arg(),
            *batch,
            *each,
            sums.rows(),
            sums.shard_rows(),
            level as u32,
            self.floor,
            key_0,
            key_1,
            draws.step as u32,
            self.map.width(),
            dense.is_some(),
            level + 1 == self.height(),
        );
    }

    fn choose_classes(
        &self,
        asked: &Asked<'_>,
        draws: Draws,
        [nodes, ids]: [&Buffer<u32>; 2],
        [ln_q, corrections]: [&Buffer<f32>; 2],
        together: bool,
    ) {
        let Asked { queries, scales, phi, table, lists, .. } = asked;
        let features = self.class_features.as_ref().unwrap_or(table);
        let [key_0, key_1] = draws.key();
        choose_classes::launch(
            nodes.client(),
            grid(lists.batch * lists.draws),
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
            nodes.arg(),
            ln_q.arg(),
            lists.excluded_start.arg(),
            lists.excluded.arg(),
            lists.edge_start.arg(),
            lists.term_start.arg(),
            ids.arg(),
            corrections.arg(),
            lists.batch,
            lists.draws,
            table.shard_rows(),
            features.shard_rows(),
            self.floor,
            self.map.sharpness,
            key_0,
            key_1,
            draws.step as u32,
            self.map.dim,
            table.width(),
            self.map.width(),
            self.law(),
            self.height() == 0,
            together,
        );
    }
}

/// What the excluded classes below a node leave of its mass: of the entries of a query whose ancestor on that level the node is, the share of
/// any; 1 for other nodes.
#[cube]
pub(super) fn share_of(leaf_of: &[u32], shares: &[f32], from: usize, to: usize, level: u32, node: usize) -> f32 {
    let mut share = 1.0f32;
    for entry in from..to {
        if (leaf_of[entry] >> (2u32 * level)) as usize == node {
            share = shares[entry];
        }
    }
    share
}

/// One draw a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn descend<N: Size>(
    phi: &[Vector<f32, N>],
    sums: Sequence<Box<[Vector<f32, N>]>>,
    dense: &[f32],
    masses: &[f32],
    excluded_start: &[u32],
    leaf_of: &[u32],
    shares: &[f32],
    nodes: &mut [u32],
    ln_q: &mut [f32],
    batch: usize,
    draws: usize,
    count: usize,
    shard_rows: usize,
    level: u32,
    floor: f32,
    key_0: u32,
    key_1: u32,
    step: u32,
    #[comptime] width: usize,
    #[comptime] is_dense: bool,
    #[comptime] from_root: bool,
) {
    if ABSOLUTE_POS < batch * draws {
        let query = ABSOLUTE_POS / draws;
        let draw = (ABSOLUTE_POS % draws) as u32;
        let mut first = 0usize;
        let mut ln_so_far = 0.0f32;
        if comptime!(!from_root) {
            first = nodes[ABSOLUTE_POS] as usize * FAN_OUT;
            ln_so_far = ln_q[ABSOLUTE_POS];
        }
        let mut end = first + FAN_OUT;
        if end > count {
            end = count;
        }
        let from = excluded_start[query] as usize;
        let to = excluded_start[query + 1] as usize;
        let words = philox(key_0, key_1, step, level, query as u32, draw);
        // Each child takes the place of the one before with its share of the mass so far: one pass, and nothing is kept of the others. Where
        // all estimates are zero the weights decide, which go beside.
        let mut total = 0.0f32;
        let mut chosen = first;
        let mut mass = 0.0f32;
        let mut all_weights = 0.0f32;
        let mut by_weight = first;
        let mut weight = 0.0f32;
        let mut word = words.a;
        for child in first..end {
            let share = share_of(leaf_of, shares, from, to, level, child);
            let estimate =
                child_mass(phi, &sums, dense, masses, child, query, batch, shard_rows, floor, width, is_dense) * share;
            total += estimate;
            let point = unit(word);
            if point * total < estimate {
                chosen = child;
                mass = estimate;
            }
            let other = masses[child] * share;
            all_weights += other;
            if point * all_weights < other {
                by_weight = child;
                weight = other;
            }
            if child == first {
                word = words.b;
            } else if child == first + 1 {
                word = words.c;
            } else {
                word = words.d;
            }
        }
        if total <= 0.0f32 {
            chosen = by_weight;
            mass = weight;
            total = all_weights;
        }
        nodes[ABSOLUTE_POS] = chosen as u32;
        ln_q[ABSOLUTE_POS] = ln_so_far + (mass / total).ln();
    }
}

/// One draw a unit: a class of its leaf.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn choose_classes<N: Size, M: Size>(
    queries: &[Vector<f32, N>],
    query_scales: &[f32],
    phi: &[Vector<f32, M>],
    rows: Sequence<Box<[Vector<f32, N>]>>,
    features: Sequence<Box<[Vector<f32, M>]>>,
    bounds: &[u32],
    class_at: &[u32],
    scales: &[f32],
    weights: &[f32],
    nodes: &[u32],
    ln_q: &[f32],
    excluded_start: &[u32],
    excluded: &[u32],
    edge_start: &[u32],
    term_start: &[u32],
    ids: &mut [u32],
    corrections: &mut [f32],
    batch: usize,
    draws: usize,
    row_shard: usize,
    feature_shard: usize,
    floor: f32,
    sharpness: f32,
    key_0: u32,
    key_1: u32,
    step: u32,
    #[comptime] dim: usize,
    #[comptime] row_width: usize,
    #[comptime] width: usize,
    #[comptime] law: u32,
    #[comptime] only_leaf: bool,
    #[comptime] together: bool,
) {
    if ABSOLUTE_POS < batch * draws {
        let query = ABSOLUTE_POS / draws;
        let draw = (ABSOLUTE_POS % draws) as u32;
        let mut edge = ABSOLUTE_POS as u32;
        if comptime!(!together) {
            edge = edge_of(edge_start, term_start, query, draw);
        }
        if edge != 0xFFFF_FFFFu32 {
            let mut leaf = 0usize;
            let mut ln_so_far = 0.0f32;
            if comptime!(!only_leaf) {
                leaf = nodes[ABSOLUTE_POS] as usize;
                ln_so_far = ln_q[ABSOLUTE_POS];
            }
            let from = excluded_start[query] as usize;
            let to = excluded_start[query + 1] as usize;
            let mut highest = f32::new(-1e30f32);
            let mut total = 0.0f32;
            let mut chosen = 0u32;
            let mut mass = 0.0f32;
            let mut all_weights = 0.0f32;
            let mut by_weight = 0u32;
            let mut weight = 0.0f32;
            let first = bounds[leaf] as usize;
            for slot in first..bounds[leaf + 1] as usize {
                let class = class_at[slot];
                if !is_excluded(excluded, from, to, class) {
                    let mut estimate = mass_of_class(
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
                        // The estimate is a logit; masses are over the highest so far.
                        if estimate > highest {
                            let shrink = (highest - estimate).exp();
                            total *= shrink;
                            mass *= shrink;
                            highest = estimate;
                        }
                        estimate = (estimate - highest).exp();
                    }
                    total += estimate;
                    let words = philox(key_0, key_1, step, LEAF_WORDS + (slot - first) as u32, query as u32, draw);
                    if unit(words.a) * total < estimate {
                        chosen = class;
                        mass = estimate;
                    }
                    all_weights += weights[slot];
                    if unit(words.a) * all_weights < weights[slot] {
                        by_weight = class;
                        weight = weights[slot];
                    }
                }
            }
            if total <= 0.0f32 {
                chosen = by_weight;
                mass = weight;
                total = all_weights;
            }
            ids[edge as usize] = chosen;
            // A query that excludes every class has no candidate, and one that was not found has no weight.
            let mut correction = 1e30f32;
            if total > 0.0f32 {
                correction = f32::cast_from(draws as u32).ln() + ln_so_far + (mass / total).ln();
            }
            corrections[edge as usize] = correction;
        }
    }
}
