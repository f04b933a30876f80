//! All classes of a table, some of them at a time: the softmax over all, its gradient, and the best classes.
//!
//! The logits `[B, count]` of a [`Chunk`] are a product that is left to a library for dense algebra. What is here makes the rows that
//! enter it, and takes up the logits, whose memory is bounded whatever the number of classes.

mod best;
mod gradient;
mod softmax;

use cubecl::prelude::*;

pub use best::Best;
pub use gradient::AllRows;
pub use softmax::{Settled, Softmax};

use crate::buffer::{cube_dim, grid};
use crate::table::{inverse_norm, list_of};
use crate::{Buffer, Table};

/// Bytes of the logits, and of the rows, of a chunk.
const WORKSPACE: usize = 64 << 20;

/// The logit of a class that is left out: lower than any other.
pub(crate) const LEFT_OUT: f32 = -3.4e38;

/// Neighbouring classes of a table, all in one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The first class.
    pub first: usize,
    /// How many.
    pub count: usize,
}

impl Chunk {
    /// All classes of a table, in chunks of at most `rows`.
    ///
    /// # Panics
    /// If `rows` is zero.
    pub fn of(table: &Table, rows: usize) -> Vec<Self> {
        let shards = (0..table.rows()).step_by(table.shard_rows());
        let chunks = shards.flat_map(|start| {
            let end = (start + table.shard_rows()).min(table.rows());
            (start..end).step_by(rows).map(move |first| Self { first, count: rows.min(end - first) })
        });
        chunks.collect()
    }

    /// Rows of a chunk for a batch: its logits and its rows take 64 MiB at most, or those of one class.
    pub fn rows_for(batch: usize, table: &Table) -> usize {
        (WORKSPACE / 4 / batch.max(table.width())).max(1)
    }

    /// The rows as they enter the logits.
    pub fn rows(self, table: &Table, dim: usize, normalized: bool) -> ChunkRows {
        let (client, count) = (table.client(), self.count);
        let rows = ChunkRows {
            rows: Buffer::empty(client, count * dim),
            biases: Buffer::empty(client, count),
            inverse: Buffer::empty(client, count),
        };
        let shard = &table.shards()[self.first / table.shard_rows()];
        let first = self.first % table.shard_rows();
        measure_rows::launch(
            client,
            grid(count),
            cube_dim(),
            shard.arg(),
            rows.inverse.arg(),
            rows.biases.arg(),
            first,
            count,
            dim,
            table.width() > dim,
            normalized,
        );
        scale_rows::launch(
            client,
            grid(count * dim),
            cube_dim(),
            shard.arg(),
            rows.inverse.arg(),
            rows.rows.arg(),
            first,
            count,
            dim,
            table.width() > dim,
        );
        rows
    }
}

/// The rows of a chunk as they enter the logits.
#[derive(Clone, Debug)]
pub struct ChunkRows {
    /// Embeddings, divided by their norms if they are to be, `[count, d]`.
    pub rows: Buffer<f32>,
    /// Biases, `[count]`; zeros without.
    pub biases: Buffer<f32>,
    /// `1 / |c|` of each row, `[count]`; 1 for rows that enter as they are.
    pub inverse: Buffer<f32>,
}

/// Sees to it that the listed classes of each query have no part in a chunk. List `b` ends where list `b + 1` begins.
fn leave_out(logits: &Buffer<f32>, chunk: Chunk, starts: &Buffer<u32>, ids: &Buffer<u32>) {
    if ids.is_empty() {
        return;
    }
    mark_left_out::launch(
        logits.client(),
        grid(ids.len()),
        cube_dim(),
        logits.arg(),
        starts.arg(),
        ids.arg(),
        starts.len() - 1,
        chunk.first,
        chunk.count,
        ids.len(),
    );
}

/// One row a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn measure_rows(
    rows: &[f32],
    inverse: &mut [f32],
    biases: &mut [f32],
    first: usize,
    count: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] normalized: bool,
) {
    if ABSOLUTE_POS < count {
        let at = (first + ABSOLUTE_POS) * comptime!(dim + bias as usize);
        let mut squares = 0.0f32;
        if comptime!(normalized) {
            for j in 0..dim {
                squares += rows[at + j] * rows[at + j];
            }
        }
        inverse[ABSOLUTE_POS] = inverse_norm(squares, normalized);
        let mut last = 0.0f32;
        if comptime!(bias) {
            last = rows[at + dim];
        }
        biases[ABSOLUTE_POS] = last;
    }
}

/// One number a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn scale_rows(
    rows: &[f32],
    inverse: &[f32],
    scaled: &mut [f32],
    first: usize,
    count: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
) {
    if ABSOLUTE_POS < count * dim {
        let row = ABSOLUTE_POS / dim;
        let column = ABSOLUTE_POS % dim;
        scaled[ABSOLUTE_POS] = inverse[row] * rows[(first + row) * comptime!(dim + bias as usize) + column];
    }
}

/// One listed class a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn mark_left_out(
    logits: &mut [f32],
    starts: &[u32],
    ids: &[u32],
    batch: usize,
    first: usize,
    count: usize,
    listed: usize,
) {
    if ABSOLUTE_POS < listed {
        let class = ids[ABSOLUTE_POS] as usize;
        if class >= first && class < first + count {
            let query = list_of(starts, batch, ABSOLUTE_POS as u32);
            logits[query * count + class - first] = f32::new(LEFT_OUT);
        }
    }
}
