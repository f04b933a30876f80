//! The feature map of a tree.

use cubecl::client::Client;
use cubecl::prelude::*;

use crate::buffer::{cube_dim, grid};
use crate::table::{inverse_norm, number};
use crate::{Buffer, Table};

/// Largest exponent of a positive feature, as on the host.
const LARGEST_EXPONENT: f32 = 15.0;

/// Which features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// `1/sqrt(D) [cos(w·u), sin(w·u)]`.
    Fourier = 0,
    /// `exp(-nu |u|²)/sqrt(2D) [exp(w·u), exp(-w·u)]`.
    Positive = 1,
    /// The upper triangle of `sqrt(alpha) u uᵀ`, and a one.
    Quadratic = 2,
}

/// A feature map of the host, to be copied to the device.
#[derive(Clone, Copy, Debug)]
pub struct MapParts<'a> {
    /// Which features.
    pub kind: MapKind,
    /// Frequencies, `[D, d]`; none of the quadratic kernel.
    pub frequencies: &'a [f32],
    /// `nu`, or `alpha` of the quadratic kernel.
    pub sharpness: f32,
    /// Whether vectors enter divided by their norm.
    pub directions: bool,
}

/// A feature map on a device. One unit computes a *column*: a frequency with both its features, or one product of the quadratic kernel.
#[derive(Clone, Debug)]
pub(super) struct Map {
    pub kind: MapKind,
    pub dim: usize,
    pub columns: usize,
    pub sharpness: f32,
    pub directions: bool,
    /// Frequencies, `[D, d]`; of the quadratic kernel the two components of each product, the one being a product of none.
    pub operands: Buffer<f32>,
}

impl Map {
    pub fn upload(client: &Client, parts: MapParts<'_>, dim: usize) -> Self {
        let MapParts { kind, frequencies, sharpness, directions } = parts;
        let (columns, operands) = match kind {
            MapKind::Quadratic => {
                let pairs: Vec<f32> = (0..dim).flat_map(|i| (i..dim).flat_map(move |j| [i as f32, j as f32])).collect();
                (pairs.len() / 2 + 1, Buffer::upload(client, &[&pairs[..], &[0.0; 2]].concat()))
            }
            _ => (frequencies.len() / dim, Buffer::upload(client, frequencies)),
        };
        Self { kind, dim, columns, sharpness, directions, operands }
    }

    /// Numbers in a feature vector, `F`, without the padding of the host.
    pub fn width(&self) -> usize {
        if self.kind == MapKind::Quadratic { self.columns } else { 2 * self.columns }
    }

    /// `1 / |h|` of each query, or one where vectors enter as they are; and their features, `[B, F]`.
    pub fn of_queries(&self, queries: &Buffer<f32>) -> (Buffer<f32>, Buffer<f32>) {
        let (client, batch) = (queries.client(), queries.len() / self.dim);
        let (scales, phi) = (Buffer::<f32>::empty(client, batch), Buffer::<f32>::empty(client, batch * self.width()));
        let args = (queries.arg(), scales.arg());
        scale_queries::launch(client, grid(batch), cube_dim(), args.0, args.1, batch, self.dim, self.directions);
        map_queries::launch(
            client,
            grid(batch * self.columns),
            cube_dim(),
            self.operands.arg(),
            queries.arg(),
            scales.arg(),
            phi.arg(),
            batch,
            self.columns,
            self.sharpness,
            self.dim,
            self.kind as u32,
        );
        (scales, phi)
    }

    /// Puts the features of the rows of some classes in their slots of `[n, F]`.
    pub fn of_classes(
        &self,
        table: &Table,
        [classes, slots]: [&Buffer<u32>; 2],
        count: usize,
        scales: &Buffer<f32>,
        features: &Table,
    ) {
        for (number, shard) in features.shards().iter().enumerate() {
            map_classes::launch(
                table.client(),
                grid(count * self.columns),
                cube_dim(),
                self.operands.arg(),
                table.arg(),
                classes.arg(),
                slots.arg(),
                scales.arg(),
                shard.arg(),
                count,
                number * features.shard_rows(),
                features.shard_rows(),
                table.shard_rows(),
                self.columns,
                self.sharpness,
                self.dim,
                table.width(),
                self.kind as u32,
            );
        }
    }
}

/// The features of a column.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Pair {
    pub first: f32,
    /// Nothing of the quadratic kernel.
    pub second: f32,
}

/// Cosine and sine in f32, as the host computes them: `x = k pi/2 + r` in three parts of pi/2, polynomials on `|r| <= pi/4`, the signs of the
/// quadrant. The functions of graphics cards are far less exact.
#[cube]
fn cos_sin(x: f32) -> Pair {
    let k = (x * std::f32::consts::FRAC_2_PI + 0.5f32).floor();
    let r = ((x - k * 1.570_312_5f32) - k * 4.837_513e-4f32) - k * 7.549_79e-8f32;
    let r2 = r * r;
    let sine = ((-1.951_529_6e-4f32 * r2 + 8.332_161e-3f32) * r2 - 1.666_665_5e-1f32) * r2 * r + r;
    let cosine =
        ((2.443_315_7e-5f32 * r2 - 1.388_731_6e-3f32) * r2 + 4.166_664_6e-2f32) * r2 * r2 - 0.5f32 * r2 + 1.0f32;
    let quadrant = k - 4.0f32 * (k * 0.25f32).floor();
    let mut cos = cosine;
    let mut sin = sine;
    if quadrant > 2.5f32 {
        cos = sine;
        sin = 0.0f32 - cosine;
    } else if quadrant > 1.5f32 {
        cos = 0.0f32 - cosine;
        sin = 0.0f32 - sine;
    } else if quadrant > 0.5f32 {
        cos = 0.0f32 - sine;
        sin = cosine;
    }
    Pair { first: cos, second: sin }
}

/// From a column's product with a scaled vector, and the vector's square, to its features.
#[cube]
pub(super) fn features_of(
    product: f32,
    squares: f32,
    column: usize,
    columns: usize,
    sharpness: f32,
    #[comptime] kind: u32,
) -> Pair {
    let mut pair = Pair { first: 0.0f32, second: 0.0f32 };
    if comptime!(kind == 0) {
        let norm = 1.0f32 / f32::cast_from(columns as u32).sqrt();
        let found = cos_sin(product);
        pair.first = found.first * norm;
        pair.second = found.second * norm;
    } else if comptime!(kind == 1) {
        let ln_norm = -0.5f32 * (2.0f32 * f32::cast_from(columns as u32)).ln();
        let mut plus = product - sharpness * squares;
        let mut minus = 0.0f32 - product - sharpness * squares;
        if plus > LARGEST_EXPONENT {
            plus = f32::new(LARGEST_EXPONENT);
        }
        if minus > LARGEST_EXPONENT {
            minus = f32::new(LARGEST_EXPONENT);
        }
        pair.first = (plus + ln_norm).exp();
        pair.second = (minus + ln_norm).exp();
    } else {
        pair.first = product * sharpness.sqrt();
        if column + 1 == columns {
            pair.first = 1.0f32;
        }
    }
    pair
}

/// A column's product with a vector, and the vector's square.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Raw {
    pub product: f32,
    pub squares: f32,
}

/// The product of two components, twice over off the diagonal, times the root of two there, as the triangle has it.
#[cube]
fn quadratic_product(i: usize, j: usize, x: f32, y: f32) -> f32 {
    let mut product = x * y;
    if i != j {
        product *= std::f32::consts::SQRT_2;
    }
    product
}

/// The product of a column with a vector that lies in a buffer, multiplied by a scale.
#[cube]
pub(super) fn raw_of_buffer(
    operands: &[f32],
    column: usize,
    rows: &[f32],
    at: usize,
    scale: f32,
    #[comptime] dim: usize,
    #[comptime] kind: u32,
) -> Raw {
    let mut product = 0.0f32;
    let mut squares = 0.0f32;
    if comptime!(kind == 2) {
        let i = u32::cast_from(operands[2 * column]) as usize;
        let j = u32::cast_from(operands[2 * column + 1]) as usize;
        product = quadratic_product(i, j, rows[at + i] * scale, rows[at + j] * scale);
    } else {
        for j in 0..dim {
            let x = rows[at + j] * scale;
            product += operands[column * dim + j] * x;
            squares += x * x;
        }
    }
    Raw { product, squares }
}

/// The same of a row of a table.
#[cube]
#[allow(clippy::too_many_arguments)]
pub(super) fn raw_of_table(
    operands: &[f32],
    column: usize,
    shards: &Sequence<Box<[f32]>>,
    shard_rows: usize,
    row: usize,
    scale: f32,
    #[comptime] dim: usize,
    #[comptime] width: usize,
    #[comptime] kind: u32,
) -> Raw {
    let mut product = 0.0f32;
    let mut squares = 0.0f32;
    if comptime!(kind == 2) {
        let i = u32::cast_from(operands[2 * column]) as usize;
        let j = u32::cast_from(operands[2 * column + 1]) as usize;
        let x = number(shards, shard_rows, row, i, width) * scale;
        let y = number(shards, shard_rows, row, j, width) * scale;
        product = quadratic_product(i, j, x, y);
    } else {
        let shard = row / shard_rows;
        let at = (row - shard * shard_rows) * width;
        #[unroll]
        for number in 0..shards.len() {
            if shard == number {
                let rows = &shards[number];
                for j in 0..dim {
                    let x = rows[at + j] * scale;
                    product += operands[column * dim + j] * x;
                    squares += x * x;
                }
            }
        }
    }
    Raw { product, squares }
}

/// Puts the features of a column in a feature vector.
#[cube]
fn store(phi: &mut [f32], at: usize, column: usize, columns: usize, pair: Pair, #[comptime] kind: u32) {
    phi[at + column] = pair.first;
    if comptime!(kind != 2) {
        phi[at + columns + column] = pair.second;
    }
}

#[cube(launch)]
fn scale_queries(
    queries: &[f32],
    scales: &mut [f32],
    batch: usize,
    #[comptime] dim: usize,
    #[comptime] directions: bool,
) {
    if ABSOLUTE_POS < batch {
        let mut squares = 0.0f32;
        for j in 0..dim {
            let x = queries[ABSOLUTE_POS * dim + j];
            squares += x * x;
        }
        scales[ABSOLUTE_POS] = inverse_norm(squares, directions);
    }
}

#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn map_queries(
    operands: &[f32],
    queries: &[f32],
    scales: &[f32],
    phi: &mut [f32],
    batch: usize,
    columns: usize,
    sharpness: f32,
    #[comptime] dim: usize,
    #[comptime] kind: u32,
) {
    if ABSOLUTE_POS < batch * columns {
        let query = ABSOLUTE_POS / columns;
        let column = ABSOLUTE_POS % columns;
        let raw = raw_of_buffer(operands, column, queries, query * dim, scales[query], dim, kind);
        let pair = features_of(raw.product, raw.squares, column, columns, sharpness, kind);
        let width = columns * comptime!(if kind == 2 { 1usize } else { 2usize });
        store(phi, query * width, column, columns, pair, kind);
    }
}

/// One column of one class a unit; classes of other shards are left alone.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn map_classes(
    operands: &[f32],
    shards: Sequence<Box<[f32]>>,
    classes: &[u32],
    slots: &[u32],
    scales: &[f32],
    features: &mut [f32],
    count: usize,
    first: usize,
    rows: usize,
    shard_rows: usize,
    columns: usize,
    sharpness: f32,
    #[comptime] dim: usize,
    #[comptime] width: usize,
    #[comptime] kind: u32,
) {
    if ABSOLUTE_POS < count * columns {
        let place = ABSOLUTE_POS / columns;
        let column = ABSOLUTE_POS % columns;
        let slot = slots[place] as usize;
        if slot >= first && slot < first + rows {
            let class = classes[place] as usize;
            let raw = raw_of_table(operands, column, &shards, shard_rows, class, scales[slot], dim, width, kind);
            let pair = features_of(raw.product, raw.squares, column, columns, sharpness, kind);
            let features_width = columns * comptime!(if kind == 2 { 1usize } else { 2usize });
            store(features, (slot - first) * features_width, column, columns, pair, kind);
        }
    }
}
