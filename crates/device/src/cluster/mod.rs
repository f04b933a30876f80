//! The cluster proposal: a leaf by its estimated mass, a class by the softmax inside the leaf.
//!
//! The law is that of `rf_sampling::ClusterSampler` with two levels: leaf `C` with `(1 - epsilon) g(C) / sum g + epsilon u(C)`,
//! `g = W exp(h·mu + h'Sigma h / 2)`, then the exact softmax over its classes. Excluded classes are left out where they are: the mass of
//! their leaf is multiplied by the share of the kept ones, so that nothing cancels.

mod draw;
mod masses;
mod refresh;
mod shared;

pub use shared::Mixture;

use cubecl::client::Client;

use crate::rows::Places;
use crate::{Buffer, Table};

/// A cluster sampler on the host, to be copied to the device.
#[derive(Clone, Copy, Debug)]
pub struct ClusterParts<'a> {
    /// First slot of each leaf, and `n`; `[L + 1]`.
    pub bounds: &'a [u32],
    /// Class of each slot, `[n]`.
    pub order: &'a [u32],
    /// `[W, sum w c, sum w c²]` of each leaf, `[L, 1 + 2 d]`; without dispersion `[W, sum w c]`.
    pub sums: &'a [f32],
    /// Share of each leaf in the law of frequencies, `[L]`.
    pub frequencies: &'a [f32],
    /// Share of that law.
    pub epsilon: f32,
    /// Whether the variance of each component is kept.
    pub diagonal: bool,
    /// The next leaf to be summed anew.
    pub next_rebuild: usize,
}

/// A cluster sampler on a device.
#[derive(Clone, Debug)]
pub struct Cluster {
    leaves: usize,
    dim: usize,
    bounds: Buffer<u32>,
    places: Places,
    sums: Buffer<f32>,
    /// What queries are multiplied with, `[d + s, L]`: leaves side by side.
    operands: Buffer<f32>,
    ln_weights: Buffer<f32>,
    frequencies: Buffer<f32>,
    /// Factor of the row of each class, and its weight `e^b`.
    scales: Buffer<f32>,
    weights: Buffer<f32>,
    epsilon: f32,
    diagonal: bool,
    normalized: bool,
    next_rebuild: usize,
}

impl Cluster {
    /// Copies a sampler whose rows are in `table`.
    ///
    /// # Panics
    /// If the lengths do not agree.
    pub fn upload(client: &Client, parts: ClusterParts<'_>, table: &Table, dim: usize, normalized: bool) -> Self {
        let (leaves, n) = (parts.bounds.len() - 1, parts.order.len());
        let spread = if parts.diagonal { dim } else { 0 };
        assert_eq!((parts.sums.len(), n), (leaves * (1 + dim + spread), table.rows()), "sums of leaves, and classes");
        let mut slot_of = vec![0; n];
        parts.order.iter().zip(0..).for_each(|(&class, slot)| slot_of[class as usize] = slot);
        let floats = |len| Buffer::<f32>::empty(client, len);
        let cluster = Self {
            leaves,
            dim,
            bounds: Buffer::upload(client, parts.bounds),
            places: Places { slot_of: Buffer::upload(client, &slot_of), class_at: Buffer::upload(client, parts.order) },
            sums: Buffer::upload(client, parts.sums),
            operands: floats(leaves * (dim + spread)),
            ln_weights: floats(leaves),
            frequencies: Buffer::upload(client, parts.frequencies),
            scales: floats(n),
            weights: floats(n),
            epsilon: parts.epsilon,
            diagonal: parts.diagonal,
            normalized,
            next_rebuild: parts.next_rebuild,
        };
        let all: Vec<u32> = (0..n.max(leaves) as u32).collect();
        let all = Buffer::upload(client, &all);
        let old = [floats(n), floats(n)];
        cluster.weigh_rows(table, &cluster.places.class_at, &Buffer::upload(client, &[n as u32]), &old);
        cluster.derive(&all, &Buffer::upload(client, &[leaves as u32]), leaves);
        cluster
    }

    /// Sums of the leaves, and the next leaf to be summed anew: what a checkpoint keeps. Waits for the device.
    pub fn download(&self) -> (Vec<f32>, usize) {
        (self.sums.download(), self.next_rebuild)
    }

    /// Where the classes lie.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        let floats = [&self.sums, &self.operands, &self.ln_weights, &self.frequencies, &self.scales, &self.weights];
        let words = [&self.bounds, &self.places.slot_of, &self.places.class_at];
        4 * (floats.map(Buffer::len).iter().sum::<usize>() + words.map(Buffer::len).iter().sum::<usize>())
    }

    /// Bytes of the masses of a batch.
    pub fn workspace(leaves: usize, batch: usize) -> usize {
        4 * batch * leaves
    }
}

#[cfg(test)]
mod tests;
