//! One law for a whole batch.

use rayon::prelude::*;

use super::moments::{add_squares, weighted_squares};
use super::{ClusterLaw, ClusterSampler};
use crate::descent::Descent;
use crate::linalg::all_dots;
use crate::vector::add_scaled;
use crate::{Classes, Error, dot};

/// Queries whose masses one parallel task computes: fixed, so that the law does not depend on the number of threads.
const QUERIES_A_TASK: usize = 64;

/// A batch that asks as one. The children of the root, leaves or groups of leaves, are chosen as the mixture of the
/// queries' laws does, `q̄(C) = 1/B sum_b q(C | h_b)`. Below a child the true mixture would cost `B` softmaxes. In its place
/// stands its second-order expansion about those who come there, with weights `g_b = q(C | h_b)`: as `q(i | C, h_b)` is
/// about `exp(h_b·(c_i - mu)) / W`, their mean is about `exp(h̄·c_i + v·(c_i - mu)² / 2)` up to a constant, with `h̄` and
/// `v` the mean and the variance of the components of `h_b` under `g_b`. Without dispersion `v` is left out.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    dim: usize,
    /// `[B, d]`.
    queries: Vec<f32>,
    /// `q(C | h_b)` of the children of the root, `[children, B]`.
    shares: Vec<f32>,
    /// `sum_b q(C | h_b)`.
    masses: Vec<f32>,
}

impl ClusterSampler {
    /// O(B L d) for the masses of the children of the root.
    pub(super) fn batch(&self, queries: &[f32], classes: Classes<'_>) -> Result<Batch, Error> {
        let dim = classes.dim();
        let blocks = queries.par_chunks(QUERIES_A_TASK * dim);
        let blocks: Result<Vec<Vec<f32>>, Error> = blocks.map(|queries| self.root_masses(queries, classes)).collect();
        let blocks = blocks?;
        let (count, top) = (queries.len() / dim, self.shape.height());
        let children = self.shape.children(top, 0).len();
        let mut shares = vec![0.0; children * count];
        shares.par_chunks_mut(count).enumerate().for_each(|(child, shares)| {
            let rows = blocks.iter().flat_map(|block| block.chunks_exact(children));
            shares.iter_mut().zip(rows).for_each(|(share, row)| *share = row[child]);
        });
        let masses = shares.par_chunks(count).map(|shares| shares.iter().sum()).collect();
        Ok(Batch { dim, queries: queries.to_vec(), shares, masses })
    }

    /// `q(C | h_b)` of the children of the root for some queries, `[B, children]`.
    fn root_masses(&self, queries: &[f32], classes: Classes<'_>) -> Result<Vec<f32>, Error> {
        use crate::Sampler;
        if !queries.chunks_exact(classes.dim()).all(|query| dot(query, query).is_finite()) {
            return Err(Error::BadQuery);
        }
        let features = self.features(queries, classes);
        let (top, width) = (self.shape.height(), self.moments.operand_width());
        let operands: Vec<&[f32]> = features.chunks_exact(width).collect();
        let rows = self.shape.child_rows(top, 0);
        let mut masses = vec![0.0; operands.len() * rows.len()];
        all_dots(&operands, &self.moments.operands[rows.start * width..rows.end * width], width, &mut masses);
        let law = self.law(&queries[..classes.dim()], Default::default(), classes)?;
        for masses in masses.chunks_exact_mut(rows.len()) {
            let total = law.estimates(top, 0, masses) as f32;
            masses.iter_mut().for_each(|mass| *mass /= total);
        }
        Ok(masses)
    }
}

impl Batch {
    pub fn products(&self, law: &ClusterLaw<'_>, level: usize, node: usize, out: &mut [f32]) {
        if level == law.height() {
            out.copy_from_slice(&self.masses);
            return;
        }
        let child = child_of_root(law, level, node);
        let mean = self.mean_query(child);
        if level == 0 {
            self.leaf_products(law, child, mean, node, out);
            return;
        }
        let mut operand = Vec::new();
        law.sampler.moments.extend(&mean, &mut operand);
        law.multiply(&[&operand], level, node, out);
    }

    /// `h̄·c + v·(c - mu)² / 2` less a constant, before the scale of the rows: `(h̄ - v mu)·c + v·c² / 2`.
    fn leaf_products(&self, law: &ClusterLaw<'_>, child: usize, mut mean: Vec<f32>, leaf: usize, out: &mut [f32]) {
        let sampler = law.sampler;
        if sampler.moments.is_plain() {
            law.multiply(&[&mean], 0, leaf, out);
            return;
        }
        let variance = self.variance(child, &mean);
        let centroid = sampler.moments.centroid(sampler.shape.child_rows(sampler.shape.height(), 0).start + child);
        mean.iter_mut().zip(variance.iter().zip(centroid)).for_each(|(h, (v, mu))| *h -= v * mu);
        law.multiply(&[&mean], 0, leaf, out);
        for (product, class) in out.iter_mut().zip(sampler.classes_of(leaf)) {
            let squares = weighted_squares(law.classes.embedding(class), &variance);
            *product += 0.5 * sampler.scale_of(class) * squares;
        }
    }

    /// `q(C | h_b) / sum_b q(C | h_b)`; the same for all where no query comes.
    fn weights(&self, child: usize) -> impl Iterator<Item = (&[f32], f32)> {
        let count = self.queries.len() / self.dim;
        let (shares, mass) = (&self.shares[child * count..][..count], self.masses[child]);
        let weight = move |&share: &f32| if mass > 0.0 { share / mass } else { 1.0 / count as f32 };
        self.queries.chunks_exact(self.dim).zip(shares.iter().map(weight))
    }

    fn mean_query(&self, child: usize) -> Vec<f32> {
        let mut mean = vec![0.0; self.dim];
        self.weights(child).for_each(|(query, weight)| add_scaled(&mut mean, weight, query));
        mean
    }

    fn variance(&self, child: usize, mean: &[f32]) -> Vec<f32> {
        let mut variance = vec![0.0; self.dim];
        self.weights(child).for_each(|(query, weight)| add_squares(&mut variance, weight, query));
        variance.iter_mut().zip(mean).for_each(|(v, mean)| *v = (*v - mean * mean).max(0.0));
        variance
    }
}

/// The child of the root on the way to a node.
fn child_of_root(law: &ClusterLaw<'_>, level: usize, node: usize) -> usize {
    (level + 1..law.height()).fold(node, |child, level| law.parent(level, child))
}
