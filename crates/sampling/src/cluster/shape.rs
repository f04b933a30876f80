//! The nodes above the classes, and where their rows lie.

use std::ops::Range;

use crate::Leaves;

/// Leaves over the slots, under the root; or leaves under groups of leaves under the root.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub leaves: Leaves,
    /// Leaves in a group; `None` for two levels.
    group: Option<usize>,
}

impl Shape {
    /// Of 2 or 3 levels, the classes included.
    pub fn new(leaves: Leaves, levels: usize) -> Self {
        let group = (levels == 3).then(|| (leaves.leaves() as f64).sqrt().ceil() as usize);
        Self { leaves, group }
    }

    /// The level of the root.
    pub fn height(&self) -> usize {
        if self.group.is_some() { 2 } else { 1 }
    }

    /// Groups of leaves, 0 for two levels.
    pub fn groups(&self) -> usize {
        self.group.map_or(0, |size| self.leaves.leaves().div_ceil(size))
    }

    /// Rows of all nodes but the root: the leaves, then the groups.
    pub fn rows(&self) -> usize {
        self.leaves.leaves() + self.groups()
    }

    /// The group of a leaf, as a row.
    pub fn group_row(&self, leaf: usize) -> Option<usize> {
        Some(self.leaves.leaves() + leaf / self.group?)
    }

    /// Children of a node: slots for a leaf, else nodes of the level below.
    pub fn children(&self, level: usize, node: usize) -> Range<usize> {
        match (level, self.group) {
            (0, _) => self.leaves.slots(node),
            (1, Some(size)) => node * size..((node + 1) * size).min(self.leaves.leaves()),
            (2, Some(_)) => 0..self.groups(),
            _ => 0..self.leaves.leaves(),
        }
    }

    /// Rows of the children of a node above the leaves.
    pub fn child_rows(&self, level: usize, node: usize) -> Range<usize> {
        let first = if level == 2 { self.leaves.leaves() } else { 0 };
        let children = self.children(level, node);
        first + children.start..first + children.end
    }

    /// The node of `level` that has a given child.
    pub fn parent(&self, level: usize, child: usize) -> usize {
        match (level, self.group) {
            (0, _) => self.leaves.leaf_of(child),
            (1, Some(size)) => child / size,
            _ => 0,
        }
    }
}
