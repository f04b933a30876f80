//! The sums of the nodes, and how they are made from those below.

use std::ops::Range;

use rayon::prelude::*;

use super::levels::Levels;
use super::masses::Children;
use crate::half::{Half, Number};
use crate::memory::{Buffer, prefetch};
use crate::rows::split_rows;
use crate::vector::sum_rows;

/// Nodes that one parallel task sums.
const NODES_A_TASK: usize = 64;

/// Sums of all nodes, `[nodes, F]`, in the order of [`Levels`].
#[derive(Clone, Debug)]
pub(super) enum Sums {
    /// Sums that grow by `new - old`, which 16 bits would lose.
    Full(Buffer),
    /// Sums that are always made anew, from features of 16 bits: half as many bytes on the way down.
    Half(Buffer<Half>),
}

impl Sums {
    pub fn zeros(nodes: usize, width: usize, half: bool) -> Self {
        if half { Self::Half(Buffer::zeros(nodes * width)) } else { Self::Full(Buffer::zeros(nodes * width)) }
    }

    pub fn rows(&self, rows: Range<usize>, width: usize) -> Children<'_> {
        let numbers = rows.start * width..rows.end * width;
        match self {
            Self::Full(sums) => Children::Full(&sums[numbers], width),
            Self::Half(sums) => Children::Half(&sums[numbers], width),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::Full(sums) => size_of_val(&**sums),
            Self::Half(sums) => size_of_val(&**sums),
        }
    }
}

impl Default for Sums {
    fn default() -> Self {
        Self::Full(Buffer::default())
    }
}

/// Sums of the nodes above the given leaves, level by level: each is the sum of its children. Returns how many nodes are
/// new, the leaves included.
pub(super) fn sum_up<T: Number + Send + Sync>(levels: &Levels, width: usize, sums: &mut [T], leaves: &[u32]) -> usize {
    let (mut nodes, mut count) = (leaves.to_vec(), leaves.len());
    for level in 1..=levels.height() {
        nodes = parents(levels, level, nodes);
        let (below, above) = sums.split_at_mut(levels.start(level) * width);
        let children = |node: u32| {
            let rows = levels.rows(level, node as usize);
            &below[rows.start * width..rows.end * width]
        };
        split_rows(above, width, &nodes, NODES_A_TASK).into_par_iter().for_each(|mut piece| {
            for k in 0..piece.ids.len() {
                piece.ids.get(k + 1).iter().for_each(|&&next| prefetch(children(next)));
                sum_rows(children(piece.ids[k]), piece.row(k));
            }
        });
        count += nodes.len();
    }
    count
}

/// The nodes of a level above some of the level below; both ascending.
pub(super) fn parents(levels: &Levels, level: usize, mut nodes: Vec<u32>) -> Vec<u32> {
    nodes.iter_mut().for_each(|node| *node = levels.parent(level, *node as usize) as u32);
    nodes.dedup();
    nodes
}
