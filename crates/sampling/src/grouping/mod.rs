//! The classes in leaves: which lie together, and where each leaf begins.
//!
//! Samplers that know a leaf by a summary of it are the better the more alike its classes are. [`LeafPlan`] says how to
//! order the classes and how large the leaves are, [`Leaves`] is what comes of it: a row of slots `0..n`, cut into `L`
//! leaves, with one class in each slot.

mod leaves;
mod similarity;
mod touched;

pub use leaves::Leaves;
pub(crate) use touched::Touched;

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::{ClassId, Classes, Error};

/// Which classes share a leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grouping {
    /// Neighbours by id.
    #[default]
    Index,
    /// Neighbours by training count, the most frequent first, ties by id.
    Frequency,
    /// Classes whose rows lie near each other, by balanced bisection: see [`LeafPlan::arrange`].
    Similarity,
}

impl Grouping {
    /// Name in configurations and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Frequency => "frequency",
            Self::Similarity => "similarity",
        }
    }
}

/// How the classes are to be laid out in leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeafPlan {
    /// Which classes share a leaf.
    pub grouping: Grouping,
    /// Number of leaves `L`.
    pub leaves: usize,
    /// Exponent `g >= 1`: leaf `k` ends at slot `n ((k + 1) / L)^g`. 1 gives sizes that differ by at most one; with 2
    /// and frequency order, sizes grow with the rank. Similarity takes 1 alone.
    pub growth: f32,
    /// Exponent `a` of the weight `(count_i + 1)^a` of a row in the similarity grouping; 0 or no counts weigh all alike.
    pub weight_power: f32,
}

impl LeafPlan {
    /// Leaves of sizes that differ by at most one, all rows of equal weight.
    pub fn new(grouping: Grouping, leaves: usize) -> Self {
        Self { grouping, leaves, growth: 1.0, weight_power: 0.0 }
    }

    /// Lays out `classes`, whose training counts may be given (empty if unknown).
    ///
    /// Similarity splits the leaves in two again and again, each time by 2-means whose halves have exactly the slots of
    /// their leaves, as Parabel does for labels (Prabhu et al. 2018, section 3.1). We differ in three things: rows count
    /// as the logits see them (normalised if the table is), not always as directions; they may have weights; and the
    /// split lies at a power of two of leaves, so that it agrees with a tree over the leaves. O(n d log L) a pass, with
    /// some ten passes; the result depends on the seed and not on the number of threads.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a plan that the classes or counts do not allow; [`Error::NotFinite`] for a row that is
    /// not finite where similarity is asked for.
    pub fn arrange(&self, classes: Classes<'_>, counts: &[u64], seed: u64) -> Result<Leaves, Error> {
        self.check(classes.len(), counts)?;
        let leaves = Leaves::new(classes.len(), self.leaves, self.growth);
        match self.grouping {
            Grouping::Index => Ok(leaves),
            Grouping::Frequency => leaves.with_order(by_frequency(counts)),
            Grouping::Similarity => {
                let weights = row_weights(self.weight_power, counts);
                let order = similarity::order(classes, &weights, &leaves, seed)?;
                leaves.with_order(order)
            }
        }
    }

    /// The most bytes that the leaves of `n` classes keep.
    pub(crate) fn most_bytes(&self, n: usize) -> usize {
        let order = if self.grouping == Grouping::Index { 0 } else { 2 * n };
        let bounds = if self.growth == 1.0 { 0 } else { self.leaves + 1 };
        size_of::<u32>() * (order + bounds)
    }

    fn check(&self, n: usize, counts: &[u64]) -> Result<(), Error> {
        let bad = |field, value, why| Err(Error::BadSetting { field, value, why });
        if self.leaves == 0 || self.leaves > n {
            return bad("leaves", self.leaves.to_string(), "there must be at least 1 and no more than classes");
        }
        if !(self.growth >= 1.0 && self.growth.is_finite()) {
            return bad("growth", self.growth.to_string(), "it must be at least 1 and finite");
        }
        if self.growth != 1.0 && self.grouping == Grouping::Similarity {
            return bad("growth", self.growth.to_string(), "leaves of similar classes are equally large: it must be 1");
        }
        if !self.weight_power.is_finite() {
            return bad("weight_power", self.weight_power.to_string(), "it must be finite");
        }
        let needed = self.grouping == Grouping::Frequency;
        if counts.len() != n && (needed || !counts.is_empty()) {
            return bad("grouping", self.grouping.name().into(), "it takes the training count of every class");
        }
        Ok(())
    }
}

fn by_frequency(counts: &[u64]) -> Vec<ClassId> {
    let mut order: Vec<ClassId> = (0..counts.len() as ClassId).collect();
    order.sort_by_key(|&class| Reverse(counts[class as usize]));
    order
}

/// `((count_i + 1) / max)^a` with `max` the largest `count + 1`; empty where all are one.
fn row_weights(power: f32, counts: &[u64]) -> Vec<f32> {
    if power == 0.0 {
        return Vec::new();
    }
    let max = counts.iter().max().copied().unwrap_or(0) as f64 + 1.0;
    counts.iter().map(|&count| ((count as f64 + 1.0) / max).powf(f64::from(power)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand::seq::SliceRandom;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::{Purpose, stream};

    const D: usize = 12;

    /// Rows around `clusters` centres, each class of a random one.
    fn planted(n: usize, clusters: usize, spread: f32) -> Vec<f32> {
        let mut rng = stream(5, Purpose::Init, 0, 0);
        let mut normals = |count| -> Vec<f32> { (0..count).map(|_| StandardNormal.sample(&mut rng)).collect() };
        let (centres, mut rows) = (normals(clusters * D), normals(n * D));
        let mut cluster_of: Vec<usize> = (0..n).map(|class| class % clusters).collect();
        cluster_of.shuffle(&mut rng);
        for (row, cluster) in rows.chunks_exact_mut(D).zip(cluster_of) {
            row.iter_mut().zip(&centres[cluster * D..]).for_each(|(x, centre)| *x = centre + spread * *x);
        }
        rows
    }

    /// Weighted squares within the leaves, of rows as the logits see them.
    fn scatter(classes: Classes<'_>, weights: &[f32], leaves: &Leaves) -> f64 {
        let mut total = 0.0;
        for leaf in 0..leaves.leaves() {
            let ids: Vec<usize> = leaves.slots(leaf).map(|slot| leaves.class_at(slot) as usize).collect();
            let weight = |class: usize| f64::from(weights.get(class).copied().unwrap_or(1.0));
            let scale = |class| if classes.is_normalized() { classes.inverse_norm(class) } else { 1.0 };
            let number = |class: usize, at: usize| f64::from(classes.embedding(class)[at] * scale(class));
            let mass: f64 = ids.iter().map(|&class| weight(class)).sum();
            for at in 0..classes.dim() {
                let sum: f64 = ids.iter().map(|&class| weight(class) * number(class, at)).sum();
                let squares: f64 = ids.iter().map(|&class| weight(class) * number(class, at).powi(2)).sum();
                total += squares - sum * sum / mass;
            }
        }
        total
    }

    fn arranged(plan: LeafPlan, classes: Classes<'_>, counts: &[u64]) -> Leaves {
        let leaves = plan.arrange(classes, counts, 3).unwrap();
        let mut seen = vec![false; classes.len()];
        for slot in (0..leaves.leaves()).flat_map(|leaf| leaves.slots(leaf)) {
            let class = leaves.class_at(slot);
            assert!(!std::mem::replace(&mut seen[class as usize], true), "class {class} lies twice");
            assert_eq!(leaves.slot_of(class), slot);
        }
        assert!(seen.iter().all(|&seen| seen), "a class has no leaf");
        leaves
    }

    #[test]
    fn similarity_recovers_planted_clusters() {
        // Also in numbers of leaves that are no powers of two, and on more rows than are gathered at once.
        for (n, clusters) in [(240, 8), (660, 11), (60_000, 16)] {
            let rows = planted(n, clusters, 0.05);
            for classes in [Classes::new(&rows, D), Classes::new(&rows, D).normalized()] {
                let index = arranged(LeafPlan::new(Grouping::Index, clusters), classes, &[]);
                let similar = arranged(LeafPlan::new(Grouping::Similarity, clusters), classes, &[]);
                let (before, after) = (scatter(classes, &[], &index), scatter(classes, &[], &similar));
                assert!(after < 0.1 * before, "{n} classes, {clusters} clusters: {after} of {before}");
            }
        }
    }

    #[test]
    fn leaves_of_similar_classes_have_any_number_and_sizes_that_differ_by_one_at_most() {
        let rows = planted(101, 10, 0.5);
        for leaves in [1, 2, 3, 5, 31, 64, 100, 101] {
            let leaves = arranged(LeafPlan::new(Grouping::Similarity, leaves), Classes::new(&rows, D), &[]);
            let sizes = (0..leaves.leaves()).map(|leaf| leaves.slots(leaf).len());
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
        }
    }

    #[test]
    fn rows_of_one_value_are_grouped_by_id() {
        let leaves =
            arranged(LeafPlan::new(Grouping::Similarity, 7), Classes::new(&[0.0; 50 * D], D).normalized(), &[]);
        assert!(leaves.order().is_empty(), "the identity");
    }

    #[test]
    fn a_bias_column_is_no_part_of_a_row() {
        let rows = planted(90, 9, 0.3);
        let mut rng = stream(6, Purpose::Init, 0, 0);
        let biased: Vec<f32> =
            rows.chunks(D).flat_map(|row| row.iter().copied().chain([rng.random::<f32>() * 100.0])).collect();
        let plan = LeafPlan::new(Grouping::Similarity, 9);
        let with_bias = arranged(plan, Classes::new(&biased, D + 1).with_bias(), &[]);
        assert_eq!(with_bias, arranged(plan, Classes::new(&rows, D), &[]));
    }

    #[test]
    fn weights_move_scatter_from_frequent_classes_to_rare_ones() {
        let rows = planted(600, 600, 0.0);
        let counts: Vec<u64> = (0..600).map(|class| 100_000 / (class + 1)).collect();
        let classes = Classes::new(&rows, D);
        let plan = |weight_power| LeafPlan { weight_power, ..LeafPlan::new(Grouping::Similarity, 20) };
        let (plain, weighted) = (arranged(plan(0.0), classes, &counts), arranged(plan(1.0), classes, &counts));
        let weights = row_weights(1.0, &counts);
        let of = |weights: &[f32]| scatter(classes, weights, &weighted) / scatter(classes, weights, &plain);
        assert!(of(&weights) < 0.9 && of(&[]) > 1.0, "{} and {}", of(&weights), of(&[]));
    }

    #[test]
    fn similarity_depends_on_the_seed_and_not_on_the_number_of_threads() {
        let rows = planted(20_000, 300, 0.7);
        let on = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let plan = LeafPlan::new(Grouping::Similarity, 100);
            pool.install(|| plan.arrange(Classes::new(&rows, D), &[], seed).unwrap())
        };
        let one = on(1, 3);
        assert_eq!(one, on(3, 3));
        assert_ne!(one, on(1, 4));
    }

    #[test]
    fn frequency_order_begins_with_the_most_frequent_and_ties_go_by_id() {
        let rows = [0.0; 6];
        let classes = Classes::new(&rows, 1);
        let plan = LeafPlan { growth: 2.0, ..LeafPlan::new(Grouping::Frequency, 2) };
        let leaves = arranged(plan, classes, &[1, 5, 0, 5, 7, 1]);
        assert_eq!(leaves.order(), [4, 1, 3, 0, 5, 2]);
        assert_eq!((leaves.slots(0), leaves.slots(1)), (0..2, 2..6));
        assert!(arranged(plan, classes, &[9, 8, 8, 3, 1, 0]).order().is_empty(), "sorted already");
    }

    #[test]
    fn plans_that_cannot_be_are_refused() {
        let rows = [1.0, f32::NAN, 2.0];
        let classes = Classes::new(&rows, 1);
        let field = |plan: LeafPlan, counts: &[u64]| match plan.arrange(classes, counts, 0) {
            Err(Error::BadSetting { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let plan = LeafPlan::new;
        for leaves in [0, 4] {
            assert_eq!(field(plan(Grouping::Index, leaves), &[]), "leaves");
        }
        for growth in [0.5, f32::NAN, f32::INFINITY] {
            assert_eq!(field(LeafPlan { growth, ..plan(Grouping::Index, 2) }, &[]), "growth");
        }
        assert_eq!(field(LeafPlan { growth: 2.0, ..plan(Grouping::Similarity, 2) }, &[]), "growth");
        assert_eq!(field(LeafPlan { weight_power: f32::NAN, ..plan(Grouping::Similarity, 2) }, &[]), "weight_power");
        assert_eq!(field(plan(Grouping::Frequency, 2), &[]), "grouping");
        assert_eq!(field(plan(Grouping::Similarity, 2), &[1, 2]), "grouping");
        let outcome = plan(Grouping::Similarity, 2).arrange(classes, &[], 0);
        assert_eq!(outcome, Err(Error::NotFinite(1)));
    }
}
