//! Gradients of all rows of a table.

use cubecl::prelude::*;

use super::{Chunk, ChunkRows};
use crate::buffer::{cube_dim, grid};
use crate::rows::count_up;
use crate::{Buffer, Table, Touched};

/// Gradients of all rows, in shards as the table's.
#[derive(Debug)]
pub struct AllRows {
    shards: Vec<Buffer<f32>>,
    shard_rows: usize,
    width: usize,
}

impl AllRows {
    /// Room for the gradients of a table, of no particular value.
    pub fn new(table: &Table) -> Self {
        let shards = table.shards().iter().map(|shard| Buffer::empty(table.client(), shard.len())).collect();
        Self { shards, shard_rows: table.shard_rows(), width: table.width() }
    }

    /// Sets the gradients of a chunk from those of its rows as they enter the logits, `[count, d]`, and of its biases, `[count]`, which
    /// are not looked at without biases.
    ///
    /// The gradient of `u = c/|c|`, `G`, becomes `(G - (G·u) u) / |c|`.
    pub fn set(&self, chunk: Chunk, rows: &ChunkRows, gradients: &Buffer<f32>, biases: &Buffer<f32>, normalized: bool) {
        let (client, count) = (gradients.client(), chunk.count);
        let radial = Buffer::<f32>::empty(client, count);
        let (dim, shard) = (rows.rows.len() / count, &self.shards[chunk.first / self.shard_rows]);
        if normalized {
            find_radial::launch(
                client,
                grid(count),
                cube_dim(),
                rows.rows.arg(),
                gradients.arg(),
                radial.arg(),
                count,
                dim,
            );
        }
        write_gradients::launch(
            client,
            grid(count * self.width),
            cube_dim(),
            rows.rows.arg(),
            rows.inverse.arg(),
            gradients.arg(),
            biases.arg(),
            radial.arg(),
            shard.arg(),
            chunk.first % self.shard_rows,
            count,
            dim,
            self.width > dim,
            normalized,
        );
    }

    /// The rows of each shard with their gradients, all chunks being set.
    pub fn into_touched(self) -> Vec<Touched> {
        let shards = self.shards.into_iter().enumerate();
        let touched = shards.map(|(number, gradients)| {
            let ids = count_up(gradients.client(), number * self.shard_rows, gradients.len() / self.width);
            Touched::rows(&ids, gradients)
        });
        touched.collect()
    }
}

/// The products of gradients and rows, one row a unit.
#[cube(launch)]
fn find_radial(rows: &[f32], gradients: &[f32], radial: &mut [f32], count: usize, dim: usize) {
    if ABSOLUTE_POS < count {
        let mut sum = 0.0f32;
        for j in 0..dim {
            sum += rows[ABSOLUTE_POS * dim + j] * gradients[ABSOLUTE_POS * dim + j];
        }
        radial[ABSOLUTE_POS] = sum;
    }
}

/// One number of one row's gradient a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn write_gradients(
    rows: &[f32],
    inverse: &[f32],
    gradients: &[f32],
    biases: &[f32],
    radial: &[f32],
    to: &mut [f32],
    first: usize,
    count: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] normalized: bool,
) {
    let width = comptime!(dim + bias as usize);
    if ABSOLUTE_POS < count * width {
        let row = ABSOLUTE_POS / width;
        let column = ABSOLUTE_POS % width;
        let mut value = 0.0f32;
        if column < dim {
            let at = row * dim + column;
            value = gradients[at];
            if comptime!(normalized) {
                value = (value - radial[row] * rows[at]) * inverse[row];
            }
        } else if comptime!(bias) {
            value = biases[row];
        }
        to[first * width + ABSOLUTE_POS] = value;
    }
}
