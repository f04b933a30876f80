//! The walk down the tree: all draws of a query together, the queries of a block side by side, and excluded classes
//! left out on the way.

use std::borrow::Cow;

use rand::Rng;
use rand::distr::Distribution;

use super::RffTree;
use crate::draw::{Span, sample_one, scan};
use crate::{ClassId, Classes, Draw, Error, Law, row_dots};

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
        let mut estimates = [0.0; 2];
        row_dots(&self.features, self.tree.children(node), self.features.len(), &mut estimates);
        let masses = [self.tree.masses[2 * node], self.tree.masses[2 * node + 1]];
        let [left, right] = [0, 1].map(|side| estimates[side].max(self.tree.floor * masses[side]));
        // Without a floor both may be zero: then the weights alone decide.
        let [left, right] = if left + right > 0.0 { [left, right] } else { masses };
        f64::from(left) / (f64::from(left) + f64::from(right))
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
        let mut walkers = [Walker::new(self, points, excluded)?];
        walk(&mut walkers);
        let [walker] = walkers;
        out.extend(walker.out);
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

/// A query on its way down the tree.
pub(super) struct Walker<'w, 'a> {
    law: &'w RffLaw<'a>,
    kept: Kept,
    excluded: &'w [ClassId],
    points: &'w [f64],
    pub(super) out: Vec<Draw>,
}

impl<'w, 'a> Walker<'w, 'a> {
    pub(super) fn new(law: &'w RffLaw<'a>, points: &'w [f64], excluded: &'w [ClassId]) -> Result<Self, Error> {
        let kept = Kept::new(law, excluded);
        if kept.share(1) <= 0.0 {
            return Err(Error::NothingLeft);
        }
        Ok(Self { law, kept, excluded, points, out: Vec::new() })
    }
}

/// A walker at a node, with the points that fall on it.
struct Visit {
    walker: usize,
    points: std::ops::Range<usize>,
    span: Span,
    /// Whether an excluded class may lie at or below the node.
    on_path: bool,
}

/// Takes walkers over the same tree down together: each node is read from memory once for all of them.
pub(super) fn walk(walkers: &mut [Walker<'_, '_>]) {
    let visit = |(walker, at): (usize, &Walker<'_, '_>)| Visit {
        walker,
        points: 0..at.points.len(),
        span: Span::WHOLE,
        on_path: !at.excluded.is_empty(),
    };
    let visits = walkers.iter().enumerate().map(visit).collect();
    descend(1, visits, walkers, &mut Vec::new());
}

fn descend(node: usize, visits: Vec<Visit>, walkers: &mut [Walker<'_, '_>], masses: &mut Vec<f32>) {
    let Some(first) = visits.first() else { return };
    let leaves = walkers[first.walker].law.tree.leaves();
    if node >= leaves {
        visits.iter().for_each(|visit| draw_in_leaf(node - leaves, visit, &mut walkers[visit.walker], masses));
        return;
    }
    let (mut left, mut right) = (Vec::with_capacity(visits.len()), Vec::with_capacity(visits.len()));
    for visit in visits {
        let [below, above] = split(node, visit, walkers);
        left.extend(Some(below).filter(|visit| !visit.points.is_empty()));
        right.extend(Some(above).filter(|visit| !visit.points.is_empty()));
    }
    descend(2 * node, left, walkers, masses);
    descend(2 * node + 1, right, walkers, masses);
}

/// Shares a visit out to the two children.
fn split(node: usize, visit: Visit, walkers: &[Walker<'_, '_>]) -> [Visit; 2] {
    let Visit { walker, points, span, on_path } = visit;
    let Walker { law, kept, points: all, .. } = &walkers[walker];
    let known = if on_path { kept.find(node) } else { None };
    let (left, right) = match known {
        Some(&(_, left, share)) => {
            (left * kept.share(2 * node) / share, (1.0 - left) * kept.share(2 * node + 1) / share)
        }
        None => {
            let left = law.left(node);
            (left, 1.0 - left)
        }
    };
    let below = Span { start: span.start, mass: span.mass * left };
    let above = Span { start: span.start + below.mass, mass: span.mass * right };
    // A side of no mass gets no point, however the boundary was rounded.
    let middle = match (below.mass > 0.0, above.mass > 0.0) {
        (true, true) => points.start + all[points.clone()].partition_point(|&point| point < above.start),
        (true, false) => points.end,
        (false, _) => points.start,
    };
    let on_path = known.is_some();
    [
        Visit { walker, points: points.start..middle, span: below, on_path },
        Visit { walker, points: middle..points.end, span: above, on_path },
    ]
}

fn draw_in_leaf(leaf: usize, visit: &Visit, walker: &mut Walker<'_, '_>, masses: &mut Vec<f32>) {
    let mut total = walker.law.leaf_masses(leaf, masses);
    let classes = walker.law.tree.classes_of(leaf);
    if visit.on_path {
        let from = walker.excluded.partition_point(|&class| (class as usize) < classes.start);
        let here = walker.excluded[from..].iter().take_while(|&&class| (class as usize) < classes.end);
        here.for_each(|&class| masses[class as usize - classes.start] = 0.0);
        total = masses.iter().map(|&mass| f64::from(mass)).sum();
    }
    scan(masses, total, classes.start, visit.span, &walker.points[visit.points.clone()], &mut walker.out);
}
