//! Kernel samplers: draws in proportion to a kernel estimate of the softmax, through a tree of feature sums.
//!
//! RF-softmax is the method of Rawat et al. 2019 (arXiv 1907.10747) over the tree of Blanc & Rendle 2018 (arXiv 1712.00527,
//! section 3.2). Every node keeps `S(C) = sum of w_i phi(c_i)` over its classes; a child is chosen in proportion to
//! `phi(h) · S(child)`; the tree stops at leaves of many classes, which one of three [leaf laws](LeafLaw) shares out.
//! Nodes have four children, where the papers have two: see `levels`.
//!
//! Cosine and sine products can be negative, on which the papers are silent. Here a child counts with
//! `max(phi(h)·S, floor · w(C))`, `w(C)` the weight of its classes, and a conditional is the clamped child over the sum
//! of the clamped children, never over the parent's own estimate. So `q` sums to one under every floor, and
//! [`ln_prob`](crate::Law::ln_prob) repeats the arithmetic of the draw.
//!
//! Which classes share a leaf is set by [`Grouping`]: neighbours by id, as in the papers, or by frequency, or classes whose
//! rows lie near each other; leaves may also grow along the order. `q` sums to one under all of them. What the tree keeps
//! of the classes lies in the order of the leaves, so that a leaf is one stretch. Only the class rows, which two of the
//! leaf laws read, stay where they are; unless the order is that of the ids, a leaf gathers them.
//!
//! Order by id or frequency follows from the settings and never changes. Order by similarity is made anew at every
//! `regroup_every`-th refresh, for O(n d log n) and the cost of a build; the refreshes in between move no class. A
//! checkpoint then keeps the order and the number of refreshes beside the sums of the leaves.
//!
//! The tree asks little of its [feature map](crate::FeatureMap): over the map of the quadratic kernel it is the sampler
//! of Blanc & Rendle, built by [`QuadraticConfig`].

mod config;
mod law;
mod levels;
mod masses;
mod quadratic;
mod refresh;
mod shared;
mod state;
mod sums;

pub(crate) use config::prior_weights;
pub use config::{LeafLaw, RffConfig};
pub use law::KernelLaw;
pub use quadratic::QuadraticConfig;
pub(crate) use refresh::{LARGEST_BIAS, REBUILT_LEAVES};

use std::borrow::Cow;
use std::ops::Range;

use crate::descent::walk_block;
use crate::half::Half;
use crate::memory::Buffer;
use crate::work::Counters;
use crate::{
    Block, ClassId, Classes, Draw, Error, FeatureMap, Grouping, LeafPlan, Leaves, MIN_NORM, Sampler, Work, dot,
};
use levels::Levels;
use sums::Sums;

/// A kernel sampler through a tree of feature sums. [`RffConfig::build`] makes the RF-softmax sampler,
/// [`QuadraticConfig::build`] that of the quadratic kernel.
///
/// With `L = n / leaf_size` leaves and `F` features (`2D` for RF-softmax): a draw costs O(F log L) and the scoring of one
/// leaf, shared by all the draws of a query that pass the same nodes; a refresh O(dD + F log L) a touched row; memory
/// `16/3 L F` bytes and `8 n`; for [`LeafLaw::Features`], which keeps numbers of 16 bits, `8/3 L F`, `8 n` and `2 n F`;
/// an order of classes that is not that of the table takes another `8 n`.
#[derive(Clone, Debug)]
pub struct KernelTree {
    map: FeatureMap,
    leaf_law: LeafLaw,
    plan: LeafPlan,
    regroup_every: u64,
    /// Seed of the grouping by similarity.
    seed: u64,
    floor: f32,
    /// Prior weight of each class, by id; empty when all are one.
    prior: Vec<f32>,
    /// `w_i = prior_i · exp(b_i)`, by slot; `[n]`.
    weights: Vec<f32>,
    /// What a row is multiplied by before the map: `1 / |row|`, or one where the map takes raw rows; by slot, `[n]`.
    inverse_norms: Vec<f32>,
    /// `phi` of every class, by slot, `[n, F]`; for the leaf law `features` only.
    class_features: Buffer<Half>,
    levels: Levels,
    /// Sums of all nodes, in the order of `levels`: leaves first.
    sums: Sums,
    /// `w(C)` of the same nodes.
    masses: Vec<f32>,
    /// The next leaf to be summed anew.
    next_rebuild: usize,
    /// Refreshes so far.
    steps: u64,
    work: Counters,
}

impl KernelTree {
    /// Number of classes.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there are no classes. A built tree has some.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Which classes share a leaf.
    pub fn leaves(&self) -> &Leaves {
        &self.levels.leaves
    }

    /// The feature map.
    pub fn map(&self) -> &FeatureMap {
        &self.map
    }

    /// How leaves share their probability.
    pub fn leaf_law(&self) -> LeafLaw {
        self.leaf_law
    }

    /// Smallest estimate, as a multiple of the weight of a node's classes.
    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// Prior weight of each class, by id; empty when all are one.
    pub fn prior(&self) -> &[f32] {
        &self.prior
    }

    /// Steps between regroupings by similarity; 0 for never.
    pub fn regroup_every(&self) -> u64 {
        self.regroup_every
    }

    fn slots_of(&self, leaf: usize) -> Range<usize> {
        self.levels.leaves.slots(leaf)
    }

    fn class_at(&self, slot: usize) -> usize {
        self.levels.leaves.class_at(slot) as usize
    }

    /// What a query or a row is multiplied by before the map.
    fn scale_of(&self, vector: &[f32]) -> f32 {
        if self.map.takes_directions() { 1.0 / dot(vector, vector).sqrt().max(MIN_NORM) } else { 1.0 }
    }

    /// Whether the masses of a query are finite. Directions always have finite ones; a raw query need not.
    fn takes(&self, query: &[f32], features: &[f32]) -> bool {
        dot(query, query).is_finite() && (self.map.takes_directions() || self.root_estimate(features).is_finite())
    }

    /// The kernel estimate of all classes together.
    fn root_estimate(&self, features: &[f32]) -> f32 {
        let root = self.levels.root();
        let mut estimate = [0.0];
        self.sums.rows(root..root + 1, self.map.width()).products(&[features], &mut estimate);
        estimate[0]
    }
}

impl Sampler for KernelTree {
    type Law<'a> = KernelLaw<'a>;

    fn features(&self, queries: &[f32], classes: Classes<'_>) -> Vec<f32> {
        let d = classes.dim();
        let count = queries.len() / d;
        let query = |i: usize| &queries[i * d..][..d];
        let mut features = Vec::with_capacity(count * self.map.width());
        self.map.map(count, |i| (query(i), self.scale_of(query(i))), |_, phi| features.extend_from_slice(phi));
        features
    }

    fn law<'a>(
        &'a self,
        query: &'a [f32],
        features: Cow<'a, [f32]>,
        classes: Classes<'a>,
    ) -> Result<KernelLaw<'a>, Error> {
        if self.takes(query, &features) {
            Ok(KernelLaw { tree: self, query, query_norm: self.scale_of(query), features, classes })
        } else {
            Err(Error::BadQuery)
        }
    }

    fn shared_law<'a>(&'a self, queries: &[f32], classes: Classes<'a>) -> Result<KernelLaw<'a>, Error> {
        self.shared(queries, classes)
    }

    fn draw_block(&self, block: &Block<'_>) -> Result<Vec<Vec<Draw>>, Error> {
        let (drawn, work) = walk_block(block, |query, features| self.law(query, features, block.classes))?;
        self.work.add(work);
        Ok(drawn)
    }

    fn reads_before(&self) -> bool {
        self.leaf_law != LeafLaw::Features
    }

    fn refresh(&mut self, changed: &[ClassId], before: &[f32], classes: Classes<'_>) -> Result<(), Error> {
        self.refresh_rows(changed, before, classes)
    }

    fn bytes(&self) -> usize {
        let floats = [&self.weights, &self.inverse_norms, &self.masses, &self.prior];
        floats.iter().map(|kept| size_of_val(kept.as_slice())).sum::<usize>()
            + self.levels.leaves.bytes()
            + self.sums.bytes()
            + size_of_val(&*self.class_features)
            + self.map.bytes()
    }

    fn work(&self) -> Work {
        self.work.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Law, Purpose, stream};
    use rand::RngExt;

    #[test]
    fn work_counts_what_a_draw_and_a_refresh_touch() {
        // Leaves of 4 classes under 4 nodes under the root.
        let (n, d) = (64, 3);
        let mut rng = stream(1, Purpose::Init, 0, 0);
        let rows: Vec<f32> = (0..n * d).map(|_| rng.random_range(-1.0..1.0)).collect();
        let classes = Classes::new(&rows, d).normalized();
        let config = RffConfig { features: 16, leaf_size: Some(4), ..Default::default() };
        let mut tree = config.build(classes, &[], 1).unwrap();
        let built = tree.work();
        assert_eq!(built, Work { nodes_refreshed: 16 + 4 + 1, ..Work::default() });

        tree.at(&rows[..d], classes).unwrap().draw_at(&[0.5], &[], &mut Vec::new()).unwrap();
        assert_eq!(tree.work() - built, Work { node_masses: 4 + 4, class_masses: 4, nodes_refreshed: 0 });
        let drawn = tree.work();
        tree.refresh(&[5], &[], classes).unwrap();
        assert_eq!(tree.work() - drawn, Work { nodes_refreshed: 1 + 1 + 1, ..Work::default() });
        assert_eq!(tree.clone().work(), tree.work());
    }
}
