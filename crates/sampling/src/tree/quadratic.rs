//! Settings of the quadratic-kernel sampler and its construction.

use serde::{Deserialize, Serialize};

use super::config::{LeafLaw, Tree, bad, check_common, plan, prior_weights};
use super::{Grouping, KernelTree};
use crate::feature_map::QuadraticMap;
use crate::{Classes, Error, FeatureMap};

/// Settings of the quadratic kernel, `q_i ∝ w_i (alpha (h·c_i)² + 1)` (Blanc & Rendle 2018, section 3.3).
///
/// The tree holds the exact features of the kernel, so `q` is that law up to rounding, for every leaf size. Over
/// normalised classes the kernel takes unit vectors `h` and `c_i`; over raw ones it takes the query as it enters the
/// logits and the rows as they are, so that it is `alpha o_i² + 1` of the logit without bias. (For `alpha o_i²` over
/// normalised classes, multiply `alpha` by `tau²`.) A bias weighs a class by `w_i = e^{b_i}`.
///
/// The kernel is symmetric: a class opposite to the query is as likely as one beside it. Both papers therefore train with
/// the absolute softmax, `p ∝ exp(|o|)`; see [`Classes::absolute`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuadraticConfig {
    /// Steepness `alpha` of the kernel.
    pub alpha: f32,
    /// Mean number of classes in a leaf; by default `d`: scoring a leaf, O(d) a class, then costs what half a level of the tree does,
    /// and the tree takes `8/3 n d` bytes, two thirds of the class table.
    pub leaf_size: Option<usize>,
    /// Which classes share a leaf; it changes costs and rounding, not the law.
    pub grouping: Grouping,
    /// How fast leaves grow with the place in the order, `g`: leaf `k` of `L` ends at `n ((k + 1) / L)^g`. 1 for equal
    /// leaves.
    pub growth: f32,
    /// Steps between regroupings by similarity, each a build anew; 0 for never. Other groupings do not change.
    pub regroup_every: u64,
    /// Exponent `a` of the prior weight `((count_i + 1) / max)^a`; 0 is the published sampler.
    pub prior: f32,
    /// Largest memory of the sampler, in GiB (2³⁰ bytes).
    pub memory_gib: f64,
}

impl Default for QuadraticConfig {
    fn default() -> Self {
        Self {
            alpha: 100.0,
            leaf_size: None,
            grouping: Grouping::Index,
            growth: 1.0,
            regroup_every: 1000,
            prior: 0.0,
            memory_gib: 12.0,
        }
    }
}

impl QuadraticConfig {
    /// Builds the tree over `classes`, whose training counts (empty if unknown) give the prior and the order by
    /// frequency. The seed decides the grouping by similarity alone. Costs O(n d²).
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a setting out of range, [`Error::TooLarge`] for a tree above `memory_gib`,
    /// [`Error::NotFinite`] for a row that is not finite.
    pub fn build(&self, classes: Classes<'_>, counts: &[u64], seed: u64) -> Result<KernelTree, Error> {
        check_common(classes.len(), counts, self.leaf_size, self.prior)?;
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            bad("alpha", self.alpha.to_string(), "it must be positive and finite")?;
        }
        let map = QuadraticMap::new(classes.dim(), self.alpha, classes.is_normalized());
        let tree = Tree {
            leaf_law: LeafLaw::Gauss,
            plan: plan(self.grouping, classes.len(), self.leaf_size.unwrap_or(classes.dim()), self.growth),
            regroup_every: self.regroup_every,
            counts,
            seed,
            // K >= 1, so no estimate is smaller than the weight of its classes but by rounding, which this undoes.
            floor: 1.0,
            prior: prior_weights(self.prior, counts),
            memory_gib: self.memory_gib,
        };
        tree.build(classes, map.width(), || FeatureMap::Quadratic(map))
    }
}
