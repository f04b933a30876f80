//! Tables of rows, in shards that fit a binding.

use std::ops::Range;

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
        self.gather_first(ids, self.width)
    }

    /// Copies of the first `dim` numbers of some rows, `[ids.len(), dim]`, on the device.
    pub(crate) fn gather_first(&self, ids: &Buffer<u32>, dim: usize) -> Buffer<f32> {
        let (client, lanes) = (self.client(), lanes(&[dim, self.width]));
        let rows = Buffer::empty(client, ids.len() * dim);
        let len = rows.len() / lanes;
        gather_rows::launch(
            client,
            grid(len),
            cube_dim(),
            lanes,
            self.arg(),
            ids.arg(),
            rows.arg(),
            len,
            self.shard_rows,
            dim / lanes,
            self.width / lanes,
        );
        rows
    }

    /// Puts the rows of a part of the first `count[0]` of a list, `[part.len(), width]`, in their places.
    pub(crate) fn scatter(&self, ids: &Buffer<u32>, count: &Buffer<u32>, part: Range<usize>, rows: &Buffer<f32>) {
        let lanes = lanes(&[self.width]);
        let (width, len) = (self.width / lanes, part.len() * self.width / lanes);
        for (number, shard) in self.shards.iter().enumerate() {
            let args = (rows.arg(), ids.arg(), count.arg(), shard.arg());
            let first = number * self.shard_rows;
            scatter_rows::launch(
                self.client(),
                grid(len),
                cube_dim(),
                lanes,
                args.0,
                args.1,
                args.2,
                args.3,
                len,
                part.start,
                first,
                self.shard_rows,
                width,
            );
        }
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
    pub(crate) fn arg<E: CubePrimitive>(&self) -> SequenceArg<Box<[E]>> {
        self.shards.iter().map(Buffer::arg).collect()
    }
}

/// Numbers that a unit reads at once: four where rows of all these widths are made of fours, and one elsewhere. Units that read rows of their own
/// number by number ask the cache four times as often.
pub(crate) fn lanes(widths: &[usize]) -> usize {
    if widths.iter().all(|width| width.is_multiple_of(4)) { 4 } else { 1 }
}

/// `N` numbers of one row a unit.
#[cube(launch)]
fn gather_rows<N: Size>(
    shards: Sequence<Box<[Vector<f32, N>]>>,
    ids: &[u32],
    rows: &mut [Vector<f32, N>],
    len: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS < len {
        let row = ids[ABSOLUTE_POS / dim] as usize;
        rows[ABSOLUTE_POS] = lane(&shards, shard_rows, row, ABSOLUTE_POS % dim, width);
    }
}

/// The reverse; rows of other shards are left alone.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn scatter_rows<N: Size>(
    rows: &[Vector<f32, N>],
    ids: &[u32],
    count: &[u32],
    shard: &mut [Vector<f32, N>],
    len: usize,
    start: usize,
    first: usize,
    shard_rows: usize,
    #[comptime] width: usize,
) {
    let place = start + ABSOLUTE_POS / width;
    if ABSOLUTE_POS < len && place < count[0] as usize {
        let row = ids[place] as usize;
        if row >= first && row < first + shard_rows {
            shard[(row - first) * width + ABSOLUTE_POS % width] = rows[ABSOLUTE_POS];
        }
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

/// The product of a query with the first `dim` numbers of a row.
#[cube]
pub(crate) fn product<N: Size>(
    queries: &[Vector<f32, N>],
    query: usize,
    shards: &Sequence<Box<[Vector<f32, N>]>>,
    shard_rows: usize,
    row: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
) -> Product {
    let mut dot = Vector::<f32, N>::new(0.0f32);
    let mut squares = Vector::<f32, N>::new(0.0f32);
    let mut last = 0.0f32;
    let lanes = N::value();
    let reads = comptime!(dim / lanes);
    let shard = row / shard_rows;
    let at = (row - shard * shard_rows) * comptime!((dim + bias as usize) / lanes);
    #[unroll]
    for number in 0..shards.len() {
        if shard == number {
            let rows = &shards[number];
            for j in 0..reads {
                let x = rows[at + j];
                dot += queries[query * reads + j] * x;
                squares += x * x;
            }
            if comptime!(bias) {
                // Rows with a bias are read number by number: `dim` and `dim + 1` are not both made of fours.
                last = rows[at + reads].extract(0usize);
            }
        }
    }
    Product { dot: dot.vector_sum(), squares: squares.vector_sum(), bias: last }
}

/// What a row is without a query.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Squares {
    pub squares: f32,
    /// The number after the first `dim` of the row; 0 without a bias.
    pub bias: f32,
}

/// The sum of the squares of the first `dim` numbers of a row.
#[cube]
pub(crate) fn squares_of<N: Size>(
    shards: &Sequence<Box<[Vector<f32, N>]>>,
    shard_rows: usize,
    row: usize,
    #[comptime] dim: usize,
    #[comptime] width: usize,
) -> Squares {
    let mut squares = Vector::<f32, N>::new(0.0f32);
    let mut last = 0.0f32;
    let lanes = N::value();
    let reads = comptime!(dim / lanes);
    let shard = row / shard_rows;
    let at = (row - shard * shard_rows) * comptime!(width / lanes);
    #[unroll]
    for number in 0..shards.len() {
        if shard == number {
            let rows = &shards[number];
            for j in 0..reads {
                let x = rows[at + j];
                squares += x * x;
            }
            if comptime!(width > dim) {
                // Rows with a bias are read number by number: `dim` and `dim + 1` are not both made of fours.
                last = rows[at + reads].extract(0usize);
            }
        }
    }
    Squares { squares: squares.vector_sum(), bias: last }
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

/// `N` numbers of a row, with column and width in steps of `N`.
#[cube]
pub(crate) fn lane<N: Size>(
    shards: &Sequence<Box<[Vector<f32, N>]>>,
    shard_rows: usize,
    row: usize,
    column: usize,
    #[comptime] width: usize,
) -> Vector<f32, N> {
    let mut value = Vector::<f32, N>::new(0.0f32);
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
    fn rows_are_gathered_from_all_shards_and_put_back() {
        let Some(client) = client() else { return };
        // Number by number, and by fours.
        for (width, dim) in [(3, 2), (8, 4)] {
            let data = numbers(7 * width, 1);
            let (table, ids) = (Table::in_shards(&client, &data, width, 2), [6u32, 0, 3, 3]);
            let rows =
                |dim| ids.iter().flat_map(|&id| data[id as usize * width..][..dim].to_vec()).collect::<Vec<f32>>();
            let on_device = Buffer::upload(&client, &ids);
            assert_eq!(table.gather(&on_device).download(), rows(width));
            assert_eq!(table.gather_first(&on_device, dim).download(), rows(dim));

            let put = numbers(3 * width, 2);
            let (count, put) = (Buffer::upload(&client, &[3]), Buffer::upload(&client, &put));
            // Of the last three the list has but two.
            table.scatter(&on_device, &count, 1..4, &put);
            let (put, mut want) = (put.download(), data.clone());
            want[..width].copy_from_slice(&put[..width]);
            want[3 * width..][..width].copy_from_slice(&put[width..2 * width]);
            assert_eq!(table.download(), want);
        }
    }
}
