//! The walk down the tree: all draws of a query together, excluded classes left out on the way.

use std::borrow::Cow;

use rand::Rng;
use rand::distr::Distribution;

use super::RffTree;
use crate::draw::{Span, sample_one, scan};
use crate::{ClassId, Classes, Draw, Error, Law, dot};

/// The RF-softmax law of one query.
#[derive(Clone, Debug)]
pub struct RffLaw<'a> {
    pub(super) tree: &'a RffTree,
    pub(super) query: &'a [f32],
    /// `1 / |query|`.
    pub(super) query_norm: f32,
    /// `phi(query / |query|)`.
    pub(super) features: Cow<'a, [f32]>,
    pub(super) classes: Classes<'a>,
}

impl<'a> RffLaw<'a> {
    pub(super) fn new(
        tree: &'a RffTree,
        query: &'a [f32],
        query_norm: f32,
        features: Cow<'a, [f32]>,
        classes: Classes<'a>,
    ) -> Self {
        Self { tree, query, query_norm, features, classes }
    }

    /// Probability of the left child of an inner node.
    fn left(&self, node: usize) -> f64 {
        let (left, right) = (self.estimate(2 * node), self.estimate(2 * node + 1));
        let (left, right) = if left + right > 0.0 {
            (left, right)
        } else {
            (self.tree.masses[2 * node], self.tree.masses[2 * node + 1])
        };
        f64::from(left) / (f64::from(left) + f64::from(right))
    }

    fn estimate(&self, node: usize) -> f32 {
        dot(&self.features, self.tree.sum(node)).max(self.tree.floor * self.tree.masses[node])
    }

    fn is_leaf(&self, node: usize) -> bool {
        node >= self.tree.leaves()
    }

    /// `ln q` of all classes below a node of probability `mass`.
    fn fill(&self, node: usize, mass: f64, masses: &mut Vec<f32>, out: &mut [f32]) {
        if self.is_leaf(node) {
            let leaf = node - self.tree.leaves();
            let total = self.leaf_masses(leaf, masses);
            for (class, share) in self.tree.classes_of(leaf).zip(masses) {
                out[class] = (mass * (f64::from(*share) / total)).ln() as f32;
            }
            return;
        }
        let left = self.left(node);
        self.fill(2 * node, mass * left, masses, out);
        self.fill(2 * node + 1, mass * (1.0 - left), masses, out);
    }
}

impl Distribution<ClassId> for RffLaw<'_> {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        sample_one(self, rng)
    }
}

impl Law for RffLaw<'_> {
    fn ln_prob(&self, class: ClassId) -> f32 {
        let leaf = class as usize / self.tree.leaf_size;
        let leaf_node = leaf + self.tree.leaves();
        let mut mass = 1.0;
        // From the root: the bits of the leaf's number below its highest one.
        for shift in (0..leaf_node.ilog2()).rev() {
            let child = leaf_node >> shift;
            let left = self.left(child / 2);
            mass *= if child.is_multiple_of(2) { left } else { 1.0 - left };
        }
        let mut masses = Vec::with_capacity(self.tree.leaf_size);
        let total = self.leaf_masses(leaf, &mut masses);
        let share = f64::from(masses[class as usize % self.tree.leaf_size]) / total;
        (mass * share).ln() as f32
    }

    fn ln_probs(&self, n: usize) -> Vec<f32> {
        let mut out = vec![f32::NEG_INFINITY; n];
        self.fill(1, 1.0, &mut Vec::new(), &mut out);
        out
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        let kept = Kept::new(self, excluded);
        if kept.share(1) <= 0.0 {
            return Err(Error::NothingLeft);
        }
        let mut walk = Walk { law: self, kept: &kept, excluded, masses: Vec::new(), out };
        walk.descend(1, !excluded.is_empty(), Span::WHOLE, points);
        Ok(())
    }
}

/// `e(node)`: the share of a node's probability that falls on classes that are not excluded.
///
/// Known for the ancestors of excluded classes; elsewhere it is one. In a leaf it is the law's mass over the kept
/// classes, above it `e = p_left e_left + p_right e_right`: sums of kept parts, so nothing cancels however much is
/// excluded.
struct Kept {
    /// Node, probability of its left child, `e(node)`; nodes descending.
    nodes: Vec<(usize, f64, f64)>,
}

impl Kept {
    fn new(law: &RffLaw<'_>, excluded: &[ClassId]) -> Self {
        let mut kept = Self { nodes: Vec::with_capacity(24 * excluded.len()) };
        let leaves = excluded.chunk_by(|a, b| *a as usize / law.tree.leaf_size == *b as usize / law.tree.leaf_size);
        for excluded in leaves.rev() {
            let leaf = excluded[0] as usize / law.tree.leaf_size;
            kept.nodes.push((leaf + law.tree.leaves(), 0.0, kept_in_leaf(law, leaf, excluded)));
        }
        // Parents have smaller numbers than their children, so the list stays in descending order as it grows.
        let mut next = 0;
        while next < kept.nodes.len() {
            let parent = kept.nodes[next].0 / 2;
            if parent > 0 && kept.nodes.last().is_none_or(|last| last.0 > parent) {
                let left = law.left(parent);
                let share = left * kept.share(2 * parent) + (1.0 - left) * kept.share(2 * parent + 1);
                kept.nodes.push((parent, left, share));
            }
            next += 1;
        }
        kept
    }

    fn find(&self, node: usize) -> Option<&(usize, f64, f64)> {
        self.nodes.binary_search_by(|known| node.cmp(&known.0)).ok().map(|at| &self.nodes[at])
    }

    fn share(&self, node: usize) -> f64 {
        self.find(node).map_or(1.0, |known| known.2)
    }
}

fn kept_in_leaf(law: &RffLaw<'_>, leaf: usize, excluded: &[ClassId]) -> f64 {
    let mut masses = Vec::with_capacity(law.tree.leaf_size);
    let total = law.leaf_masses(leaf, &mut masses);
    let first = law.tree.classes_of(leaf).start;
    excluded.iter().for_each(|&class| masses[class as usize - first] = 0.0);
    masses.iter().map(|&mass| f64::from(mass)).sum::<f64>() / total
}

/// One walk: the points of a query, pushed down the tree together.
struct Walk<'w, 'a> {
    law: &'w RffLaw<'a>,
    kept: &'w Kept,
    excluded: &'w [ClassId],
    masses: Vec<f32>,
    out: &'w mut Vec<Draw>,
}

impl Walk<'_, '_> {
    /// `on_path`: whether an excluded class may lie below.
    fn descend(&mut self, node: usize, on_path: bool, span: Span, points: &[f64]) {
        if points.is_empty() {
            return;
        }
        let known = if on_path { self.kept.find(node).copied() } else { None };
        if self.law.is_leaf(node) {
            return self.draw_in_leaf(node - self.law.tree.leaves(), known.is_some(), span, points);
        }
        let (left, right, on_path) = match known {
            Some((_, left, share)) => {
                let kept = (self.kept.share(2 * node), self.kept.share(2 * node + 1));
                (left * kept.0 / share, (1.0 - left) * kept.1 / share, true)
            }
            None => {
                let left = self.law.left(node);
                (left, 1.0 - left, false)
            }
        };
        let below = Span { start: span.start, mass: span.mass * left };
        let above = Span { start: span.start + below.mass, mass: span.mass * right };
        // A side of no mass gets no point, however the boundary was rounded.
        let split = match (below.mass > 0.0, above.mass > 0.0) {
            (true, true) => points.partition_point(|&point| point < above.start),
            (true, false) => points.len(),
            (false, _) => 0,
        };
        self.descend(2 * node, on_path, below, &points[..split]);
        self.descend(2 * node + 1, on_path, above, &points[split..]);
    }

    fn draw_in_leaf(&mut self, leaf: usize, on_path: bool, span: Span, points: &[f64]) {
        let mut total = self.law.leaf_masses(leaf, &mut self.masses);
        let classes = self.law.tree.classes_of(leaf);
        if on_path {
            let from = self.excluded.partition_point(|&class| (class as usize) < classes.start);
            let here = self.excluded[from..].iter().take_while(|&&class| (class as usize) < classes.end);
            here.for_each(|&class| self.masses[class as usize - classes.start] = 0.0);
            total = self.masses.iter().map(|&mass| f64::from(mass)).sum();
        }
        scan(&self.masses, total, classes.start, span, points, self.out);
    }
}
