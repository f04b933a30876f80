//! What a node gives to each of its children.

use std::ops::Range;

use super::{KernelLaw, LeafLaw};
use crate::half::Half;
use crate::linalg::{all_dots, scattered_dots};
use crate::memory::prefetch;
use crate::vector::exp_in_place;

/// The children of a node: feature sums, features of classes or class rows; and how far apart they begin.
pub(super) enum Children<'t> {
    Full(&'t [f32], usize),
    Half(&'t [Half], usize),
    /// Class rows in an order that is not that of the table.
    Scattered(Vec<&'t [f32]>),
}

impl Children<'_> {
    /// Products with some operands, `[operands, children]`.
    pub fn products(&self, operands: &[&[f32]], out: &mut [f32]) {
        match self {
            Self::Full(rows, stride) => all_dots(operands, rows, *stride, out),
            Self::Half(rows, stride) => all_dots(operands, rows, *stride, out),
            Self::Scattered(rows) => scattered_dots(operands, rows, out),
        }
    }

    pub fn prefetch(&self) {
        match self {
            Self::Full(rows, _) => prefetch(rows),
            Self::Half(rows, _) => prefetch(rows),
            Self::Scattered(rows) => rows.iter().for_each(|row| prefetch(row)),
        }
    }
}

impl<'a> KernelLaw<'a> {
    /// What the children of a level's nodes are multiplied with.
    pub(super) fn operand(&self, level: usize) -> &[f32] {
        if level == 0 && self.tree.leaf_law != LeafLaw::Features { self.query } else { &self.features }
    }

    /// Feature sums of the children of a node; of the classes of a leaf their features, or the rows themselves.
    pub(super) fn rows(&self, level: usize, node: usize) -> Children<'a> {
        let (tree, width) = (self.tree, self.tree.map.width());
        if level > 0 {
            let rows = tree.levels.rows(level, node);
            return tree.sums.rows(rows, width);
        }
        let slots = tree.slots_of(node);
        if tree.leaf_law == LeafLaw::Features {
            return Children::Half(&tree.class_features[slots.start * width..slots.end * width], width);
        }
        if tree.leaves().order().is_empty() {
            let width = self.classes.width();
            return Children::Full(&self.classes.rows()[slots.start * width..slots.end * width], width);
        }
        Children::Scattered(slots.map(|slot| self.classes.embedding(tree.class_at(slot))).collect())
    }

    /// Masses of the children of a node from the products of their rows with the operand; returns their sum.
    pub(super) fn weigh_products(&self, level: usize, node: usize, masses: &mut [f32]) -> f64 {
        let children = self.tree.levels.children(level, node);
        let weights = match (level, self.tree.leaf_law) {
            (0, LeafLaw::Features) => self.class_estimates(children, masses),
            (0, LeafLaw::Gauss) => self.kernels(children, masses),
            (0, LeafLaw::Exact) => self.exponentials(children, masses),
            _ => self.node_estimates(self.tree.levels.rows(level, node), masses),
        };
        let total: f64 = masses.iter().map(|&mass| f64::from(mass)).sum();
        if total > 0.0 {
            return total;
        }
        // Without a floor every estimate may be zero: then the weights alone decide.
        masses.copy_from_slice(weights);
        masses.iter().map(|&mass| f64::from(mass)).sum()
    }

    /// `max(phi(h)·S, floor w)` of nodes; returns their weights `w`.
    fn node_estimates(&self, rows: Range<usize>, masses: &mut [f32]) -> &[f32] {
        let weights = &self.tree.masses[rows];
        masses.iter_mut().zip(weights).for_each(|(mass, weight)| *mass = mass.max(self.tree.floor * weight));
        weights
    }

    /// `w max(phi(h)·phi(c), floor)`.
    fn class_estimates(&self, slots: Range<usize>, masses: &mut [f32]) -> &[f32] {
        let weights = &self.tree.weights[slots];
        masses.iter_mut().zip(weights).for_each(|(mass, weight)| *mass = mass.max(self.tree.floor) * weight);
        weights
    }

    /// The kernel itself times `w`.
    fn kernels(&self, slots: Range<usize>, masses: &mut [f32]) -> &[f32] {
        let inverse_norms = &self.tree.inverse_norms[slots.clone()];
        masses.iter_mut().zip(inverse_norms).for_each(|(mass, norm)| *mass = *mass * norm * self.query_norm);
        self.tree.map.kernel(masses);
        let weights = &self.tree.weights[slots];
        masses.iter_mut().zip(weights).for_each(|(mass, weight)| *mass *= weight);
        weights
    }

    /// `exp(o_i - max o)`.
    fn exponentials(&self, slots: Range<usize>, masses: &mut [f32]) -> &[f32] {
        masses.iter_mut().zip(slots.clone()).for_each(|(mass, slot)| *mass = self.logit(*mass, slot));
        let max = masses.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        masses.iter_mut().for_each(|logit| *logit -= max);
        exp_in_place(masses);
        &self.tree.weights[slots]
    }

    /// The logit as the softmax takes it.
    fn logit(&self, raw_product: f32, slot: usize) -> f32 {
        let scale = if self.classes.is_normalized() { self.tree.inverse_norms[slot] } else { 1.0 };
        self.classes.score(raw_product * scale + self.classes.bias(self.tree.class_at(slot)))
    }
}
