//! Maps `phi` whose products are, or estimate, a kernel: `phi(u)·phi(v) ≈ K(u, v)`.

mod fourier;
mod hadamard;
mod kind;
mod orthogonal;
mod positive;
mod projection;
mod quadratic;
mod structured;

pub use fourier::FourierMap;
pub use kind::FeatureMapKind;
pub use positive::PositiveMap;
pub use projection::ProjectionKind;
pub use quadratic::QuadraticMap;

use crate::rows::Piece;
use crate::vector::{add_scaled_of, exp_in_place};

/// The width of a random map is a multiple of this: rows of whole cache lines, and no odd ends in products.
const WIDTH_STEP: usize = 32;

/// The feature map of a tree. One file per map; a tree asks no further which one it is.
#[derive(Clone, Debug)]
pub enum FeatureMap {
    /// Random Fourier features of the Gaussian kernel.
    Fourier(FourierMap),
    /// Positive random features of the same kernel.
    Positive(PositiveMap),
    /// The quadratic kernel, exactly.
    Quadratic(QuadraticMap),
}

impl FeatureMap {
    /// Width of the map, `F`.
    pub fn width(&self) -> usize {
        match self {
            Self::Fourier(map) => map.width(),
            Self::Positive(map) => map.width(),
            Self::Quadratic(map) => map.width(),
        }
    }

    /// Whether vectors enter divided by their norm, for the map and the kernel alike.
    pub(crate) fn takes_directions(&self) -> bool {
        match self {
            Self::Fourier(_) | Self::Positive(_) => true,
            Self::Quadratic(map) => map.takes_directions(),
        }
    }

    /// Maps vectors, each given scaled: vector `i` is `source(i).0 * source(i).1`. Calls `sink(i, phi)` in order.
    pub fn map<'v>(&self, count: usize, source: impl Fn(usize) -> (&'v [f32], f32), sink: impl FnMut(usize, &[f32])) {
        match self {
            Self::Fourier(map) => map.map(count, source, sink),
            Self::Positive(map) => map.map(count, source, sink),
            Self::Quadratic(map) => map.map(count, source, sink),
        }
    }

    /// Adds `weight · phi(scale · row)` of every term to its sum, in the order of the terms.
    pub(crate) fn add_terms(&self, terms: &[Term<'_>], sums: &mut Piece<'_, f32>) {
        match self {
            Self::Fourier(_) | Self::Positive(_) => {
                let row = |i: usize| (terms[i].row, terms[i].scale);
                self.map(terms.len(), row, |i, phi| add_scaled_of(sums.row(terms[i].place), terms[i].weight, phi));
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
            Self::Positive(map) => map.kernel(products),
            Self::Quadratic(map) => map.kernel(products),
        }
    }

    /// What the map is made of, for those who compute it elsewhere.
    pub fn form(&self) -> MapForm {
        match self {
            Self::Fourier(map) => map.form(),
            Self::Positive(map) => map.form(),
            Self::Quadratic(map) => map.form(),
        }
    }

    /// Bytes that the map keeps.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Fourier(map) => map.bytes(),
            Self::Positive(map) => map.bytes(),
            Self::Quadratic(_) => 0,
        }
    }
}

/// What a feature map is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum MapForm {
    /// See [`FourierMap`].
    Fourier {
        /// `w_1 … w_D`, `[D, d]`.
        frequencies: Vec<f32>,
        /// Sharpness of the kernel.
        nu: f32,
    },
    /// See [`PositiveMap`].
    Positive {
        /// `w_1 … w_D`, `[D, d]`.
        frequencies: Vec<f32>,
        /// Sharpness of the kernel.
        nu: f32,
    },
    /// See [`QuadraticMap`].
    Quadratic {
        /// Steepness of the kernel.
        alpha: f32,
        /// Whether vectors enter divided by their norm.
        directions: bool,
    },
}

/// Width of a random map of so many frequencies, two features each.
fn padded_width(frequencies: usize) -> usize {
    (2 * frequencies).next_multiple_of(WIDTH_STEP)
}

/// `exp(nu (x - 1))` for every product `x` of two unit vectors.
fn gaussian_kernel(nu: f32, products: &mut [f32]) {
    products.iter_mut().for_each(|x| *x = nu * (*x - 1.0));
    exp_in_place(products);
}

/// A weighted vector on its way into a sum of features.
pub(crate) struct Term<'c> {
    /// Which sum of the piece.
    pub place: usize,
    pub row: &'c [f32],
    pub scale: f32,
    pub weight: f32,
}

#[cfg(test)]
mod testing {
    //! What the tests of the maps share.

    use rand_distr::{Distribution, StandardNormal};

    use super::FeatureMap;
    use crate::{Purpose, dot, stream};

    /// A random unit vector.
    pub fn unit(seed: u64, dim: usize) -> Vec<f32> {
        let mut rng = stream(seed, Purpose::Init, 0, 0);
        let raw: Vec<f32> = (0..dim).map(|_| StandardNormal.sample(&mut rng)).collect();
        let norm = dot(&raw, &raw).sqrt();
        raw.iter().map(|x| x / norm).collect()
    }

    pub fn phi(map: &FeatureMap, vector: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        map.map(1, |_| (vector, 1.0), |_, phi| out = phi.to_vec());
        out
    }
}
