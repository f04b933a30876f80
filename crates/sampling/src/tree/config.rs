//! Settings of the RF-softmax sampler and its construction.

use serde::{Deserialize, Serialize};

use super::levels::Levels;
use super::sums::Sums;
use super::{Grouping, KernelTree, LeafPlan};
use crate::memory::Buffer;
use crate::work::Counters;
use crate::{ClassId, Classes, Error, FeatureMap, FeatureMapKind, PositiveMap};

/// How a leaf shares its probability among its classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeafLaw {
    /// `max(phi(h)·phi(c_i), floor) w_i`, as published. Keeps phi of every class, `4 D n` bytes.
    #[default]
    Features,
    /// The kernel itself, `w_i exp(nu (h·c_i - 1))` of the normalised vectors, O(d) a class. (A quadratic tree scores its
    /// leaves in the same way by its own kernel.)
    Gauss,
    /// The softmax inside the leaf, `exp(o_i)` (`exp(|o_i|)` for the absolute softmax), O(d) a class.
    Exact,
}

/// Settings of RF-softmax. The default is the published one (D = 1024, nu = 4, no prior).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RffConfig {
    /// The map of queries and classes; `fourier` is the published one.
    pub map: FeatureMapKind,
    /// Number of frequencies `D`; every map has `F = 2D` features.
    pub features: usize,
    /// Sharpness `nu` of the kernel `exp(-nu |h - c|² / 2)`; the papers' RFF temperature is `T = 1/sqrt(nu)`.
    pub nu: f32,
    /// Law inside a leaf.
    pub leaf_law: LeafLaw,
    /// Mean number of classes in a leaf; by default 8 for `features`, 128 for the laws that score in the original space.
    pub leaf_size: Option<usize>,
    /// Which classes share a leaf; the published sampler takes neighbours by id.
    pub grouping: Grouping,
    /// How fast leaves grow with the place in the order, `g`: leaf `k` of `L` ends at `n ((k + 1) / L)^g`. 1 for equal
    /// leaves.
    pub growth: f32,
    /// Steps between regroupings by similarity, each a build anew; 0 for never. Other groupings do not change.
    pub regroup_every: u64,
    /// Smallest kernel estimate, as a multiple of the weight of a node's classes.
    pub floor: f32,
    /// Exponent `a` of the prior weight `((count_i + 1) / max)^a`; 0 is the published sampler.
    pub prior: f32,
    /// Largest memory of the sampler, in GiB (2³⁰ bytes).
    pub memory_gib: f64,
}

/// Chosen by chi-squared on a language model trained on Penn Treebank (n = 10,000, d = 200, tau = 11.1; 128 held-out
/// queries, D = 1024, nu = 4, leaf law `features`): 68 with a floor of `exp(-2 nu)` = 0.00034, 47 with 0.001, 46 with
/// 0.003, 61 with 0.01, 110 with 0.02, 530 with 0.1; infinite without a floor. `rfs diagnose` measures others, by
/// `--set "loss.sampler={kind='rff', floor=0.01}"`.
const FLOOR: f32 = 0.003;

impl Default for RffConfig {
    fn default() -> Self {
        Self {
            map: FeatureMapKind::Fourier,
            features: 1024,
            nu: 4.0,
            leaf_law: LeafLaw::Features,
            leaf_size: None,
            grouping: Grouping::Index,
            growth: 1.0,
            regroup_every: 1000,
            floor: FLOOR,
            prior: 0.0,
            memory_gib: 12.0,
        }
    }
}

impl RffConfig {
    /// Builds the tree over `classes`, whose training counts (empty if unknown) give the prior and the order by
    /// frequency. Costs O(n d D).
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a setting out of range, [`Error::TooLarge`] for a tree above `memory_gib`,
    /// [`Error::NotFinite`] for a row that is not finite.
    pub fn build(&self, classes: Classes<'_>, counts: &[u64], seed: u64) -> Result<KernelTree, Error> {
        self.check(classes.len(), counts)?;
        let tree = Tree {
            leaf_law: self.leaf_law,
            plan: plan(self.grouping, classes.len(), self.leaf_size(), self.growth),
            regroup_every: self.regroup_every,
            counts,
            seed,
            floor: self.floor,
            prior: prior_weights(self.prior, counts),
            memory_gib: self.memory_gib,
        };
        let map = || self.map.build(classes.dim(), self.features, self.nu, seed);
        tree.build(classes, self.map.width(self.features), map)
    }

    /// Mean number of classes in a leaf, the default resolved.
    pub fn leaf_size(&self) -> usize {
        self.leaf_size.unwrap_or(match self.leaf_law {
            LeafLaw::Features => 8,
            LeafLaw::Gauss | LeafLaw::Exact => 128,
        })
    }

    fn check(&self, n: usize, counts: &[u64]) -> Result<(), Error> {
        check_common(n, counts, self.leaf_size, self.prior)?;
        if self.features == 0 {
            return bad("features", "0".into(), "it must be at least 1");
        }
        if !(self.nu > 0.0 && self.nu.is_finite()) {
            return bad("nu", self.nu.to_string(), "it must be positive and finite");
        }
        if self.map == FeatureMapKind::Positive && self.nu > PositiveMap::LARGEST_NU {
            return bad("nu", self.nu.to_string(), "positive features of a sharpness above 40 leave the range of f32");
        }
        if !(self.floor >= 0.0 && self.floor.is_finite()) {
            return bad("floor", self.floor.to_string(), "it must be at least 0 and finite");
        }
        Ok(())
    }
}

/// What makes a tree, whichever its map.
pub(super) struct Tree<'a> {
    pub leaf_law: LeafLaw,
    pub plan: LeafPlan,
    pub regroup_every: u64,
    /// Training counts; empty if unknown.
    pub counts: &'a [u64],
    /// Seed of the grouping by similarity.
    pub seed: u64,
    pub floor: f32,
    /// Prior weight of each class; empty when all are one.
    pub prior: Vec<f32>,
    pub memory_gib: f64,
}

impl Tree<'_> {
    /// Builds the tree over `classes`, with a map of `width` features that is made once the tree is known to fit.
    pub fn build(
        self,
        classes: Classes<'_>,
        width: usize,
        map: impl FnOnce() -> FeatureMap,
    ) -> Result<KernelTree, Error> {
        let (n, nodes) = (classes.len(), Levels::nodes_over(self.plan.leaves));
        let kept = if self.leaf_law == LeafLaw::Features { n } else { 0 };
        self.check_memory(n, kept, nodes, width)?;
        let leaves = self.plan.arrange(classes, self.counts, self.seed)?;
        let mut tree = KernelTree {
            map: map(),
            leaf_law: self.leaf_law,
            plan: self.plan,
            regroup_every: self.regroup_every,
            seed: self.seed,
            floor: self.floor,
            prior: self.prior,
            weights: vec![0.0; n],
            inverse_norms: vec![1.0; n],
            class_features: Buffer::zeros(kept * width),
            levels: Levels::new(leaves),
            sums: Sums::zeros(nodes, width, self.leaf_law == LeafLaw::Features),
            masses: vec![0.0; nodes],
            next_rebuild: 0,
            steps: 0,
            work: Counters::default(),
        };
        tree.rebuild(classes)?;
        Ok(tree)
    }

    /// `kept` classes whose features are kept, `nodes` nodes of sums.
    fn check_memory(&self, n: usize, kept: usize, nodes: usize, width: usize) -> Result<(), Error> {
        let limit = (self.memory_gib * (1u64 << 30) as f64) as u64;
        let number = if self.leaf_law == LeafLaw::Features { 2 } else { 4 };
        let tree = nodes as u64 * (number * width as u64 + 4) + 12 * n as u64 + self.plan.most_bytes(n) as u64;
        let phi = 2 * kept as u64 * width as u64;
        if phi + tree <= limit {
            return Ok(());
        }
        let what = if phi > 0 { "phi of every class with the tree of sums" } else { "the tree of sums" };
        Err(Error::TooLarge { what, needed: phi + tree, limit })
    }
}

/// Refuses what no tree can be built from.
pub(super) fn check_common(n: usize, counts: &[u64], leaf_size: Option<usize>, prior: f32) -> Result<(), Error> {
    if n == 0 || n >= ClassId::MAX as usize {
        return bad("classes", n.to_string(), "there must be at least 1 and fewer than 2^32 - 1");
    }
    if leaf_size == Some(0) {
        return bad("leaf_size", "0".into(), "it must be at least 1");
    }
    if !prior.is_finite() {
        return bad("prior", prior.to_string(), "it must be finite");
    }
    if prior != 0.0 && counts.len() != n {
        return bad("prior", prior.to_string(), "a prior needs the training count of every class");
    }
    if !counts.is_empty() && counts.len() != n {
        return bad("counts", counts.len().to_string(), "there must be one training count for each class");
    }
    Ok(())
}

/// How `n` classes are laid out in leaves of a mean size.
pub(super) fn plan(grouping: Grouping, n: usize, leaf_size: usize, growth: f32) -> LeafPlan {
    LeafPlan { growth, ..LeafPlan::new(grouping, n.div_ceil(leaf_size)) }
}

pub(super) fn bad(field: &'static str, value: String, why: &'static str) -> Result<(), Error> {
    Err(Error::BadSetting { field, value, why })
}

/// `((count_i + 1) / max)^a` with `max` the largest `count + 1`; empty for `a = 0`.
pub(crate) fn prior_weights(prior: f32, counts: &[u64]) -> Vec<f32> {
    if prior == 0.0 {
        return Vec::new();
    }
    let max = counts.iter().max().copied().unwrap_or(0) as f64 + 1.0;
    counts.iter().map(|&count| ((count as f64 + 1.0) / max).powf(f64::from(prior)) as f32).collect()
}
