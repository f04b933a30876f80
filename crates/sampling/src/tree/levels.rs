//! The shape of the tree.

use std::ops::Range;

use crate::Leaves;

/// Children of a node. Four rather than two: as many features are read on the way down (4 for one level, 2 + 2 for two),
/// in half as many steps that wait for each other, with two thirds of the memory and of the sums to refresh.
pub(super) const FAN_OUT: usize = 4;

/// Where the nodes of a tree lie in its tables: level by level, the leaves first, the root last.
///
/// Level 0 are the leaves, whose children are slots; the children of a node of another level are nodes of the level
/// below. The one node of the level [`height`](Self::height) is the root.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// Which classes lie in which leaf. Another order of classes changes nothing above.
    pub leaves: Leaves,
    /// First row of each level, and the number of all rows.
    starts: Vec<usize>,
}

impl Levels {
    pub fn new(leaves: Leaves) -> Self {
        let starts = starts(leaves.leaves());
        Self { leaves, starts }
    }

    /// Nodes of a tree over some leaves, which are nodes too.
    pub fn nodes_over(leaves: usize) -> usize {
        starts(leaves).pop().expect("the leaves are a level")
    }

    /// The level of the root.
    pub fn height(&self) -> usize {
        self.starts.len() - 2
    }

    /// Row of the root, the last.
    pub fn root(&self) -> usize {
        self.starts[self.height()]
    }

    /// First row of a level.
    pub fn start(&self, level: usize) -> usize {
        self.starts[level]
    }

    /// Children of a node: slots for a leaf, else nodes of the level below.
    pub fn children(&self, level: usize, node: usize) -> Range<usize> {
        if level == 0 {
            return self.leaves.slots(node);
        }
        let count = self.starts[level] - self.starts[level - 1];
        node * FAN_OUT..((node + 1) * FAN_OUT).min(count)
    }

    /// The node of `level` that has a given child.
    pub fn parent(&self, level: usize, child: usize) -> usize {
        if level == 0 { self.leaves.leaf_of(child) } else { child / FAN_OUT }
    }

    /// Rows of the children of an inner node.
    pub fn rows(&self, level: usize, node: usize) -> Range<usize> {
        let children = self.children(level, node);
        self.starts[level - 1] + children.start..self.starts[level - 1] + children.end
    }
}

/// First row of each level over some leaves, and the number of all rows.
fn starts(leaves: usize) -> Vec<usize> {
    let (mut width, mut starts) = (leaves, vec![0, leaves]);
    while width > 1 {
        width = width.div_ceil(FAN_OUT);
        starts.push(starts[starts.len() - 1] + width);
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Classes, Grouping, LeafPlan};

    #[test]
    fn every_node_below_the_root_is_the_child_of_one_parent() {
        for (classes, leaf_size) in [(1, 3), (12, 3), (13, 3), (37, 1), (64, 4), (100, 200), (1000, 3)] {
            let plan = LeafPlan::new(Grouping::Index, usize::div_ceil(classes, leaf_size));
            let levels = Levels::new(plan.arrange(Classes::new(&vec![0.0; classes], 1), &[], 0).unwrap());
            let mut below = classes;
            for level in 0..=levels.height() {
                let width = levels.starts[level + 1] - levels.starts[level];
                let children: Vec<usize> = (0..width).flat_map(|node| levels.children(level, node)).collect();
                assert_eq!(children, (0..below).collect::<Vec<_>>(), "{classes} classes, level {level}");
                for node in 0..width {
                    assert!(levels.children(level, node).all(|child| levels.parent(level, child) == node));
                }
                below = width;
            }
            assert_eq!(below, 1, "one root");
            assert_eq!(levels.root() + 1, Levels::nodes_over(plan.leaves));
        }
    }
}
