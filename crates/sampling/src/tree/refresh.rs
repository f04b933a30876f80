//! Keeping the sums true: touched rows after a step, a few whole leaves in turn, and everything at the start.

use std::ops::Range;

use rayon::prelude::*;

use super::sums::{Sums, parents, sum_up};
use super::{KernelTree, LeafLaw};
use crate::feature_map::Term;
use crate::grouping::Touched;
use crate::half::Half;
use crate::memory::prefetch;
use crate::rows::{Piece, split_at, split_rows};
use crate::vector::{add_scaled_of, narrow};
use crate::{ClassId, Classes, Error, Leaves, Sampler, Work};

/// Leaves summed anew in each refresh, in turn, so that the rounding errors of `new - old` never grow for longer than
/// one round of the tree.
pub(crate) const REBUILT_LEAVES: usize = 2;

/// Leaves that one parallel task sums: with a touched row in each, before and after, a full block of the feature map.
const LEAVES_A_TASK: usize = 32;

/// Classes of the leaves that one parallel task sums where it keeps the features of each: few enough that they are still
/// in the cache when they are summed.
const CLASSES_A_TASK: usize = 64;

/// Biases count up to this size in the weights, which must stay inside the range of f32 when they are added up. Any
/// positive weights keep `q` exact.
pub(crate) const LARGEST_BIAS: f32 = 40.0;

/// The touched rows of a refresh.
struct Change<'a> {
    /// By slot.
    touched: Vec<Touched>,
    before: &'a [f32],
    classes: Classes<'a>,
    /// Scales of the rows before.
    old: Scales,
}

impl KernelTree {
    /// Sums every leaf anew; which classes share one stays. O(n d D).
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a row is not finite; the tree then keeps its old state.
    pub fn rebuild(&mut self, classes: Classes<'_>) -> Result<(), Error> {
        let leaves = self.levels.leaves.clone();
        self.rebuild_over(classes, |_| Ok(leaves))
    }

    /// Groups the classes anew by the rows as they are now, and sums everything. O(n d (log n + D)).
    fn regroup(&mut self, classes: Classes<'_>) -> Result<(), Error> {
        self.rebuild_over(classes, |tree| tree.plan.arrange(classes, &[], tree.seed))
    }

    /// Sums every leaf anew with other classes in it. After an error the tree is as it was.
    pub(super) fn rebuild_over(
        &mut self,
        classes: Classes<'_>,
        leaves: impl FnOnce(&Self) -> Result<Leaves, Error>,
    ) -> Result<(), Error> {
        assert_eq!(classes.len(), self.len(), "the table has another number of classes than the tree");
        let ids: Vec<ClassId> = (0..classes.len() as ClassId).collect();
        let new = Scales::of(self, &ids, classes)?;
        self.levels.leaves = leaves(self)?;
        self.update(&ids, classes.rows(), classes, &new);
        Ok(())
    }

    pub(super) fn refresh_rows(&mut self, ids: &[ClassId], before: &[f32], classes: Classes<'_>) -> Result<(), Error> {
        assert_eq!(classes.len(), self.len(), "the table has another number of classes than the tree");
        let needed = if self.reads_before() { ids.len() * classes.width() } else { 0 };
        assert!(before.len() >= needed, "one row before the step for each changed class");
        if self.regroups_after(self.steps + 1) {
            self.regroup(classes)?;
        } else {
            let new = Scales::of(self, ids, classes)?;
            self.update(ids, before, classes, &new);
        }
        self.steps += 1;
        Ok(())
    }

    fn regroups_after(&self, steps: u64) -> bool {
        self.regroups() && self.regroup_every > 0 && steps.is_multiple_of(self.regroup_every)
    }

    fn update(&mut self, ids: &[ClassId], before: &[f32], classes: Classes<'_>, new: &Scales) {
        let touched = self.levels.leaves.touched(ids);
        let old = self.exchange_scales(ids, new);
        let leaves = self.leaves_to_sum(&touched);
        if old.weights != new.weights {
            self.update_masses(&leaves);
        }
        let nodes_refreshed = self.update_sums(&leaves, &Change { touched, before, classes, old }) as u64;
        self.next_rebuild = (self.next_rebuild + REBUILT_LEAVES) % self.levels.leaves.leaves();
        self.work.add(Work { nodes_refreshed, ..Work::default() });
    }

    /// Puts the new scales of some classes in the place of the old ones, which it returns.
    fn exchange_scales(&mut self, ids: &[ClassId], new: &Scales) -> Scales {
        let leaves = &self.levels.leaves;
        let put = |table: &mut [f32], new: &[f32]| -> Vec<f32> {
            ids.iter().zip(new).map(|(&id, &new)| std::mem::replace(&mut table[leaves.slot_of(id)], new)).collect()
        };
        Scales {
            inverse_norms: put(&mut self.inverse_norms, &new.inverse_norms),
            weights: put(&mut self.weights, &new.weights),
        }
    }

    /// The leaves with a touched class, and the next few in turn; ascending.
    fn leaves_to_sum(&self, touched: &[Touched]) -> Vec<u32> {
        let leaf_of = |touched: &Touched| self.levels.leaves.leaf_of(touched.slot as usize) as u32;
        let leaves = self.levels.leaves.leaves();
        let mut touched: Vec<u32> = touched.iter().map(leaf_of).collect();
        if self.leaf_law != LeafLaw::Features {
            touched.extend((0..REBUILT_LEAVES.min(leaves)).map(|k| ((self.next_rebuild + k) % leaves) as u32));
            touched.sort_unstable();
        }
        touched.dedup();
        touched
    }

    /// Sums of the given leaves and of all nodes above them; returns how many these are.
    fn update_sums(&mut self, leaves: &[u32], change: &Change<'_>) -> usize {
        let width = self.map.width();
        let leaf_rows = self.levels.leaves.leaves() * width;
        let mut sums = std::mem::take(&mut self.sums);
        let count = match &mut sums {
            Sums::Half(sums) => {
                self.sum_features(&mut sums[..leaf_rows], leaves, change);
                sum_up(&self.levels, width, sums, leaves)
            }
            Sums::Full(sums) => {
                let pieces = split_rows(&mut sums[..leaf_rows], width, leaves, LEAVES_A_TASK);
                pieces.into_par_iter().for_each(|mut piece| self.sum_terms(&mut piece, change));
                sum_up(&self.levels, width, sums, leaves)
            }
        };
        self.sums = sums;
        count
    }

    /// Features of the touched classes, and the sums of their leaves from the features that are kept of all classes.
    fn sum_features(&mut self, sums: &mut [Half], leaves: &[u32], change: &Change<'_>) {
        let width = self.map.width();
        let mut features = std::mem::take(&mut self.class_features);
        let mean_leaf = self.len().div_ceil(self.levels.leaves.leaves());
        let grain = CLASSES_A_TASK.div_ceil(mean_leaf);
        let sums = split_rows(sums, width, leaves, grain);
        let first = |leaves: &[u32]| self.slots_of(leaves[0] as usize).start;
        let end = |leaves: &[u32]| self.slots_of(leaves[leaves.len() - 1] as usize).end;
        let stretch = |leaves: &[u32]| first(leaves) * width..end(leaves) * width;
        let features_of = split_at(&mut features, leaves.chunks(grain).map(stretch));
        sums.into_par_iter().zip(features_of).for_each(|(mut sums, features)| {
            let (leaves, first) = (sums.ids, first(sums.ids));
            let touched = leaves.iter().flat_map(|&leaf| change.touched_of(self.slots_of(leaf as usize)));
            let touched: Vec<usize> = touched.map(|touched| touched.slot as usize).collect();
            self.map.map(
                touched.len(),
                |i| change.row_after(self, touched[i]),
                |i, phi| narrow(phi, &mut features[(touched[i] - first) * width..][..width]),
            );
            let mut sum = vec![0.0; width];
            for (k, &leaf) in leaves.iter().enumerate() {
                sum.fill(0.0);
                let slots = self.slots_of(leaf as usize);
                let rows = features[(slots.start - first) * width..].chunks_exact(width).zip(&self.weights[slots]);
                rows.for_each(|(phi, &weight)| add_scaled_of(&mut sum, weight, phi));
                narrow(&sum, sums.row(k));
            }
        });
        self.class_features = features;
    }

    /// The sums of some leaves, all their features computed together.
    fn sum_terms(&self, piece: &mut Piece<'_, f32>, change: &Change<'_>) {
        let mut terms = Vec::with_capacity(4 * piece.ids.len());
        for k in 0..piece.ids.len() {
            prefetch(piece.row(k));
            if self.terms(k, piece.ids[k] as usize, change, &mut terms) {
                piece.row(k).fill(0.0);
            }
        }
        self.map.add_terms(&terms, piece);
    }

    /// What is added to the sum of a leaf: `new - old` for a few touched classes, or, with the answer `true`, all classes
    /// anew where most are touched or the leaf's turn has come.
    fn terms<'c>(&self, place: usize, leaf: usize, change: &Change<'c>, terms: &mut Vec<Term<'c>>) -> bool {
        let (slots, leaves) = (self.slots_of(leaf), self.levels.leaves.leaves());
        let touched = change.touched_of(slots.clone());
        let turn = (leaf + leaves - self.next_rebuild) % leaves < REBUILT_LEAVES;
        let after = |slot: usize| {
            let (row, scale) = change.row_after(self, slot);
            Term { place, row, scale, weight: self.weights[slot] }
        };
        if turn || 2 * touched.len() >= slots.len() {
            terms.extend(slots.map(after));
            return true;
        }
        let (width, dim) = (change.classes.width(), change.classes.dim());
        let before = |touched: &Touched| {
            let at = touched.at as usize;
            let row = &change.before[at * width..][..dim];
            Term { place, row, scale: change.old.inverse_norms[at], weight: -change.old.weights[at] }
        };
        terms.extend(touched.iter().map(before));
        terms.extend(touched.iter().map(|touched| after(touched.slot as usize)));
        false
    }

    /// Weights of the given leaves and of all nodes above them.
    pub(super) fn update_masses(&mut self, leaves: &[u32]) {
        let (levels, weights) = (&self.levels, &self.weights);
        let leaf_mass = |&leaf: &u32| weights[levels.children(0, leaf as usize)].iter().sum();
        let leaf_masses: Vec<f32> = leaves.par_iter().with_min_len(LEAVES_A_TASK).map(leaf_mass).collect();
        leaves.iter().zip(leaf_masses).for_each(|(&leaf, mass)| self.masses[leaf as usize] = mass);
        let mut nodes = leaves.to_vec();
        for level in 1..=levels.height() {
            nodes = parents(levels, level, nodes);
            for &node in &nodes {
                let mass = self.masses[levels.rows(level, node as usize)].iter().sum();
                self.masses[levels.start(level) + node as usize] = mass;
            }
        }
    }
}

impl<'a> Change<'a> {
    /// The touched classes of a leaf.
    fn touched_of(&self, slots: Range<usize>) -> &[Touched] {
        Touched::within(&self.touched, slots)
    }

    /// The new row of the class in a slot and what normalises it.
    fn row_after(&self, tree: &KernelTree, slot: usize) -> (&'a [f32], f32) {
        (self.classes.embedding(tree.class_at(slot)), tree.inverse_norms[slot])
    }
}

/// What features of some classes are multiplied with, in the order of a list of ids.
struct Scales {
    inverse_norms: Vec<f32>,
    weights: Vec<f32>,
}

impl Scales {
    fn of(tree: &KernelTree, ids: &[ClassId], classes: Classes<'_>) -> Result<Self, Error> {
        let scales = |&id: &ClassId| {
            let class = id as usize;
            classes.check(class, id)?;
            let prior = tree.prior.get(class).copied().unwrap_or(1.0);
            let weight = prior * classes.bias(class).clamp(-LARGEST_BIAS, LARGEST_BIAS).exp();
            Ok((tree.scale_of(classes.embedding(class)), weight))
        };
        let both: Result<Vec<(f32, f32)>, Error> = ids.par_iter().with_min_len(256).map(scales).collect();
        let (inverse_norms, weights) = both?.into_iter().unzip();
        Ok(Self { inverse_norms, weights })
    }
}
