//! The way down a hierarchy of nodes: what every law does that chooses a node, then one of its children, down to a class.
//!
//! A law says what a node gives to each of its children ([`Descent`]). From that follow, here and once for all of them: the
//! probability of a class, the exclusion of classes ([`Kept`]), and the walk of many queries with all their draws together.
//!
//! The children of a leaf are *slots*, places in the order in which a grouping lays the classes side by side.

mod kept;
mod walk;

use std::borrow::Cow;
use std::ops::Range;

use crate::{Block, ClassId, Draw, Error, Work};
use walk::{Walker, walk};

/// The law of one query over a hierarchy. Level 0 are the leaves, whose children are slots; the children of a node of
/// another level are nodes of the level below, side by side; the one node of the level `height` is the root.
pub(crate) trait Descent {
    /// The level of the root.
    fn height(&self) -> usize;

    /// Number of classes.
    fn classes(&self) -> usize;

    /// Children of a node.
    fn children(&self, level: usize, node: usize) -> Range<usize>;

    /// The node of `level` that has a given child.
    fn parent(&self, level: usize, child: usize) -> usize;

    /// The class in a slot.
    fn class_at(&self, slot: usize) -> ClassId;

    /// The slot of a class.
    fn slot_of(&self, class: ClassId) -> usize;

    /// What [`weigh`](Self::weigh) makes masses of, for several queries at one node.
    ///
    /// # Shapes
    /// - out: `[laws, children]`
    fn products(laws: &[&Self], level: usize, node: usize, out: &mut [f32]);

    /// Turns the products of one query at a node into the masses of the children, in no particular unit. Returns their
    /// sum, which is positive.
    fn weigh(&self, level: usize, node: usize, masses: &mut [f32]) -> f64;

    /// Asks for what the masses of a node's children are computed from.
    fn prefetch(&self, _level: usize, _node: usize) {}

    /// Masses of the children of a node and their sum.
    fn masses(&self, level: usize, node: usize, masses: &mut Vec<f32>) -> f64 {
        masses.resize(self.children(level, node).len(), 0.0);
        Self::products(&[self], level, node, masses);
        self.weigh(level, node, masses)
    }
}

/// `ln q(class)`: the conditionals along the path of the class.
pub(crate) fn ln_prob<L: Descent>(law: &L, class: ClassId) -> f32 {
    let slot = law.slot_of(class);
    // The child on the path below each level, from the slot itself up.
    let mut path = vec![slot];
    path.extend((0..law.height()).scan(slot, |child, level| {
        *child = law.parent(level, *child);
        Some(*child)
    }));
    let (mut mass, mut masses) = (1.0, Vec::new());
    for (level, child) in path.into_iter().enumerate().rev() {
        let node = law.parent(level, child);
        let total = law.masses(level, node, &mut masses);
        mass *= f64::from(masses[child - law.children(level, node).start]) / total;
    }
    mass.ln() as f32
}

/// `ln q` of all classes, level by level.
pub(crate) fn ln_probs<L: Descent>(law: &L) -> Vec<f32> {
    let (mut probabilities, mut masses) = (vec![1.0], Vec::new());
    for level in (0..=law.height()).rev() {
        let mut below = Vec::new();
        for (node, probability) in probabilities.into_iter().enumerate() {
            let total = law.masses(level, node, &mut masses);
            below.extend(masses.iter().map(|&mass| probability * (f64::from(mass) / total)));
        }
        probabilities = below;
    }
    let mut ln_probs = vec![0.0; law.classes()];
    for (slot, probability) in probabilities.into_iter().enumerate() {
        let probability: f64 = probability;
        ln_probs[law.class_at(slot) as usize] = probability.ln() as f32;
    }
    ln_probs
}

/// The draws of one query; see [`Law::draw_at`](crate::Law::draw_at).
pub(crate) fn draw_at<L: Descent>(
    law: &L,
    points: &[f64],
    excluded: &[ClassId],
    out: &mut Vec<Draw>,
) -> Result<Work, Error> {
    let walkers = [Walker::new(law, points, excluded)?];
    let (drawn, work) = walk(&walkers);
    out.extend(drawn.into_iter().flatten());
    Ok(work)
}

/// What the queries of a block draw, walking together; `law` fixes a query whose features are given.
pub(crate) fn walk_block<'b, L: Descent>(
    block: &'b Block<'_>,
    law: impl Fn(&'b [f32], Cow<'b, [f32]>) -> Result<L, Error>,
) -> Result<(Vec<Vec<Draw>>, Work), Error> {
    let fix = |task| {
        let (query, features) = block.query(task);
        law(query, Cow::Borrowed(features))
    };
    let laws: Vec<L> = block.tasks.iter().map(fix).collect::<Result<_, _>>()?;
    let walkers = laws.iter().zip(&block.tasks).map(|(law, task)| Walker::new(law, &task.points, task.excluded));
    Ok(walk(&walkers.collect::<Result<Vec<_>, _>>()?))
}
