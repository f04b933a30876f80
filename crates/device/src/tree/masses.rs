//! What nodes and classes give for a query.

use cubecl::prelude::*;

use super::{LeafKind, MapKind, Tree};
use crate::buffer::{cube_dim, grid};
use crate::loss::Lists;
use crate::table::{lane, product};
use crate::{Buffer, Table};

/// Queries whose products with a node one unit computes: the sums of the node are read once for all of them.
const QUERIES: usize = 8;

/// Nodes for each draw of a query up to which a level's products are computed for all nodes: a draw asks four of them.
const NODES_A_DRAW: usize = 4;

impl Tree {
    /// Products of the nodes of each level with all queries, `[nodes, B]`, where there are few; the root needs none.
    pub(super) fn dense(&self, phi: &Buffer<f32>, lists: &Lists) -> Vec<Option<Buffer<f32>>> {
        let few = |sums: &&Table| sums.rows() <= NODES_A_DRAW * lists.draws;
        let below_root = self.levels[..self.height()].iter();
        below_root.map(|sums| Some(sums).filter(few).map(|sums| self.products(phi, sums, lists.batch))).collect()
    }

    fn products(&self, phi: &Buffer<f32>, sums: &Table, batch: usize) -> Buffer<f32> {
        let (client, nodes) = (phi.client(), sums.rows());
        let products = Buffer::empty(client, nodes * batch);
        multiply::launch(
            client,
            grid(nodes * batch.div_ceil(QUERIES)),
            cube_dim(),
            self.map.feature_lanes(),
            phi.arg(),
            sums.arg(),
            products.arg(),
            batch,
            nodes,
            sums.shard_rows(),
            self.map.width(),
        );
        products
    }

    /// The number that kernels know the leaf law by.
    pub(super) fn law(&self) -> u32 {
        match self.leaf_law {
            LeafKind::Kernel if self.map.kind == MapKind::Quadratic => 3,
            LeafKind::Exact if !self.normalized => 4,
            law => law as u32,
        }
    }
}

/// Products of one node with a few queries a unit.
#[cube(launch)]
fn multiply<N: Size>(
    phi: &[Vector<f32, N>],
    sums: Sequence<Box<[Vector<f32, N>]>>,
    products: &mut [f32],
    batch: usize,
    nodes: usize,
    shard_rows: usize,
    #[comptime] width: usize,
) {
    let group = ABSOLUTE_POS / nodes;
    let node = ABSOLUTE_POS % nodes;
    let first = group * QUERIES;
    if first < batch {
        let lanes = N::value();
        let reads = comptime!(width / lanes);
        let mut at = Array::<usize>::new(QUERIES);
        let mut found = Array::<Vector<f32, N>>::new(QUERIES);
        #[unroll]
        for k in 0..QUERIES {
            // The last group may be short of queries; it computes the last one again.
            let mut query = first + k;
            if query >= batch {
                query = batch - 1;
            }
            at[k] = query * reads;
            found[k] = Vector::<f32, N>::new(0.0f32);
        }
        for j in 0..reads {
            let x = lane(&sums, shard_rows, node, j, reads);
            #[unroll]
            for k in 0..QUERIES {
                found[k] += phi[at[k] + j] * x;
            }
        }
        #[unroll]
        for k in 0..QUERIES {
            if first + k < batch {
                products[node * batch + first + k] = found[k].vector_sum();
            }
        }
    }
}

/// The product of a query's features with a row of a table.
#[cube]
fn dot<N: Size>(
    phi: &[Vector<f32, N>],
    query: usize,
    rows: &Sequence<Box<[Vector<f32, N>]>>,
    shard_rows: usize,
    row: usize,
    #[comptime] width: usize,
) -> f32 {
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let lanes = N::value();
    let reads = comptime!(width / lanes);
    let shard = row / shard_rows;
    let at = (row - shard * shard_rows) * reads;
    #[unroll]
    for number in 0..rows.len() {
        if shard == number {
            let numbers = &rows[number];
            for j in 0..reads {
                sum += phi[query * reads + j] * numbers[at + j];
            }
        }
    }
    sum.vector_sum()
}

/// `max(phi(h)·S, floor w)` of a node.
#[cube]
#[allow(clippy::too_many_arguments)]
pub(super) fn child_mass<N: Size>(
    phi: &[Vector<f32, N>],
    sums: &Sequence<Box<[Vector<f32, N>]>>,
    dense: &[f32],
    masses: &[f32],
    node: usize,
    query: usize,
    batch: usize,
    shard_rows: usize,
    floor: f32,
    #[comptime] width: usize,
    #[comptime] is_dense: bool,
) -> f32 {
    let mut mass = floor * masses[node];
    let mut estimate = 0.0f32;
    if comptime!(is_dense) {
        estimate = dense[node * batch + query];
    } else {
        estimate += dot(phi, query, sums, shard_rows, node, width);
    }
    if estimate > mass {
        mass = estimate;
    }
    mass
}

/// What a class gives in its leaf: `w max(phi(h)·phi(c), floor)` (law 0), the kernel times `w` (1; the quadratic one 3),
/// or its logit (2; of raw rows 4).
#[cube]
#[allow(clippy::too_many_arguments)]
pub(super) fn mass_of_class<N: Size, M: Size>(
    queries: &[Vector<f32, N>],
    query_scale: f32,
    phi: &[Vector<f32, M>],
    rows: &Sequence<Box<[Vector<f32, N>]>>,
    features: &Sequence<Box<[Vector<f32, M>]>>,
    class: usize,
    slot: usize,
    scale: f32,
    weight: f32,
    query: usize,
    row_shard: usize,
    feature_shard: usize,
    floor: f32,
    sharpness: f32,
    #[comptime] dim: usize,
    #[comptime] row_width: usize,
    #[comptime] width: usize,
    #[comptime] law: u32,
) -> f32 {
    let mut mass = 0.0f32;
    if comptime!(law == 0) {
        let mut estimate = dot(phi, query, features, feature_shard, slot, width);
        if estimate < floor {
            estimate = floor;
        }
        mass += estimate * weight;
    } else {
        let found = product(queries, query, rows, row_shard, class, dim, comptime!(row_width > dim));
        if comptime!(law == 1) {
            mass += (sharpness * (found.dot * scale * query_scale - 1.0f32)).exp() * weight;
        } else if comptime!(law == 3) {
            let x = found.dot * scale * query_scale;
            mass += (sharpness * x * x + 1.0f32) * weight;
        } else if comptime!(law == 4) {
            mass += found.dot + found.bias;
        } else {
            mass += found.dot * scale + found.bias;
        }
    }
    mass
}
