//! Settings of the cluster sampler and its construction.

use serde::{Deserialize, Serialize};

use super::ClusterSampler;
use crate::{Classes, Error, Grouping, LeafPlan};

/// Most classes that two levels serve by default: above, the masses of all leaves cost more than those of a group's.
const LARGEST_TWO_LEVELS: usize = 1_000_000;

/// What is known of the spread of a leaf's classes about their centroid, the second cumulant of its mass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dispersion {
    /// Nothing: `W exp(h·mu)`.
    None,
    /// One number a leaf, the mean variance `s²` of a component: `W exp(h·mu + s² |h|² / 2)`.
    Scalar,
    /// The variance of each component: `W exp(h·mu + h'diag(s²)h / 2)`.
    #[default]
    Diagonal,
}

/// Settings of the cluster sampler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Mean number of classes in a leaf. By default, for two levels, `sqrt(n) / 8` and at least 12, twice that by
    /// similarity: the masses of all leaves, one product for a block of queries, then cost about what the scattered rows
    /// of the visited leaves do. For three levels `n^(1/3) / 2`.
    pub leaf_size: Option<usize>,
    /// Which classes share a leaf; by default neighbours in frequency where training counts are known, else in id. Text
    /// is best served by frequency; where most classes are equally rare, as the labels of a long tail, similarity is.
    pub grouping: Option<Grouping>,
    /// How fast leaves grow with the place in the order, `g`: leaf `k` of `L` ends at `n ((k + 1) / L)^g`. 1 for equal
    /// leaves; by default 2 for leaves by frequency, so that the frequent classes, which have most of the probability,
    /// lie in small ones.
    pub growth: Option<f32>,
    /// Exponent `a` of the weight `(count + 1)^a` that a class has in the grouping by similarity.
    pub weight_power: f32,
    /// What leaf masses know beside the centroid.
    pub dispersion: Dispersion,
    /// Share of the law of frequencies in the choice of a leaf: it bounds `p/q` by `p(leaf) / (epsilon u(leaf))`.
    pub epsilon: f32,
    /// Levels of choice, 2 or 3, the classes of a leaf included; by default 3 above 10⁶ classes.
    pub levels: Option<usize>,
    /// Steps between regroupings by similarity, at O(n d log n) each; 0 for never. Other groupings do not change.
    pub regroup_every: u64,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            leaf_size: None,
            grouping: None,
            growth: None,
            weight_power: 0.0,
            dispersion: Dispersion::Diagonal,
            epsilon: 0.01,
            levels: None,
            regroup_every: 1000,
        }
    }
}

impl ClusterConfig {
    /// Builds the sampler over `classes`, with their training counts (empty if unknown: then `epsilon` is a share of the
    /// uniform law).
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a setting out of range, [`Error::NotFinite`] for a row that is not finite.
    pub fn build(&self, classes: Classes<'_>, counts: &[u64], seed: u64) -> Result<ClusterSampler, Error> {
        self.check(classes.len(), counts)?;
        ClusterSampler::new(self.resolved(classes.len(), !counts.is_empty()), classes, counts, seed)
    }

    /// The same with every default filled in, for `n` classes whose counts are known or not.
    pub fn resolved(&self, n: usize, counts_known: bool) -> Self {
        let by_default = if counts_known { Grouping::Frequency } else { Grouping::Index };
        let grouping = self.grouping.unwrap_or(by_default);
        let levels = self.levels.unwrap_or(if n <= LARGEST_TWO_LEVELS { 2 } else { 3 });
        let size = match (levels, grouping) {
            (2, Grouping::Similarity) => (n as f64).sqrt() / 4.0,
            (2, _) => (n as f64).sqrt() / 8.0,
            _ => (n as f64).cbrt() / 2.0,
        };
        let growth = if grouping == Grouping::Frequency { 2.0 } else { 1.0 };
        Self {
            leaf_size: self.leaf_size.or(Some((size as usize).max(12))),
            grouping: Some(grouping),
            growth: self.growth.or(Some(growth)),
            levels: Some(levels),
            ..self.clone()
        }
    }

    /// Numbers of leaves and of classes in them, of a resolved setting.
    pub(super) fn plan(&self, n: usize) -> LeafPlan {
        let leaves = n.div_ceil(self.leaf_size.unwrap_or(1));
        let plan = LeafPlan::new(self.grouping.unwrap_or_default(), leaves);
        LeafPlan { growth: self.growth.unwrap_or(1.0), weight_power: self.weight_power, ..plan }
    }

    fn check(&self, n: usize, counts: &[u64]) -> Result<(), Error> {
        let bad = |field, value: String, why| Err(Error::BadSetting { field, value, why });
        if n == 0 || n >= crate::ClassId::MAX as usize {
            return bad("classes", n.to_string(), "there must be at least 1 and fewer than 2^32 - 1");
        }
        if self.leaf_size == Some(0) {
            return bad("leaf_size", "0".into(), "it must be at least 1");
        }
        if !(0.0..=1.0).contains(&self.epsilon) {
            return bad("epsilon", self.epsilon.to_string(), "it must be from 0 to 1");
        }
        if !matches!(self.levels, None | Some(2 | 3)) {
            return bad("levels", self.levels.unwrap_or_default().to_string(), "it must be 2 or 3");
        }
        if !counts.is_empty() && counts.len() != n {
            return bad("counts", counts.len().to_string(), "there must be one training count for each class");
        }
        Ok(())
    }
}
