//! The shape of the tree.

use std::ops::Range;

/// Children of a node. Four rather than two: as many features are read on the way down (4 for one level, 2 + 2 for two),
/// in half as many steps that wait for each other, with two thirds of the memory and of the sums to refresh.
pub(super) const FAN_OUT: usize = 4;

/// Where the nodes of a tree lie in its tables: level by level, the leaves first, the root last.
///
/// Level 0 are the leaves, whose children are classes; the children of a node of another level are nodes of the level
/// below. The one node of the level [`height`](Self::height) is the root.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    leaf_size: usize,
    classes: usize,
    /// First row of each level, and the number of all rows.
    starts: Vec<usize>,
}

impl Levels {
    pub fn new(classes: usize, leaf_size: usize) -> Self {
        let mut width = classes.div_ceil(leaf_size);
        let mut starts = vec![0, width];
        while width > 1 {
            width = width.div_ceil(FAN_OUT);
            starts.push(starts[starts.len() - 1] + width);
        }
        Self { leaf_size, classes, starts }
    }

    /// The level of the root.
    pub fn height(&self) -> usize {
        self.starts.len() - 2
    }

    pub fn leaves(&self) -> usize {
        self.starts[1]
    }

    pub fn nodes(&self) -> usize {
        self.root() + 1
    }

    /// Row of the root.
    pub fn root(&self) -> usize {
        self.starts[self.height()]
    }

    /// First row of a level.
    pub fn start(&self, level: usize) -> usize {
        self.starts[level]
    }

    /// Children of a node: classes for a leaf, else nodes of the level below.
    pub fn children(&self, level: usize, node: usize) -> Range<usize> {
        let count = if level == 0 { self.classes } else { self.starts[level] - self.starts[level - 1] };
        let fan_out = self.fan_out(level);
        node * fan_out..((node + 1) * fan_out).min(count)
    }

    /// The node of `level` that has a given child.
    pub fn parent(&self, level: usize, child: usize) -> usize {
        child / self.fan_out(level)
    }

    /// Rows of the children of an inner node.
    pub fn rows(&self, level: usize, node: usize) -> Range<usize> {
        let children = self.children(level, node);
        self.starts[level - 1] + children.start..self.starts[level - 1] + children.end
    }

    fn fan_out(&self, level: usize) -> usize {
        if level == 0 { self.leaf_size } else { FAN_OUT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_below_the_root_is_the_child_of_one_parent() {
        for (classes, leaf_size) in [(1, 3), (12, 3), (13, 3), (37, 1), (64, 4), (100, 200), (1000, 3)] {
            let levels = Levels::new(classes, leaf_size);
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
        }
    }
}
