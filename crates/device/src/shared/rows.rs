//! Rows of shared candidates side by side, and their gradients brought together with those of the true classes.

use cubecl::prelude::*;

use super::SharedCandidates;
use crate::buffer::{cube_dim, grid};
use crate::rows::{Batch, Grouped, Places, Touched};
use crate::table::{inverse_norm, lanes, number, squares_of};
use crate::{Buffer, Table};

/// The rows of shared candidates as they enter the logits: a copy, since products need them side by side.
#[derive(Clone, Debug)]
pub struct SharedRows {
    /// `[M, width]`: normalised where rows are, the bias in the last column.
    pub rows: Buffer<f32>,
    /// `1 / |c|` of each, `[M]`; 1 for rows that enter as they are.
    inverse: Buffer<f32>,
}

impl SharedRows {
    /// Copies the rows of the candidates.
    pub fn of(table: &Table, dim: usize, normalized: bool, shared: &SharedCandidates) -> Self {
        let (client, count, width) = (table.client(), shared.len(), table.width());
        let gathered = Self { rows: Buffer::empty(client, count * width), inverse: Buffer::empty(client, count) };
        measure::launch(
            client,
            grid(count),
            cube_dim(),
            lanes(&[dim, width]),
            table.arg(),
            shared.ids.arg(),
            gathered.inverse.arg(),
            count,
            table.shard_rows(),
            dim,
            width,
            normalized,
        );
        gather::launch(
            client,
            grid(count * width),
            cube_dim(),
            table.arg(),
            shared.ids.arg(),
            gathered.inverse.arg(),
            gathered.rows.arg(),
            count,
            table.shard_rows(),
            dim,
            width,
        );
        gathered
    }
}

impl Touched {
    /// The same as [`of`](Self::of) where candidates are shared. The edges are true classes; the gradients of the candidates for their rows
    /// as they enter the logits, `[M, width]`, are `weights · queries`, with a column of ones behind the queries where rows have a bias.
    ///
    /// What belongs to one row is added in a fixed order: true classes in the order of the queries, then candidates as they were drawn.
    ///
    /// # Panics
    /// If the gradients are not one for each number of each candidate.
    pub fn of_shared(
        batch: Batch<'_>,
        shared: &SharedCandidates,
        rows: &SharedRows,
        gradients: Buffer<f32>,
        places: Option<&Places>,
    ) -> Self {
        let Batch { queries, dim, table, normalized, edges, loss } = batch;
        let (client, width, terms) = (queries.client(), table.width(), edges.ids.len());
        assert_eq!(gradients.len(), rows.rows.len(), "gradients of candidates");
        if normalized {
            let args = (rows.rows.arg(), rows.inverse.arg(), gradients.arg());
            project::launch(client, grid(shared.len()), cube_dim(), args.0, args.1, args.2, shared.len(), dim, width);
        }
        let all = Buffer::empty(client, terms + shared.len());
        let args = (edges.ids.arg(), shared.ids.arg(), all.arg());
        join::launch(client, grid(all.len()), cube_dim(), args.0, args.1, args.2, terms, all.len());
        let Grouped { most, classes, segments, numbers } = Grouped::of(&all, table.rows(), places);
        let sums = Buffer::empty(client, most * width);
        add_all::launch(
            client,
            grid(most * width),
            cube_dim(),
            queries.arg(),
            table.arg(),
            classes.arg(),
            segments.starts.arg(),
            numbers.arg(),
            edges.queries.arg(),
            loss.weights.arg(),
            loss.plain.arg(),
            loss.inverse.arg(),
            gradients.arg(),
            sums.arg(),
            segments.count.arg(),
            terms,
            most,
            table.shard_rows(),
            dim,
            width > dim,
            normalized,
        );
        Self::with(segments.keys, classes, sums, segments.count, most)
    }
}

/// `1 / |c|` of one row a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn measure<N: Size>(
    shards: Sequence<Box<[Vector<f32, N>]>>,
    ids: &[u32],
    inverse: &mut [f32],
    count: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] width: usize,
    #[comptime] normalized: bool,
) {
    if ABSOLUTE_POS < count {
        let row = squares_of(&shards, shard_rows, ids[ABSOLUTE_POS] as usize, dim, width);
        inverse[ABSOLUTE_POS] = inverse_norm(row.squares, normalized);
    }
}

/// One number of one row a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn gather(
    shards: Sequence<Box<[f32]>>,
    ids: &[u32],
    inverse: &[f32],
    rows: &mut [f32],
    count: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS < count * width {
        let row = ABSOLUTE_POS / width;
        let column = ABSOLUTE_POS % width;
        let mut x = number(&shards, shard_rows, ids[row] as usize, column, width);
        if column < dim {
            x *= inverse[row];
        }
        rows[ABSOLUTE_POS] = x;
    }
}

/// From the gradient `G` of a normalised row to that of the row itself, `(G - (G·c) c) / |c|`; one row a unit.
#[cube(launch)]
fn project(
    rows: &[f32],
    inverse: &[f32],
    gradients: &mut [f32],
    count: usize,
    #[comptime] dim: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS < count {
        let at = ABSOLUTE_POS * width;
        let mut radial = 0.0f32;
        for column in 0..dim {
            radial += gradients[at + column] * rows[at + column];
        }
        for column in 0..dim {
            let g = gradients[at + column];
            gradients[at + column] = (g - radial * rows[at + column]) * inverse[ABSOLUTE_POS];
        }
    }
}

/// One list behind the other.
#[cube(launch)]
fn join(first: &[u32], second: &[u32], all: &mut [u32], split: usize, len: usize) {
    if ABSOLUTE_POS < len {
        if ABSOLUTE_POS < split {
            all[ABSOLUTE_POS] = first[ABSOLUTE_POS];
        } else {
            all[ABSOLUTE_POS] = second[ABSOLUTE_POS - split];
        }
    }
}

/// One number of one row's gradient a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_all(
    queries: &[f32],
    shards: Sequence<Box<[f32]>>,
    classes: &[u32],
    starts: &[u32],
    numbers: &[u32],
    edge_queries: &[u32],
    weights: &[f32],
    plain: &[f32],
    inverse: &[f32],
    candidates: &[f32],
    gradients: &mut [f32],
    count: &[u32],
    terms: usize,
    most: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] normalized: bool,
) {
    let width = comptime!(dim + bias as usize);
    let row = ABSOLUTE_POS / width;
    if row < most && row < count[0] as usize {
        let column = ABSOLUTE_POS % width;
        let mut sum = 0.0f32;
        let mut radial = 0.0f32;
        let mut scale = 1.0f32;
        let mut shared = 0.0f32;
        for at in starts[row] as usize..starts[row + 1] as usize {
            let place = numbers[at] as usize;
            if place >= terms {
                shared += candidates[(place - terms) * width + column];
            } else {
                let weight = weights[place];
                if column < dim {
                    sum += weight * queries[edge_queries[place] as usize * dim + column];
                    radial += weight * plain[place];
                    scale = inverse[place];
                } else {
                    sum += weight;
                }
            }
        }
        if comptime!(normalized) {
            if column < dim {
                let x = number(&shards, shard_rows, classes[row] as usize, column, width);
                sum = (sum - radial * x * scale) * scale;
            }
        }
        gradients[ABSOLUTE_POS] = sum + shared;
    }
}
