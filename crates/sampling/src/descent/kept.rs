//! What the exclusion of some classes leaves of a law.

use super::Descent;
use crate::{ClassId, Work};

/// The nodes above excluded classes, with what their children keep.
///
/// `e(child)` is the share of a child's probability that falls on classes that are not excluded: 0 for an excluded class,
/// 1 where nothing is excluded below, else the sum of the kept masses over the sum of the masses. A child of such a node
/// counts with its mass times `e(child)`. All are sums of kept parts, so nothing cancels however much is excluded.
#[derive(Default)]
pub(super) struct Kept {
    /// Ascending by level and node.
    nodes: Vec<KeptNode>,
    /// Kept masses of their children, one node after the other.
    masses: Vec<f64>,
    pub work: Work,
}

struct KeptNode {
    level: u32,
    node: u32,
    /// Where its masses begin and end.
    from: u32,
    to: u32,
}

impl Kept {
    /// `None` if the law gives all its probability to excluded classes.
    pub fn new<L: Descent>(law: &L, excluded: &[ClassId]) -> Option<Self> {
        let mut kept = Self::default();
        let mut masses = Vec::new();
        let mut below: Vec<(usize, f64)> = excluded.iter().map(|&class| (law.slot_of(class), 0.0)).collect();
        below.sort_unstable_by_key(|&(slot, _)| slot);
        for level in 0..=law.height() {
            let parent = |child: &(usize, f64)| law.parent(level, child.0);
            let group = |group: &[(usize, f64)]| {
                let node = parent(&group[0]);
                let total = law.masses(level, node, &mut masses);
                (node, kept.push(level, node, law.children(level, node).start, &masses, group) / total)
            };
            below = below.chunk_by(|a, b| parent(a) == parent(b)).map(group).collect();
        }
        below.first().is_none_or(|root| root.1 > 0.0).then_some(kept)
    }

    /// Keeps a node, whose first child is `first`, and returns the sum of what its children keep.
    fn push(&mut self, level: usize, node: usize, first: usize, masses: &[f32], shares: &[(usize, f64)]) -> f64 {
        let from = self.masses.len();
        self.masses.extend(masses.iter().map(|&mass| f64::from(mass)));
        shares.iter().for_each(|(child, share)| self.masses[from + child - first] *= share);
        let to = self.masses.len();
        self.nodes.push(KeptNode { level: level as u32, node: node as u32, from: from as u32, to: to as u32 });
        self.work.count(level, masses.len());
        self.masses[from..].iter().sum()
    }

    /// Kept masses of the children of a node, if an excluded class lies below it.
    pub fn find(&self, level: usize, node: usize) -> Option<&[f64]> {
        let wanted = (level as u32, node as u32);
        let at = self.nodes.binary_search_by(|known| (known.level, known.node).cmp(&wanted)).ok()?;
        let KeptNode { from, to, .. } = self.nodes[at];
        Some(&self.masses[from as usize..to as usize])
    }
}
