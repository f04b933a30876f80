//! The law of one query, or of a batch.

use std::borrow::Cow;
use std::ops::Range;

use rand::Rng;
use rand::distr::Distribution;

use super::ClusterSampler;
use super::moments::exponentials;
use super::shared::Batch;
use crate::descent::{self, Descent};
use crate::draw::sample_one;
use crate::linalg::{all_dots, scattered_dots};
use crate::memory::prefetch;
use crate::{ClassId, Classes, Draw, Error, Law};

/// The cluster law of one query, or the one that a batch shares.
#[derive(Clone, Debug)]
pub struct ClusterLaw<'a> {
    pub(super) sampler: &'a ClusterSampler,
    pub(super) asker: Asker<'a>,
    pub(super) classes: Classes<'a>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Asker<'a> {
    /// A query, and its operand for nodes.
    One { query: &'a [f32], operand: Cow<'a, [f32]> },
    /// A batch.
    Batch(Batch),
}

impl Distribution<ClassId> for ClusterLaw<'_> {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        sample_one(self, rng)
    }
}

impl Law for ClusterLaw<'_> {
    fn ln_prob(&self, class: ClassId) -> f32 {
        descent::ln_prob(self, class)
    }

    fn ln_probs(&self, _: usize) -> Vec<f32> {
        descent::ln_probs(self)
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        self.sampler.work.add(descent::draw_at(self, points, excluded, out)?);
        Ok(())
    }
}

impl Descent for ClusterLaw<'_> {
    fn height(&self) -> usize {
        self.sampler.shape.height()
    }

    fn classes(&self) -> usize {
        self.sampler.classes
    }

    fn children(&self, level: usize, node: usize) -> Range<usize> {
        self.sampler.shape.children(level, node)
    }

    fn parent(&self, level: usize, child: usize) -> usize {
        self.sampler.shape.parent(level, child)
    }

    fn class_at(&self, slot: usize) -> ClassId {
        self.sampler.shape.leaves.class_at(slot)
    }

    fn slot_of(&self, class: ClassId) -> usize {
        self.sampler.shape.leaves.slot_of(class)
    }

    fn products(laws: &[&Self], level: usize, node: usize, out: &mut [f32]) {
        let law = laws[0];
        if let Asker::Batch(batch) = &law.asker {
            batch.products(law, level, node, out);
            return;
        }
        let operands: Vec<&[f32]> = laws.iter().map(|law| law.operand(level)).collect();
        law.multiply(&operands, level, node, out);
    }

    fn weigh(&self, level: usize, node: usize, masses: &mut [f32]) -> f64 {
        if level == 0 {
            self.softmax(node, masses)
        } else if matches!(self.asker, Asker::Batch(_)) && level == self.height() {
            // They are masses already.
            masses.iter().map(|&mass| f64::from(mass)).sum()
        } else {
            self.estimates(level, node, masses)
        }
    }

    fn prefetch(&self, level: usize, node: usize) {
        if level == 0 {
            self.sampler.classes_of(node).for_each(|class| prefetch(self.classes.embedding(class)));
        }
    }
}

impl ClusterLaw<'_> {
    fn operand(&self, level: usize) -> &[f32] {
        match &self.asker {
            Asker::One { query, .. } if level == 0 => query,
            Asker::One { operand, .. } => operand,
            Asker::Batch(_) => unreachable!("a batch makes its operands"),
        }
    }

    /// Products of operands with what is kept of the children of a node, or with the rows of a leaf.
    pub(super) fn multiply(&self, operands: &[&[f32]], level: usize, node: usize, out: &mut [f32]) {
        let sampler = self.sampler;
        if level > 0 {
            let (rows, width) = (sampler.shape.child_rows(level, node), sampler.moments.operand_width());
            all_dots(operands, &sampler.moments.operands[rows.start * width..rows.end * width], width, out);
            return;
        }
        let leaves = &sampler.shape.leaves;
        if leaves.order().is_empty() {
            let (slots, width) = (leaves.slots(node), self.classes.width());
            all_dots(operands, &self.classes.rows()[slots.start * width..slots.end * width], width, out);
            return;
        }
        let rows: Vec<&[f32]> = sampler.classes_of(node).map(|class| self.classes.embedding(class)).collect();
        scattered_dots(operands, &rows, out);
    }

    /// The softmax over the classes of a leaf, from the products of its rows.
    fn softmax(&self, leaf: usize, masses: &mut [f32]) -> f64 {
        for (mass, class) in masses.iter_mut().zip(self.sampler.classes_of(leaf)) {
            *mass = self.classes.score(*mass * self.sampler.scale_of(class) + self.classes.bias(class));
        }
        exponentials(masses)
    }

    /// `(1 - epsilon) g / sum g + epsilon u / sum u` of the children of a node above the leaves.
    pub(super) fn estimates(&self, level: usize, node: usize, masses: &mut [f32]) -> f64 {
        let (sampler, rows) = (self.sampler, self.sampler.shape.child_rows(level, node));
        let ln_weights = &sampler.moments.ln_weights[rows.clone()];
        masses.iter_mut().zip(ln_weights).for_each(|(x, ln_weight)| *x = self.classes.score(*x) + ln_weight);
        let total = exponentials(masses);
        let frequencies = &sampler.frequencies[rows];
        let epsilon = sampler.config.epsilon;
        let (kept, mixed) = ((1.0 - epsilon) / total as f32, epsilon / frequencies.iter().sum::<f32>());
        masses.iter_mut().zip(frequencies).for_each(|(mass, u)| *mass = kept * *mass + mixed * u);
        masses.iter().map(|&mass| f64::from(mass)).sum()
    }
}
