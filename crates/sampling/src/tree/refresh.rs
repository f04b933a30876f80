//! Keeping the sums true: touched rows after a step, a few whole leaves in turn, and everything at the start.

use std::ops::Range;

use rayon::prelude::*;

use super::sums::{Sums, parents, sum_up};
use super::{KernelTree, LeafLaw};
use crate::feature_map::Term;
use crate::half::Half;
use crate::memory::prefetch;
use crate::rows::{Piece, split_rows};
use crate::vector::{add_scaled_of, narrow};
use crate::{ClassId, Classes, Error, Sampler, Work};

/// Leaves summed anew in each refresh, in turn, so that the rounding errors of `new - old` never grow for longer than
/// one round of the tree.
const REBUILT_LEAVES: usize = 2;

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
    ids: &'a [ClassId],
    before: &'a [f32],
    classes: Classes<'a>,
    /// Scales of the rows before.
    old: Scales,
}

impl Change<'_> {
    /// Where the touched ones among the given classes stand in the list.
    fn touched(&self, classes: Range<usize>) -> Range<usize> {
        let place = |class: usize| self.ids.partition_point(|&id| (id as usize) < class);
        let from = place(classes.start);
        from..from + self.ids[from..].iter().take_while(|&&id| (id as usize) < classes.end).count()
    }
}

impl KernelTree {
    /// Sums every leaf anew. O(n d D).
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a row is not finite; the tree then keeps its old state.
    pub fn rebuild(&mut self, classes: Classes<'_>) -> Result<(), Error> {
        let ids: Vec<ClassId> = (0..classes.len() as ClassId).collect();
        self.refresh_rows(&ids, classes.rows(), classes)
    }

    pub(super) fn refresh_rows(&mut self, ids: &[ClassId], before: &[f32], classes: Classes<'_>) -> Result<(), Error> {
        assert_eq!(classes.len(), self.len(), "the table has another number of classes than the tree");
        let needed = if self.reads_before() { ids.len() * classes.width() } else { 0 };
        assert!(before.len() >= needed, "one row before the step for each changed class");
        let new = Scales::of(self, ids, classes)?;
        let old = self.exchange_scales(ids, &new);
        let leaves = self.leaves_to_sum(ids);
        if old.weights != new.weights {
            self.update_masses(&leaves);
        }
        let nodes_refreshed = self.update_sums(&leaves, &Change { ids, before, classes, old }) as u64;
        self.next_rebuild = (self.next_rebuild + REBUILT_LEAVES) % self.levels.leaves();
        self.work.add(Work { nodes_refreshed, ..Work::default() });
        Ok(())
    }

    /// Puts the new scales of some classes in the place of the old ones, which it returns.
    fn exchange_scales(&mut self, ids: &[ClassId], new: &Scales) -> Scales {
        let put = |table: &mut [f32], new: &[f32]| -> Vec<f32> {
            ids.iter().zip(new).map(|(&id, &new)| std::mem::replace(&mut table[id as usize], new)).collect()
        };
        Scales {
            inverse_norms: put(&mut self.inverse_norms, &new.inverse_norms),
            weights: put(&mut self.weights, &new.weights),
        }
    }

    /// The leaves with a touched class, and the next few in turn; ascending.
    fn leaves_to_sum(&mut self, ids: &[ClassId]) -> Vec<u32> {
        let leaves = self.levels.leaves();
        let mut touched: Vec<u32> = ids.iter().map(|&id| id / self.leaf_size as u32).collect();
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
        let leaf_rows = self.levels.leaves() * width;
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
        let (width, leaf_size) = (self.map.width(), self.leaf_size);
        let mut features = std::mem::take(&mut self.class_features);
        let grain = CLASSES_A_TASK.div_ceil(leaf_size);
        let sums = split_rows(sums, width, leaves, grain);
        let features_of = split_rows(&mut features, leaf_size * width, leaves, grain);
        sums.into_par_iter().zip(features_of).for_each(|(mut sums, mut features)| {
            let leaves = sums.ids;
            let place = |(k, &leaf): (usize, &u32)| {
                let classes = self.classes_of(leaf as usize);
                let touched = &change.ids[change.touched(classes.clone())];
                touched.iter().map(move |&id| (k, id as usize, classes.start))
            };
            let touched: Vec<_> = leaves.iter().enumerate().flat_map(place).collect();
            let source = |i: usize| change.row_after(self, touched[i].1);
            self.map.map(touched.len(), source, |i, phi| {
                let (k, class, first) = touched[i];
                narrow(phi, &mut features.row(k)[(class - first) * width..][..width]);
            });
            let mut sum = vec![0.0; width];
            for (k, &leaf) in leaves.iter().enumerate() {
                sum.fill(0.0);
                let rows = features.row(k).chunks_exact(width).zip(&self.weights[self.classes_of(leaf as usize)]);
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
        let (classes, leaves) = (self.classes_of(leaf), self.levels.leaves());
        let touched = change.touched(classes.clone());
        let turn = (leaf + leaves - self.next_rebuild) % leaves < REBUILT_LEAVES;
        let after = |class: usize| {
            let (row, scale) = change.row_after(self, class);
            Term { place, row, scale, weight: self.weights[class] }
        };
        if turn || 2 * touched.len() >= classes.len() {
            terms.extend(classes.map(after));
            return true;
        }
        let (width, dim) = (change.classes.width(), change.classes.dim());
        let before = |at: usize| Term {
            place,
            row: &change.before[at * width..][..dim],
            scale: change.old.inverse_norms[at],
            weight: -change.old.weights[at],
        };
        terms.extend(touched.clone().map(before));
        terms.extend(change.ids[touched].iter().map(|&id| after(id as usize)));
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
    /// The new row of a class and what normalises it.
    fn row_after(&self, tree: &KernelTree, class: usize) -> (&'a [f32], f32) {
        (self.classes.embedding(class), tree.inverse_norms[class])
    }
}

/// What features of some classes are multiplied with.
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
