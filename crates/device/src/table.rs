//! Tables of rows, in shards that fit a binding.

use cubecl::client::Client;
use cubecl::prelude::*;

use crate::Buffer;
use crate::buffer::{cube_dim, grid};

/// A table of rows on a device.
///
/// Shard `s` has the rows `s * shard_rows ..`; every shard is a buffer of its own. A clone names the same rows.
#[derive(Clone, Debug)]
pub struct Table {
    rows: usize,
    width: usize,
    shard_rows: usize,
    shards: Vec<Buffer<f32>>,
}

impl Table {
    /// Copies a table of the host, `[rows, width]`, in shards of a given number of rows.
    ///
    /// # Panics
    /// If `data` is no whole number of rows, or there are no rows in a shard.
    pub fn in_shards(client: &Client, data: &[f32], width: usize, shard_rows: usize) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "{} numbers are no rows of {width}", data.len());
        assert!(shard_rows > 0, "a row of {width} numbers does not fit a buffer of the device");
        let shards = data.chunks(shard_rows * width).map(|rows| Buffer::upload(client, rows)).collect();
        Self { rows: data.len() / width, width, shard_rows, shards }
    }

    /// Room for `rows` rows, of no particular value.
    ///
    /// # Panics
    /// If there are no rows, in the table or in a shard.
    pub fn empty(client: &Client, rows: usize, width: usize, shard_rows: usize) -> Self {
        assert!(rows > 0 && shard_rows > 0, "{rows} rows of {width} numbers, {shard_rows} in a shard");
        let firsts = (0..rows).step_by(shard_rows);
        let shards = firsts.map(|first| Buffer::empty(client, (rows - first).min(shard_rows) * width)).collect();
        Self { rows, width, shard_rows, shards }
    }

    /// Rows of that width that a buffer can hold.
    pub fn largest_shard(client: &Client, width: usize) -> usize {
        let bytes = client.properties().memory.max_page_size.min(1 << 31) as usize;
        bytes / (width * size_of::<f32>())
    }

    /// Copies all rows to the host, `[rows, width]`.
    pub fn download(&self) -> Vec<f32> {
        self.shards.iter().flat_map(Buffer::download).collect()
    }

    /// Copies of some rows, `[ids.len(), width]`, on the device.
    pub fn gather(&self, ids: &Buffer<u32>) -> Buffer<f32> {
        let (client, len) = (self.client(), ids.len() * self.width);
        let rows = Buffer::empty(client, len);
        let args = (self.arg(), ids.arg(), rows.arg());
        gather_rows::launch(client, grid(len), cube_dim(), args.0, args.1, args.2, len, self.shard_rows, self.width);
        rows
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows in a shard; the last may have fewer.
    pub fn shard_rows(&self) -> usize {
        self.shard_rows
    }

    /// The device.
    pub fn client(&self) -> &Client {
        self.shards[0].client()
    }

    pub(crate) fn shards(&self) -> &[Buffer<f32>] {
        &self.shards
    }

    /// All shards as one argument of a kernel.
    pub(crate) fn arg(&self) -> SequenceArg<Box<[f32]>> {
        self.shards.iter().map(Buffer::arg).collect()
    }
}

/// One number of one row a unit.
#[cube(launch)]
fn gather_rows(
    shards: Sequence<Box<[f32]>>,
    ids: &[u32],
    rows: &mut [f32],
    len: usize,
    shard_rows: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS < len {
        let row = ids[ABSOLUTE_POS / width] as usize;
        rows[ABSOLUTE_POS] = number(&shards, shard_rows, row, ABSOLUTE_POS % width, width);
    }
}

/// A product of a query with a row, and the sum of the row's squares.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Product {
    pub dot: f32,
    pub squares: f32,
    /// The number after the first `dim` of the row; 0 without a bias.
    pub bias: f32,
}

/// The product of `dim` numbers from `query_at` on with the first `dim` of a row.
#[cube]
pub(crate) fn product(
    queries: &[f32],
    query_at: usize,
    shards: &Sequence<Box<[f32]>>,
    shard_rows: usize,
    row: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
) -> Product {
    let mut dot = 0.0f32;
    let mut squares = 0.0f32;
    let mut last = 0.0f32;
    let shard = row / shard_rows;
    let width = comptime!(dim + bias as usize);
    let at = (row - shard * shard_rows) * width;
    #[unroll]
    for number in 0..shards.len() {
        if shard == number {
            let rows = &shards[number];
            for j in 0..dim {
                let x = rows[at + j];
                dot += queries[query_at + j] * x;
                squares += x * x;
            }
            if comptime!(bias) {
                last = rows[at + dim];
            }
        }
    }
    Product { dot, squares, bias: last }
}

/// One number of a row.
#[cube]
pub(crate) fn number(
    shards: &Sequence<Box<[f32]>>,
    shard_rows: usize,
    row: usize,
    column: usize,
    #[comptime] width: usize,
) -> f32 {
    let mut value = 0.0f32;
    let shard = row / shard_rows;
    let at = (row - shard * shard_rows) * width + column;
    #[unroll]
    for number in 0..shards.len() {
        if shard == number {
            value = shards[number][at];
        }
    }
    value
}

/// `1 / |row|` from the sum of squares, at most 1e12; 1 for rows that enter as they are.
#[cube]
pub(crate) fn inverse_norm(squares: f32, #[comptime] normalized: bool) -> f32 {
    let mut inverse = 1.0f32;
    if comptime!(normalized) {
        let norm = squares.sqrt();
        inverse = 1e12f32;
        if norm > 1e-12f32 {
            inverse = 1.0f32 / norm;
        }
    }
    inverse
}

/// The list that an element belongs to: the last whose start is not above it.
#[cube]
pub(crate) fn list_of(starts: &[u32], lists: usize, element: u32) -> usize {
    let mut low = 0usize;
    let mut high = lists;
    while low + 1 < high {
        let middle = (low + high) / 2;
        if starts[middle] <= element {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{client, numbers};

    #[test]
    fn rows_are_gathered_from_all_shards() {
        let Some(client) = client() else { return };
        let data = numbers(7 * 3, 1);
        let (table, ids) = (Table::in_shards(&client, &data, 3, 2), [6u32, 0, 3, 3]);
        let want: Vec<f32> = ids.iter().flat_map(|&id| data[id as usize * 3..][..3].to_vec()).collect();
        assert_eq!(table.gather(&Buffer::upload(&client, &ids)).download(), want);
    }
}
