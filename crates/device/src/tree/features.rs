//! The feature map of a tree.

use std::ops::Range;

use cubecl::client::Client;
use cubecl::prelude::*;

use crate::Buffer;
use crate::buffer::{cube_dim, grid};
use crate::table::{inverse_norm, lanes};

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

/// Rows whose products with a frequency one unit computes: the frequency is read once for all of them.
const ROWS: usize = 8;

/// A feature map on a device. A *column* is a frequency with both its features, or one product of the quadratic kernel.
#[derive(Clone, Debug)]
pub(super) struct Map {
    pub kind: MapKind,
    pub dim: usize,
    pub columns: usize,
    pub sharpness: f32,
    pub directions: bool,
    /// Frequencies, `[d / lanes, D, lanes]`, so that units side by side read side by side; of the quadratic kernel the two components of each
    /// product, the one being a product of none.
    pub operands: Buffer<f32>,
    /// Numbers that a unit reads at once.
    lanes: usize,
}

impl Map {
    pub fn upload(client: &Client, parts: MapParts<'_>, dim: usize) -> Self {
        let MapParts { kind, frequencies, sharpness, directions } = parts;
        let lanes = lanes(&[dim]);
        let (columns, operands) = match kind {
            MapKind::Quadratic => {
                let pairs: Vec<f32> = (0..dim).flat_map(|i| (i..dim).flat_map(move |j| [i as f32, j as f32])).collect();
                (pairs.len() / 2 + 1, [&pairs[..], &[0.0; 2]].concat())
            }
            _ => {
                let of = |first| frequencies.chunks(dim).flat_map(move |frequency| &frequency[first..][..lanes]);
                (frequencies.len() / dim, (0..dim).step_by(lanes).flat_map(of).copied().collect())
            }
        };
        Self { kind, dim, columns, sharpness, directions, operands: Buffer::upload(client, &operands), lanes }
    }

    /// Numbers in a feature vector, `F`, without the padding of the host.
    pub fn width(&self) -> usize {
        if self.kind == MapKind::Quadratic { self.columns } else { 2 * self.columns }
    }

    /// Numbers that a unit reads at once of feature vectors.
    pub fn feature_lanes(&self) -> usize {
        lanes(&[self.width()])
    }

    /// `1 / |h|` of each query, or one where vectors enter as they are; and their features, `[B, F]`.
    pub fn of_queries(&self, queries: &Buffer<f32>) -> (Buffer<f32>, Buffer<f32>) {
        let (client, batch) = (queries.client(), queries.len() / self.dim);
        let scales = Buffer::<f32>::empty(client, batch);
        let args = (queries.arg(), scales.arg());
        scale_queries::launch(client, grid(batch), cube_dim(), args.0, args.1, batch, self.dim, self.directions);
        let phi = self.of_rows(queries, &scales, &Buffer::upload(client, &[batch as u32]), 0..batch);
        (scales, phi)
    }

    /// Features of a part of the first `used[0]` of some rows, `[part.len(), F]`; behind these, of no particular value.
    ///
    /// # Shapes
    /// - rows: `[any, d]`
    /// - scales: what each row is multiplied by
    pub fn of_rows(
        &self,
        rows: &Buffer<f32>,
        scales: &Buffer<f32>,
        used: &Buffer<u32>,
        part: Range<usize>,
    ) -> Buffer<f32> {
        let (client, count) = (rows.client(), part.len());
        let phi = Buffer::empty(client, count * self.width());
        let args = (self.operands.arg(), rows.arg(), scales.arg(), used.arg(), phi.arg());
        if self.kind == MapKind::Quadratic {
            map_pairs::launch(
                client,
                grid(count * self.columns),
                cube_dim(),
                args.0,
                args.1,
                args.2,
                args.3,
                args.4,
                part.start,
                count,
                self.columns,
                self.sharpness,
                self.dim,
            );
        } else {
            map_rows::launch(
                client,
                grid(count.div_ceil(ROWS) * self.columns),
                cube_dim(),
                self.lanes,
                args.0,
                args.1,
                args.2,
                args.3,
                args.4,
                part.start,
                count,
                self.columns,
                self.sharpness,
                self.dim,
                self.kind as u32,
            );
        }
        phi
    }
}

/// The features of a frequency.
#[derive(CubeType, Clone, Copy)]
struct Pair {
    first: f32,
    second: f32,
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

/// From a frequency's product with a scaled vector, and the vector's square, to its features.
#[cube]
fn features_of(product: f32, squares: f32, columns: usize, sharpness: f32, #[comptime] kind: u32) -> Pair {
    let mut pair = Pair { first: 0.0f32, second: 0.0f32 };
    if comptime!(kind == 0) {
        let norm = 1.0f32 / f32::cast_from(columns as u32).sqrt();
        let found = cos_sin(product);
        pair.first = found.first * norm;
        pair.second = found.second * norm;
    } else {
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
    }
    pair
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

/// One frequency with a few rows a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn map_rows<N: Size>(
    operands: &[Vector<f32, N>],
    rows: &[Vector<f32, N>],
    scales: &[f32],
    used: &[u32],
    phi: &mut [f32],
    start: usize,
    count: usize,
    columns: usize,
    sharpness: f32,
    #[comptime] dim: usize,
    #[comptime] kind: u32,
) {
    let first = ABSOLUTE_POS / columns * ROWS;
    let column = ABSOLUTE_POS % columns;
    if first < count && start + first < used[0] as usize {
        let lanes = N::value();
        let reads = comptime!(dim / lanes);
        let mut at = Array::<usize>::new(ROWS);
        let mut products = Array::<Vector<f32, N>>::new(ROWS);
        let mut squares = Array::<Vector<f32, N>>::new(ROWS);
        #[unroll]
        for k in 0..ROWS {
            // The last rows may be fewer; the last one is computed again.
            let mut row = first + k;
            if row >= count {
                row = count - 1;
            }
            at[k] = (start + row) * reads;
            products[k] = Vector::<f32, N>::new(0.0f32);
            squares[k] = Vector::<f32, N>::new(0.0f32);
        }
        for j in 0..reads {
            let w = operands[j * columns + column];
            #[unroll]
            for k in 0..ROWS {
                let x = rows[at[k] + j];
                products[k] += w * x;
                if comptime!(kind == 1) {
                    squares[k] += x * x;
                }
            }
        }
        #[unroll]
        for k in 0..ROWS {
            let row = first + k;
            if row < count {
                let scale = scales[start + row];
                let product = products[k].vector_sum() * scale;
                let square = squares[k].vector_sum() * scale * scale;
                let pair = features_of(product, square, columns, sharpness, kind);
                phi[row * 2 * columns + column] = pair.first;
                phi[(row * 2 + 1) * columns + column] = pair.second;
            }
        }
    }
}

/// One product of two components of a row a unit, twice over off the diagonal, times the root of two there, as the triangle has it.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn map_pairs(
    operands: &[f32],
    rows: &[f32],
    scales: &[f32],
    used: &[u32],
    phi: &mut [f32],
    start: usize,
    count: usize,
    columns: usize,
    sharpness: f32,
    #[comptime] dim: usize,
) {
    let row = ABSOLUTE_POS / columns;
    let column = ABSOLUTE_POS % columns;
    if row < count && start + row < used[0] as usize {
        let i = u32::cast_from(operands[2 * column]) as usize;
        let j = u32::cast_from(operands[2 * column + 1]) as usize;
        let at = (start + row) * dim;
        let scale = scales[start + row];
        let mut product = rows[at + i] * scale * (rows[at + j] * scale) * sharpness.sqrt();
        if i != j {
            product *= std::f32::consts::SQRT_2;
        }
        if column + 1 == columns {
            product = 1.0f32;
        }
        phi[ABSOLUTE_POS] = product;
    }
}
