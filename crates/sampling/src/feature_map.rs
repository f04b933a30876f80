//! Maps `phi` whose products are, or estimate, a kernel: `phi(u)·phi(v) ≈ K(u, v)`.

mod fourier;
mod quadratic;

pub use fourier::FourierMap;
pub use quadratic::QuadraticMap;

use crate::rows::Piece;
use crate::vector::add_scaled_of;

/// The feature map of a tree. One file per map; a tree asks no further which one it is.
#[derive(Clone, Debug)]
pub enum FeatureMap {
    /// Random Fourier features of the Gaussian kernel.
    Fourier(FourierMap),
    /// The quadratic kernel, exactly.
    Quadratic(QuadraticMap),
}

impl FeatureMap {
    /// Width of the map, `F`.
    pub fn width(&self) -> usize {
        match self {
            Self::Fourier(map) => map.width(),
            Self::Quadratic(map) => map.width(),
        }
    }

    /// Whether vectors enter divided by their norm, for the map and the kernel alike.
    pub(crate) fn takes_directions(&self) -> bool {
        match self {
            Self::Fourier(_) => true,
            Self::Quadratic(map) => map.takes_directions(),
        }
    }

    /// Maps vectors, each given scaled: vector `i` is `source(i).0 * source(i).1`. Calls `sink(i, phi)` in order.
    pub(crate) fn map<'v>(
        &self,
        count: usize,
        source: impl Fn(usize) -> (&'v [f32], f32),
        sink: impl FnMut(usize, &[f32]),
    ) {
        match self {
            Self::Fourier(map) => map.map(count, source, sink),
            Self::Quadratic(map) => map.map(count, source, sink),
        }
    }

    /// Adds `weight · phi(scale · row)` of every term to its sum, in the order of the terms.
    pub(crate) fn add_terms(&self, terms: &[Term<'_>], sums: &mut Piece<'_, f32>) {
        match self {
            Self::Fourier(map) => {
                let row = |i: usize| (terms[i].row, terms[i].scale);
                map.map(terms.len(), row, |i, phi| add_scaled_of(sums.row(terms[i].place), terms[i].weight, phi));
            }
            Self::Quadratic(map) => {
                let same_sum = terms.chunk_by(|a, b| a.place == b.place);
                same_sum.for_each(|terms| map.add_terms(terms, sums.row(terms[0].place)));
            }
        }
    }

    /// Turns products `u·v` of vectors, scaled as they enter the map, into the kernel `K(u, v)`.
    pub(crate) fn kernel(&self, products: &mut [f32]) {
        match self {
            Self::Fourier(map) => map.kernel(products),
            Self::Quadratic(map) => map.kernel(products),
        }
    }

    /// Bytes that the map keeps.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Fourier(map) => map.bytes(),
            Self::Quadratic(_) => 0,
        }
    }
}

/// A weighted vector on its way into a sum of features.
pub(crate) struct Term<'c> {
    /// Which sum of the piece.
    pub place: usize,
    pub row: &'c [f32],
    pub scale: f32,
    pub weight: f32,
}
