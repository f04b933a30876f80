//! A kernel sampler through a tree of feature sums.
//!
//! The law is that of `rf_sampling::KernelTree`: a node has four children, each of which counts with
//! `max(phi(h)·S(child), floor w(child))`; one of three laws shares a leaf out. Excluded classes are left out in the walk. All numbers have
//! 32 bits.
//!
//! The draws of a batch go down together, one launch a level. Where a level has few nodes the products of all of them with all queries are
//! computed once; below, every draw computes those of the four children that it chooses among.

mod features;
mod kept;
mod masses;
mod shared;
mod sums;
mod walk;

pub use features::{MapKind, MapParts};

use cubecl::client::Client;

use crate::lists::find_lists;
use crate::rows::{Places, Touched, count_up};
use crate::segments::Segments;
use crate::{Buffer, Table};
use features::Map;

/// Children of a node.
const FAN_OUT: usize = 4;

/// Leaves that every refresh sums anew, in turn.
const REBUILT: usize = 2;

/// Numbers of features that are kept at once of the rows of a refresh, once before and once after: 128 MiB each.
const MAPPED: usize = 1 << 25;

/// How a leaf shares its probability among its classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LeafKind {
    /// `max(phi(h)·phi(c), floor) w`.
    Features = 0,
    /// The kernel itself times `w`.
    Kernel = 1,
    /// The exponential of the logit.
    Exact = 2,
}

/// A tree on the host, to be copied to the device.
#[derive(Clone, Copy, Debug)]
pub struct TreeParts<'a> {
    /// First slot of each leaf, and `n`; `[L + 1]`.
    pub bounds: &'a [u32],
    /// Class of each slot, `[n]`.
    pub order: &'a [u32],
    /// The feature map.
    pub map: MapParts<'a>,
    /// The law inside a leaf.
    pub leaf_law: LeafKind,
    /// Sums of the leaves, `[L, F']` with `F' >= F`, the numbers after the first `F` being zero; empty where all are summed anew.
    pub leaf_sums: &'a [f32],
    /// Prior weight of each class; empty when all are one.
    pub prior: &'a [f32],
    /// Smallest estimate, as a multiple of the weight of a node's classes.
    pub floor: f32,
    /// The next leaf to be summed anew.
    pub next_rebuild: usize,
}

/// A tree on a device.
#[derive(Clone, Debug)]
pub struct Tree {
    map: Map,
    leaf_law: LeafKind,
    floor: f32,
    bounds: Buffer<u32>,
    /// The same on the host.
    starts: Vec<u32>,
    places: Places,
    /// Prior weight of each class, `[n]`.
    prior: Buffer<f32>,
    /// What a row is multiplied by before the map, and `prior e^b`; by slot.
    scales: Buffer<f32>,
    weights: Buffer<f32>,
    /// Features of all classes by slot, `[n, F]`; under the leaf law `features` only.
    class_features: Option<Table>,
    /// Sums of the nodes of each level, `[nodes, F]`, the leaves first, the root last; and the weights of their classes.
    levels: Vec<Table>,
    masses: Vec<Buffer<f32>>,
    normalized: bool,
    next_rebuild: usize,
    /// Rows that are mapped at once.
    part: usize,
}

impl Tree {
    /// Copies a tree whose rows are in `table`; sums that are not given are made on the device, O(n d D).
    ///
    /// # Panics
    /// If the lengths do not agree, or a row of features does not fit a buffer.
    pub fn upload(client: &Client, parts: TreeParts<'_>, table: &Table, dim: usize, normalized: bool) -> Self {
        let shard = Table::largest_shard(client, Self::width_of(parts.map, dim));
        Self::in_shards(client, parts, table, dim, normalized, shard)
    }

    /// As [`upload`](Self::upload), with so many rows in a shard.
    ///
    /// # Panics
    /// As there.
    pub fn in_shards(
        client: &Client,
        parts: TreeParts<'_>,
        table: &Table,
        dim: usize,
        normalized: bool,
        shard: usize,
    ) -> Self {
        let (n, leaves) = (parts.order.len(), parts.bounds.len() - 1);
        assert_eq!(n, table.rows(), "classes of the tree");
        let map = Map::upload(client, parts.map, dim);
        let mut slot_of = vec![0; n];
        parts.order.iter().zip(0..).for_each(|(&class, slot)| slot_of[class as usize] = slot);
        let ones = vec![1.0; n];
        let prior = if parts.prior.is_empty() { &ones } else { parts.prior };
        let (width, counts) = (map.width(), nodes(leaves));
        let empty = |rows| Table::empty(client, rows, width, shard);
        let mut levels: Vec<Table> = counts.iter().map(|&count| empty(count)).collect();
        let given = !parts.leaf_sums.is_empty();
        if given {
            let stride = parts.leaf_sums.len() / leaves;
            let rows: Vec<f32> = parts.leaf_sums.chunks(stride).flat_map(|row| &row[..width]).copied().collect();
            levels[0] = Table::in_shards(client, &rows, width, shard);
        }
        let tree = Self {
            leaf_law: parts.leaf_law,
            floor: parts.floor,
            bounds: Buffer::upload(client, parts.bounds),
            starts: parts.bounds.to_vec(),
            places: Places { slot_of: Buffer::upload(client, &slot_of), class_at: Buffer::upload(client, parts.order) },
            prior: Buffer::upload(client, prior),
            scales: Buffer::empty(client, n),
            weights: Buffer::empty(client, n),
            class_features: (parts.leaf_law == LeafKind::Features).then(|| empty(n)),
            levels,
            masses: counts.iter().map(|&count| Buffer::empty(client, count)).collect(),
            map,
            normalized,
            next_rebuild: parts.next_rebuild,
            part: shard.min((MAPPED / width).max(1)),
        };
        tree.build(table, given);
        tree
    }

    fn build(&self, table: &Table, given: bool) {
        let (client, leaves) = (table.client(), self.leaves());
        self.take_slots(table, 0..table.rows(), !given);
        let (list, count) = (count_up(client, 0, leaves), Buffer::upload(client, &[leaves as u32]));
        self.finish(&list, &count, leaves);
    }

    /// Sums of the leaves, `[L, stride]` with zeros after the first `F` of each, and the next leaf to be summed anew: what a checkpoint keeps.
    /// No sums under the leaf law `features`, which follow from the rows. Waits for the device.
    pub fn download(&self, stride: usize) -> (Vec<f32>, usize) {
        if self.leaf_law == LeafKind::Features {
            return (Vec::new(), self.next_rebuild);
        }
        let mut padded = vec![0.0; self.leaves() * stride];
        let sums = self.levels[0].download();
        let rows = padded.chunks_mut(stride).zip(sums.chunks(self.map.width()));
        rows.for_each(|(to, from)| to[..from.len()].copy_from_slice(from));
        (padded, self.next_rebuild)
    }

    /// Sums and weights of all nodes, level by level from the leaves up, for tests and those who look inside.
    pub fn nodes(&self) -> Vec<(Vec<f32>, Vec<f32>)> {
        self.levels.iter().zip(&self.masses).map(|(sums, masses)| (sums.download(), masses.download())).collect()
    }

    /// Where the classes lie.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Number of leaves.
    pub fn leaves(&self) -> usize {
        self.levels[0].rows()
    }

    /// The level of the root.
    fn height(&self) -> usize {
        self.levels.len() - 1
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        let tables = self.levels.iter().chain(&self.class_features);
        let floats = [&self.prior, &self.scales, &self.weights, &self.map.operands].into_iter().chain(&self.masses);
        let words = [&self.bounds, &self.places.slot_of, &self.places.class_at];
        let numbers = tables.map(|table| table.rows() * table.width()).sum::<usize>()
            + floats.map(Buffer::len).sum::<usize>()
            + words.map(Buffer::len).iter().sum::<usize>();
        4 * numbers
    }

    /// Numbers in a feature vector.
    pub fn width_of(map: MapParts<'_>, dim: usize) -> usize {
        match map.kind {
            MapKind::Quadratic => dim * (dim + 1) / 2 + 1,
            _ => 2 * map.frequencies.len() / dim,
        }
    }

    /// Bytes that a tree takes, and the most rows of one of its tables.
    pub fn size_of(parts: TreeParts<'_>, dim: usize) -> (usize, usize) {
        let (n, leaves) = (parts.order.len(), parts.bounds.len() - 1);
        let kept = if parts.leaf_law == LeafKind::Features { n } else { 0 };
        let rows = kept + nodes(leaves).iter().sum::<usize>();
        (4 * (rows * (Self::width_of(parts.map, dim) + 1) + 6 * n), kept.max(leaves))
    }

    /// Takes up the rows that were stepped: under the leaf law `features` the leaves of touched rows are summed anew; otherwise they take
    /// new minus old, or their classes where all of them moved, and the next leaves are summed anew. Then the nodes above them.
    pub fn refresh(&mut self, table: &Table, touched: &Touched) {
        let leaf_of = find_lists(&self.bounds, &touched.slots, touched.most());
        self.exchange(table, touched, &leaf_of);
        let segments = Segments::of(&leaf_of, touched.count());
        self.finish(&segments.keys, &segments.count, touched.most().min(self.leaves()));
        if self.leaf_law != LeafKind::Features {
            self.rebuild_next(table);
        }
        self.next_rebuild = (self.next_rebuild + REBUILT) % self.leaves();
    }

    /// Sums the next few leaves anew.
    fn rebuild_next(&self, table: &Table) {
        let leaves = self.leaves();
        let mut turn: Vec<usize> = (0..REBUILT.min(leaves)).map(|k| (self.next_rebuild + k) % leaves).collect();
        turn.sort_unstable();
        for &leaf in &turn {
            self.take_slots(table, self.starts[leaf] as usize..self.starts[leaf + 1] as usize, true);
        }
        let client = table.client();
        let list: Vec<u32> = turn.iter().map(|&leaf| leaf as u32).collect();
        self.finish(&Buffer::upload(client, &list), &Buffer::upload(client, &[list.len() as u32]), list.len());
    }

    /// Makes what follows from the rows of the first `count[0] <= most` leaves of a list: weights, sums of features that are kept, the nodes
    /// above.
    fn finish(&self, list: &Buffer<u32>, count: &Buffer<u32>, most: usize) {
        self.weigh_leaves(list, count, most);
        self.sum_kept(list, count, most);
        self.sum_up(list, count, most);
    }
}

/// Nodes of each level over some leaves, which are the first level; the last is the root.
fn nodes(leaves: usize) -> Vec<usize> {
    let mut counts = vec![leaves];
    while counts[counts.len() - 1] > 1 {
        counts.push(counts[counts.len() - 1].div_ceil(FAN_OUT));
    }
    counts
}

#[cfg(test)]
mod tests;
