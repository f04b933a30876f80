//! Keeping the sums true: touched rows after a step, a few whole leaves in turn, and everything at the start.

use rayon::prelude::*;

use super::{LeafLaw, RffTree};
use crate::feature_map::{Term, add};
use crate::rows::{Piece, split_rows};
use crate::{ClassId, Classes, Error};

/// Leaves summed anew in each refresh, in turn, so that the rounding errors of `new - old` never grow for longer than
/// one round of the tree.
const REBUILT_LEAVES: usize = 2;

/// Leaves that one parallel task sums: with a touched row in each, before and after, two full blocks of the feature map.
const LEAVES_A_TASK: usize = 32;

/// Rows whose features one parallel task computes.
const ROWS_A_TASK: usize = 64;

/// Biases count up to this size in the weights, which must stay inside the range of f32 when they are added up. Any
/// positive weights keep `q` exact.
const LARGEST_BIAS: f32 = 40.0;

/// The touched rows of a refresh.
struct Change<'a> {
    ids: &'a [ClassId],
    before: &'a [f32],
    classes: Classes<'a>,
}

impl RffTree {
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
        assert_eq!(before.len(), ids.len() * classes.width(), "one row before the step for each changed class");
        ids.par_iter().try_for_each(|&id| classes.check(id as usize, id))?;
        let old_scales = Scales::take(self, ids);
        self.update_scales(ids, classes);
        self.update_class_features(ids, classes);
        let leaves = self.leaves_to_sum(ids);
        self.update_leaves(&leaves, &Change { ids, before, classes }, &old_scales);
        self.update_parents(&leaves);
        Ok(())
    }

    fn update_scales(&mut self, ids: &[ClassId], classes: Classes<'_>) {
        for &id in ids {
            let class = id as usize;
            self.inverse_norms[class] = self.scale_of(classes.embedding(class));
            let prior = self.prior.get(class).copied().unwrap_or(1.0);
            self.weights[class] = prior * classes.bias(class).clamp(-LARGEST_BIAS, LARGEST_BIAS).exp();
        }
    }

    fn update_class_features(&mut self, ids: &[ClassId], classes: Classes<'_>) {
        if self.leaf_law != LeafLaw::Features {
            return;
        }
        let (map, inverse_norms) = (&self.map, &self.inverse_norms);
        let pieces = split_rows(&mut self.class_features, map.width(), ids, ROWS_A_TASK);
        pieces.into_par_iter().for_each(|mut piece| {
            let ids = piece.ids;
            let row = |k: usize| (classes.embedding(ids[k] as usize), inverse_norms[ids[k] as usize]);
            map.map(ids.len(), row, |k, phi| piece.row(k).copy_from_slice(phi));
        });
    }

    /// The leaves with a touched class, and the next few in turn; ascending.
    fn leaves_to_sum(&mut self, ids: &[ClassId]) -> Vec<u32> {
        let leaves = self.leaves();
        let mut touched: Vec<u32> = ids.iter().map(|&id| id / self.leaf_size as u32).collect();
        if self.leaf_law != LeafLaw::Features {
            touched.extend((0..REBUILT_LEAVES.min(leaves)).map(|k| ((self.next_rebuild + k) % leaves) as u32));
            touched.sort_unstable();
        }
        touched.dedup();
        touched
    }

    fn update_leaves(&mut self, leaves: &[u32], change: &Change<'_>, old: &Scales) {
        let (width, count) = (self.map.width(), self.leaves());
        let mut sums = std::mem::take(&mut self.sums);
        let pieces = split_rows(&mut sums[count * width..], width, leaves, LEAVES_A_TASK);
        pieces.into_par_iter().for_each(|mut piece| match self.leaf_law {
            LeafLaw::Features => (0..piece.ids.len()).for_each(|k| self.sum_features(piece.ids[k], piece.row(k))),
            LeafLaw::Gauss | LeafLaw::Exact => self.sum_terms(&mut piece, change, old),
        });
        self.sums = sums;
        for &leaf in leaves {
            self.masses[count + leaf as usize] = self.weights[self.classes_of(leaf as usize)].iter().sum();
        }
        self.next_rebuild = (self.next_rebuild + REBUILT_LEAVES) % count;
    }

    /// The sum of a leaf from the features that are kept of its classes.
    fn sum_features(&self, leaf: u32, sum: &mut [f32]) {
        let width = self.map.width();
        sum.fill(0.0);
        for class in self.classes_of(leaf as usize) {
            add(sum, self.weights[class], &self.class_features[class * width..][..width]);
        }
    }

    /// The sums of some leaves, all their features computed together.
    fn sum_terms(&self, piece: &mut Piece<'_, f32>, change: &Change<'_>, old: &Scales) {
        let mut terms = Vec::new();
        for k in 0..piece.ids.len() {
            let first = terms.len();
            if self.terms(piece.ids[k] as usize, change, old, &mut terms) {
                piece.row(k).fill(0.0);
            }
            terms[first..].iter_mut().for_each(|term| term.place = k);
        }
        self.map.add_terms(&terms, piece);
    }

    /// What is added to the sum of a leaf: `new - old` for a few touched classes, or, with the answer `true`, all classes
    /// anew where most are touched or the leaf's turn has come.
    fn terms<'c>(&self, leaf: usize, change: &Change<'c>, old: &Scales, terms: &mut Vec<Term<'c>>) -> bool {
        let classes = self.classes_of(leaf);
        let from = change.ids.partition_point(|&id| (id as usize) < classes.start);
        let to = change.ids.partition_point(|&id| (id as usize) < classes.end);
        let turn = (leaf + self.leaves() - self.next_rebuild) % self.leaves() < REBUILT_LEAVES;
        let after = |class: usize| Term {
            place: 0,
            row: change.classes.embedding(class),
            scale: self.inverse_norms[class],
            weight: self.weights[class],
        };
        if turn || 2 * (to - from) >= classes.len() {
            terms.extend(classes.map(after));
            return true;
        }
        let (width, dim) = (change.classes.width(), change.classes.dim());
        let before = |at: usize| Term {
            place: 0,
            row: &change.before[at * width..][..dim],
            scale: old.inverse_norms[at],
            weight: -old.weights[at],
        };
        terms.extend((from..to).map(before));
        terms.extend(change.ids[from..to].iter().map(|&id| after(id as usize)));
        false
    }

    /// Parents of the given leaves, level by level: each is the sum of its two children.
    pub(super) fn update_parents(&mut self, leaves: &[u32]) {
        let (count, width) = (self.leaves(), self.map.width());
        let mut changed: Vec<u32> = leaves.iter().map(|&leaf| leaf + count as u32).collect();
        for level in (1..(2 * count).ilog2() + 1).rev() {
            let first = 1u32 << level;
            // Nodes of this level; shallower leaves wait for theirs.
            let deep = changed.split_off(changed.partition_point(|&node| node < first));
            let mut parents: Vec<u32> = deep.iter().map(|node| node / 2).collect();
            parents.dedup();
            let (above, below) = self.sums.split_at_mut((first as usize * width).min(2 * count * width));
            split_rows(above, width, &parents, ROWS_A_TASK).into_par_iter().for_each(|mut piece| {
                for k in 0..piece.ids.len() {
                    let children = &below[(2 * piece.ids[k] - first) as usize * width..][..2 * width];
                    let (left, right) = children.split_at(width);
                    piece.row(k).iter_mut().zip(left).zip(right).for_each(|((sum, l), r)| *sum = l + r);
                }
            });
            for &parent in &parents {
                let node = parent as usize;
                self.masses[node] = self.masses[2 * node] + self.masses[2 * node + 1];
            }
            parents.append(&mut changed);
            changed = parents;
        }
    }
}

/// The scales of the touched classes before a refresh: what their old features are subtracted with.
struct Scales {
    inverse_norms: Vec<f32>,
    weights: Vec<f32>,
}

impl Scales {
    fn take(tree: &RffTree, ids: &[ClassId]) -> Self {
        let pick = |from: &[f32]| ids.iter().map(|&id| from[id as usize]).collect();
        Self { inverse_norms: pick(&tree.inverse_norms), weights: pick(&tree.weights) }
    }
}
