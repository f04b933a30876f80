//! The law of one query.

use std::borrow::Cow;
use std::ops::Range;

use rand::Rng;
use rand::distr::Distribution;

use super::KernelTree;
use crate::descent::{self, Descent};
use crate::draw::sample_one;
use crate::memory::prefetch;
use crate::{ClassId, Classes, Draw, Error, Law};

/// The kernel law of one query.
#[derive(Clone, Debug)]
pub struct KernelLaw<'a> {
    pub(super) tree: &'a KernelTree,
    pub(super) query: &'a [f32],
    /// `1 / |query|`.
    pub(super) query_norm: f32,
    /// `phi(query / |query|)`.
    pub(super) features: Cow<'a, [f32]>,
    pub(super) classes: Classes<'a>,
}

impl Distribution<ClassId> for KernelLaw<'_> {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        sample_one(self, rng)
    }
}

impl Law for KernelLaw<'_> {
    fn ln_prob(&self, class: ClassId) -> f32 {
        descent::ln_prob(self, class)
    }

    fn ln_probs(&self, _: usize) -> Vec<f32> {
        descent::ln_probs(self)
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        self.tree.work.add(descent::draw_at(self, points, excluded, out)?);
        Ok(())
    }
}

impl Descent for KernelLaw<'_> {
    fn height(&self) -> usize {
        self.tree.levels.height()
    }

    fn classes(&self) -> usize {
        self.tree.len()
    }

    fn children(&self, level: usize, node: usize) -> Range<usize> {
        self.tree.levels.children(level, node)
    }

    fn parent(&self, level: usize, child: usize) -> usize {
        self.tree.levels.parent(level, child)
    }

    fn class_at(&self, slot: usize) -> ClassId {
        self.tree.levels.leaves.class_at(slot)
    }

    fn slot_of(&self, class: ClassId) -> usize {
        self.tree.levels.leaves.slot_of(class)
    }

    fn products(laws: &[&Self], level: usize, node: usize, out: &mut [f32]) {
        let operands: Vec<&[f32]> = laws.iter().map(|law| law.operand(level)).collect();
        laws[0].rows(level, node).products(&operands, out);
    }

    fn weigh(&self, level: usize, node: usize, masses: &mut [f32]) -> f64 {
        self.weigh_products(level, node, masses)
    }

    fn prefetch(&self, level: usize, node: usize) {
        if level == 0 {
            let slots = self.tree.slots_of(node);
            prefetch(&self.tree.weights[slots.clone()]);
            prefetch(&self.tree.inverse_norms[slots]);
        }
        self.rows(level, node).prefetch();
    }
}
