//! One law for a whole batch.

use std::borrow::Cow;

use rayon::prelude::*;

use super::moments::weighted_squares;
use super::{ClusterLaw, ClusterSampler};
use crate::descent::Descent;
use crate::linalg::{Matrix, Threads, matmul};
use crate::vector::add_scaled;
use crate::{Classes, Error, Sampler, dot};

/// Queries whose masses one parallel task computes: fixed, so that the law does not depend on the number of threads.
const QUERIES_A_TASK: usize = 128;

/// Children of the root whose queries one parallel task averages.
const CHILDREN_A_TASK: usize = 256;

/// A batch that asks as one. The children of the root, leaves or groups of leaves, are chosen as the mixture of the
/// queries' laws does, `q̄(C) = 1/B sum_b q(C | h_b)`. Below a child the true mixture would cost `B` softmaxes. In its place
/// stands its second-order expansion about those who come there, with weights `g_b = q(C | h_b)`: as `q(i | C, h_b)` is
/// about `exp(h_b·(c_i - mu)) / W`, their mean is about `exp(h̄·c_i + v·(c_i - mu)² / 2)` up to a constant, with `h̄` and
/// `v` the mean and the variance of the components of `h_b` under `g_b`. Without dispersion `v` is left out.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    dim: usize,
    /// `sum_b q(C | h_b)` of the children of the root.
    masses: Vec<f32>,
    /// `h̄` of each child, `[children, d]`.
    means: Vec<f32>,
    /// `v` of each child, `[children, d]`; empty without dispersion.
    variances: Vec<f32>,
}

impl ClusterSampler {
    /// O(B L d), dense products all: the masses of the `L` children of the root, and who comes to each.
    pub(super) fn batch(&self, queries: &[f32], classes: Classes<'_>) -> Result<Batch, Error> {
        let dim = classes.dim();
        if !queries.par_chunks(dim).all(|query| dot(query, query).is_finite()) {
            return Err(Error::BadQuery);
        }
        let (top, count) = (self.shape.height(), queries.len() / dim);
        let children = self.shape.children(top, 0).len();
        let law = self.law(&queries[..dim], Cow::Borrowed(&[]), classes)?;
        let mut shares = vec![0.0; count * children];
        let tasks = shares.par_chunks_mut(QUERIES_A_TASK * children).zip(queries.par_chunks(QUERIES_A_TASK * dim));
        tasks.for_each(|(shares, queries)| law.root_shares(queries, shares));

        let mut batch =
            Batch { dim, masses: vec![0.0; children], means: vec![0.0; children * dim], variances: Vec::new() };
        shares.chunks_exact(children).for_each(|shares| add_scaled(&mut batch.masses, 1.0, shares));
        weighted_means(&shares, queries, &batch.masses, &mut batch.means);
        if !self.moments.is_plain() {
            let squares: Vec<f32> = queries.par_iter().map(|x| x * x).collect();
            batch.variances = vec![0.0; children * dim];
            weighted_means(&shares, &squares, &batch.masses, &mut batch.variances);
            let pairs = batch.variances.par_iter_mut().zip(&batch.means);
            pairs.for_each(|(v, mean)| *v = (*v - mean * mean).max(0.0));
        }
        Ok(batch)
    }
}

impl ClusterLaw<'_> {
    /// `q(C | h_b)` of the children of the root for some queries, `[queries, children]`.
    fn root_shares(&self, queries: &[f32], shares: &mut [f32]) {
        let (sampler, top) = (self.sampler, self.height());
        let (rows, width) = (sampler.shape.child_rows(top, 0), sampler.moments.operand_width());
        let features = sampler.features(queries, self.classes);
        let features = Matrix::new(&features, features.len() / width, width);
        let children = Matrix::new(&sampler.moments.operands[rows.start * width..], rows.len(), width);
        matmul(shares, rows.len(), 0.0, features, children.t(), Threads::One);
        for masses in shares.chunks_exact_mut(rows.len()) {
            let total = self.estimates(top, 0, masses) as f32;
            masses.iter_mut().for_each(|mass| *mass /= total);
        }
    }
}

/// Means of the rows under the shares of each child; zero for a child that nobody comes to.
///
/// # Shapes
/// - shares: `[B, children]`, and their sums over `B`, `masses`: `[children]`
/// - rows: `[B, d]`
/// - means: `[children, d]`
fn weighted_means(shares: &[f32], rows: &[f32], masses: &[f32], means: &mut [f32]) {
    let (children, dim) = (masses.len(), means.len() / masses.len());
    let count = rows.len() / dim;
    let tasks = means.par_chunks_mut(CHILDREN_A_TASK * dim).zip(masses.par_chunks(CHILDREN_A_TASK)).enumerate();
    tasks.for_each(|(task, (means, masses))| {
        let shares = Matrix::with_stride(&shares[task * CHILDREN_A_TASK..], count, masses.len(), children);
        matmul(means, dim, 0.0, shares.t(), Matrix::new(rows, count, dim), Threads::One);
        for (mean, &mass) in means.chunks_exact_mut(dim).zip(masses) {
            let scale = if mass > 0.0 { 1.0 / mass } else { 0.0 };
            mean.iter_mut().for_each(|x| *x *= scale);
        }
    });
}

impl Batch {
    pub fn products(&self, law: &ClusterLaw<'_>, level: usize, node: usize, out: &mut [f32]) {
        if level == law.height() {
            out.copy_from_slice(&self.masses);
            return;
        }
        let child = child_of_root(law, level, node);
        if level == 0 {
            self.leaf_products(law, child, node, out);
            return;
        }
        let mut operand = Vec::new();
        law.sampler.moments.extend(self.of(&self.means, child), &mut operand);
        law.multiply(&[&operand], level, node, out);
    }

    /// `h̄·c + v·(c - mu)² / 2` less a constant, before the scale of the rows: `(h̄ - v mu)·c + v·c² / 2`.
    fn leaf_products(&self, law: &ClusterLaw<'_>, child: usize, leaf: usize, out: &mut [f32]) {
        let (sampler, mean) = (law.sampler, self.of(&self.means, child));
        if sampler.moments.is_plain() {
            law.multiply(&[mean], 0, leaf, out);
            return;
        }
        let variance = self.of(&self.variances, child);
        let centroid = sampler.moments.centroid(sampler.shape.child_rows(sampler.shape.height(), 0).start + child);
        let shifted = mean.iter().zip(variance.iter().zip(centroid)).map(|(h, (v, mu))| h - v * mu);
        let shifted: Vec<f32> = shifted.collect();
        law.multiply(&[&shifted], 0, leaf, out);
        for (product, class) in out.iter_mut().zip(sampler.classes_of(leaf)) {
            let squares = weighted_squares(law.classes.embedding(class), variance);
            *product += 0.5 * sampler.scale_of(class) * squares;
        }
    }

    /// The row of a child.
    fn of<'r>(&self, rows: &'r [f32], child: usize) -> &'r [f32] {
        &rows[child * self.dim..][..self.dim]
    }
}

/// The child of the root on the way to a node.
fn child_of_root(law: &ClusterLaw<'_>, level: usize, node: usize) -> usize {
    (level + 1..law.height()).fold(node, |child, level| law.parent(level, child))
}
