//! One law for a whole batch: a descent with the mean features of its queries.

use cubecl::prelude::*;

use super::walk::Asked;
use super::{LeafKind, Tree};
use crate::buffer::{cube_dim, grid};
use crate::loss::{Lists, LossInput};
use crate::random::Draws;
use crate::table::number;
use crate::{Buffer, SharedCandidates, Table};

/// Queries whose features one unit adds up.
const RUN: usize = 64;

impl Tree {
    /// Draws `count` candidates for a whole batch, with `ln(M q)`, from the law of `(sum_b phi(h_b) / Z_b) / (sum_b 1 / Z_b)`,
    /// `Z_b = max(phi(h_b)·S, floor w)` at the root: where nothing is clamped, the mean of the laws of the queries. Nothing is excluded.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits
    ///
    /// # Panics
    /// If the leaf law reads rows: such laws have no mean query.
    pub fn draw_shared(&self, queries: &Buffer<f32>, table: &Table, draws: Draws, count: usize) -> SharedCandidates {
        assert_eq!(self.leaf_law, LeafKind::Features, "a law of features is shared");
        let client = queries.client();
        let phi = self.mean_features(queries);
        let nothing = LossInput {
            term_start: &[0, 0],
            term_ids: &[],
            term_weights: &[],
            excluded_start: &[0, 0],
            excluded: &[],
            draws: count,
            included: false,
        };
        let lists = Lists::upload(client, nothing);
        let (scales, dense) = (Buffer::<f32>::empty(client, 1), self.dense(&phi, &lists));
        let asked = Asked { queries, scales, phi, dense, table, lists: &lists };
        let shared = SharedCandidates::empty(client, count);
        self.walk(&asked, draws, &shared.ids, &shared.corrections, true);
        shared
    }

    /// `[F]`.
    fn mean_features(&self, queries: &Buffer<f32>) -> Buffer<f32> {
        let (client, batch, width) = (queries.client(), queries.len() / self.map.dim, self.map.width());
        let (_, phi) = self.map.of_queries(queries);
        let (root, shares, mean) =
            (&self.levels[self.height()], Buffer::<f32>::empty(client, batch), Buffer::empty(client, width));
        let args = (phi.arg(), root.arg(), self.masses[self.height()].arg(), shares.arg());
        weigh_queries::launch(
            client,
            grid(batch),
            cube_dim(),
            args.0,
            args.1,
            args.2,
            args.3,
            batch,
            self.floor,
            width,
        );
        let runs = batch.div_ceil(RUN);
        let (parts, totals) = (Buffer::<f32>::empty(client, runs * width), Buffer::<f32>::empty(client, runs));
        let args = (phi.arg(), shares.arg(), parts.arg(), totals.arg());
        let units = runs * width;
        add_queries::launch(client, grid(units), cube_dim(), args.0, args.1, args.2, args.3, batch, runs, width);
        let args = (parts.arg(), totals.arg(), mean.arg());
        add_parts::launch(client, grid(width), cube_dim(), args.0, args.1, args.2, runs, width);
        mean
    }
}

/// `1 / Z` of one query a unit; 0 of one that gives nothing.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn weigh_queries(
    phi: &[f32],
    root: Sequence<Box<[f32]>>,
    masses: &[f32],
    shares: &mut [f32],
    batch: usize,
    floor: f32,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS < batch {
        let mut estimate = 0.0f32;
        for j in 0..width {
            estimate += phi[ABSOLUTE_POS * width + j] * number(&root, 1, 0, j, width);
        }
        if estimate < floor * masses[0] {
            estimate = floor * masses[0];
        }
        let mut share = 0.0f32;
        if estimate > 0.0f32 {
            share = 1.0f32 / estimate;
        }
        shares[ABSOLUTE_POS] = share;
    }
}

/// One number of the sum of a run of queries a unit; the sum of their shares with the first.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_queries(
    phi: &[f32],
    shares: &[f32],
    parts: &mut [f32],
    totals: &mut [f32],
    batch: usize,
    runs: usize,
    width: usize,
) {
    let run = ABSOLUTE_POS / width;
    let column = ABSOLUTE_POS % width;
    if run < runs {
        let mut end = (run + 1) * RUN;
        if end > batch {
            end = batch;
        }
        let mut sum = 0.0f32;
        let mut total = 0.0f32;
        for query in run * RUN..end {
            sum += shares[query] * phi[query * width + column];
            total += shares[query];
        }
        parts[ABSOLUTE_POS] = sum;
        if column == 0 {
            totals[run] = total;
        }
    }
}

/// One number of the mean a unit.
#[cube(launch)]
fn add_parts(parts: &[f32], totals: &[f32], mean: &mut [f32], runs: usize, width: usize) {
    if ABSOLUTE_POS < width {
        let mut sum = 0.0f32;
        let mut total = 0.0f32;
        for run in 0..runs {
            sum += parts[run * width + ABSOLUTE_POS];
            total += totals[run];
        }
        // Without any share all features are zero, and every node falls back on the weights of its classes.
        if total > 0.0f32 {
            sum /= total;
        }
        mean[ABSOLUTE_POS] = sum;
    }
}
