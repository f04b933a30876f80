//! Cluster proposal: a leaf in proportion to an estimate of its softmax mass, then the exact softmax inside the leaf.
//!
//! The estimate is that of size, centroid and dispersion, `g(C) = W exp(h·mu + h'Sigma h / 2)`, the second-order expansion
//! of `ln sum_i w_i exp(h·c_i)` with `w_i = e^{b_i}`. It needs no unit norms and no kernel width: queries and rows enter
//! as they enter the logits. As the softmax inside a leaf is exact, `p/q` is the same for all classes of a leaf, `p(C) /
//! q(C)`; how far `q` is from `p` is how wrong the masses of the leaves are, and nothing else.
//!
//! A leaf is chosen with `(1 - epsilon) g(C) / sum g + epsilon u(C)`, `u` the law of frequencies, a defensive mixture
//! (Hesterberg 1995) over leaves: mixing single classes would bound `p/q` no better, and would score a leaf for each
//! class that the law of frequencies draws.
//!
//! Two-level proposals of this kind are MIDX (arXiv 2501.08563), whose second stage is uniform, and the hierarchical
//! softmax with size and dispersion. Sums follow every step: new minus old for the touched rows, a few whole leaves in
//! turn, as in [`KernelTree`](crate::KernelTree).

mod config;
mod law;
mod moments;
mod refresh;
mod shape;
mod shared;
mod state;

pub use config::{ClusterConfig, Dispersion};
pub use law::ClusterLaw;

use std::borrow::Cow;

use crate::descent::walk_block;
use crate::work::Counters;
use crate::{Block, ClassId, Classes, Draw, Error, Leaves, Sampler, Work, dot};
use law::Asker;
use moments::Moments;
use shape::Shape;

/// The cluster sampler, made by [`ClusterConfig::build`].
///
/// With `L` leaves: the draws of a query cost O(L d), one product for a block of queries, and O(d) for each class of the
/// visited leaves; a refresh O(d) a touched row; memory `L (16 d + 16)` bytes, `4 n` for norms where rows are normalised,
/// `4 n` for biases, `8 n` for the order of classes where it is not that of the table, and by similarity `8 n` for their
/// counts. With three levels the draws cost O(d) for each group and each leaf of the visited groups.
#[derive(Clone, Debug)]
pub struct ClusterSampler {
    /// Every default filled in.
    config: ClusterConfig,
    seed: u64,
    /// Training counts where leaves change with the rows; else, and if unknown, empty.
    counts: Vec<u64>,
    shape: Shape,
    moments: Moments,
    /// Share of each node in the law of frequencies.
    frequencies: Vec<f32>,
    /// `1 / |row|` for normalised tables, else empty; `[n]`.
    inverse_norms: Vec<f32>,
    /// `w_i = e^{b_i}`; empty without biases; `[n]`.
    weights: Vec<f32>,
    /// Number of classes.
    classes: usize,
    /// The next leaf, and group, to be summed anew.
    next_rebuild: usize,
    /// Refreshes so far.
    steps: u64,
    work: Counters,
}

impl ClusterSampler {
    fn new(config: ClusterConfig, classes: Classes<'_>, counts: &[u64], seed: u64) -> Result<Self, Error> {
        let n = classes.len();
        let leaves = config.plan(n).arrange(classes, counts, seed)?;
        let shape = Shape::new(leaves, config.levels.unwrap_or(2));
        let dispersion = if classes.is_absolute() { Dispersion::None } else { config.dispersion };
        let mut sampler = Self {
            seed,
            counts: Vec::new(),
            moments: Moments::zeros(shape.rows(), classes.dim(), dispersion),
            frequencies: refresh::frequencies(&shape, counts),
            inverse_norms: if classes.is_normalized() { vec![0.0; n] } else { Vec::new() },
            weights: if classes.has_bias() { vec![0.0; n] } else { Vec::new() },
            classes: n,
            shape,
            next_rebuild: 0,
            steps: 0,
            work: Counters::default(),
            config,
        };
        if sampler.regroups() {
            sampler.counts = counts.to_vec();
        }
        sampler.rebuild(classes)?;
        Ok(sampler)
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.classes
    }

    /// Whether there are no classes. A built sampler has some.
    pub fn is_empty(&self) -> bool {
        self.classes == 0
    }

    /// Which classes share a leaf.
    pub fn leaves(&self) -> &Leaves {
        &self.shape.leaves
    }

    /// The settings, every default filled in.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// Share of each leaf in the law of frequencies; with three levels followed by those of the groups.
    pub fn frequencies(&self) -> &[f32] {
        &self.frequencies
    }

    /// Factor of the row of a class.
    fn scale_of(&self, class: usize) -> f32 {
        self.inverse_norms.get(class).copied().unwrap_or(1.0)
    }

    fn weight_of(&self, class: usize) -> f32 {
        self.weights.get(class).copied().unwrap_or(1.0)
    }

    /// The classes of a leaf, in the order of slots.
    fn classes_of(&self, leaf: usize) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.shape.leaves.slots(leaf).map(|slot| self.shape.leaves.class_at(slot) as usize)
    }
}

impl Sampler for ClusterSampler {
    type Law<'a> = ClusterLaw<'a>;

    fn features(&self, queries: &[f32], classes: Classes<'_>) -> Vec<f32> {
        let count = queries.len() / classes.dim();
        let mut features = Vec::with_capacity(count * self.moments.operand_width());
        queries.chunks_exact(classes.dim()).for_each(|query| self.moments.extend(query, &mut features));
        features
    }

    fn law<'a>(
        &'a self,
        query: &'a [f32],
        features: Cow<'a, [f32]>,
        classes: Classes<'a>,
    ) -> Result<ClusterLaw<'a>, Error> {
        if !dot(query, query).is_finite() {
            return Err(Error::BadQuery);
        }
        Ok(ClusterLaw { sampler: self, asker: Asker::One { query, operand: features }, classes })
    }

    fn shared_law<'a>(&'a self, queries: &[f32], classes: Classes<'a>) -> Result<ClusterLaw<'a>, Error> {
        let asker = Asker::Batch(self.batch(queries, classes)?);
        Ok(ClusterLaw { sampler: self, asker, classes })
    }

    fn draw_block(&self, block: &Block<'_>) -> Result<Vec<Vec<Draw>>, Error> {
        let (drawn, work) = walk_block(block, |query, features| self.law(query, features, block.classes))?;
        self.work.add(work);
        Ok(drawn)
    }

    fn reads_before(&self) -> bool {
        true
    }

    fn refresh(&mut self, changed: &[ClassId], before: &[f32], classes: Classes<'_>) -> Result<(), Error> {
        self.refresh_rows(changed, before, classes)
    }

    fn bytes(&self) -> usize {
        let floats = [&self.frequencies, &self.inverse_norms, &self.weights];
        floats.iter().map(|kept| size_of_val(kept.as_slice())).sum::<usize>()
            + size_of_val(self.counts.as_slice())
            + self.moments.bytes()
            + self.shape.leaves.bytes()
    }

    fn work(&self) -> Work {
        self.work.total()
    }
}
