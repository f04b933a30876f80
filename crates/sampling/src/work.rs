//! What a sampler did, in counts: the side of a timing that does not depend on the machine.

use std::iter::Sum;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Totals since a sampler was built. The difference of two is the work between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Work {
    /// Masses of tree nodes estimated in draws, each a product over all features.
    pub node_masses: u64,
    /// Masses of single classes computed in draws.
    pub class_masses: u64,
    /// Nodes whose sums were brought up to date by refreshes, leaves included.
    pub nodes_refreshed: u64,
}

impl Work {
    /// Counts the masses of the children of a node of a tree whose leaves are level 0.
    pub(crate) fn count(&mut self, level: usize, masses: usize) {
        let total = if level == 0 { &mut self.class_masses } else { &mut self.node_masses };
        *total += masses as u64;
    }
}

impl Sub for Work {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            node_masses: self.node_masses - before.node_masses,
            class_masses: self.class_masses - before.class_masses,
            nodes_refreshed: self.nodes_refreshed - before.nodes_refreshed,
        }
    }
}

impl Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            node_masses: self.node_masses + other.node_masses,
            class_masses: self.class_masses + other.class_masses,
            nodes_refreshed: self.nodes_refreshed + other.nodes_refreshed,
        }
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Self::add)
    }
}

/// Totals that threads add to together. They add once for a block of queries or a refresh, never for a node.
#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; 3]);

impl Counters {
    pub fn add(&self, work: Work) {
        let parts = [work.node_masses, work.class_masses, work.nodes_refreshed];
        self.0.iter().zip(parts).for_each(|(total, part)| _ = total.fetch_add(part, Ordering::Relaxed));
    }

    pub fn total(&self) -> Work {
        let [node_masses, class_masses, nodes_refreshed] = [0, 1, 2].map(|at| self.0[at].load(Ordering::Relaxed));
        Work { node_masses, class_masses, nodes_refreshed }
    }
}

impl Clone for Counters {
    fn clone(&self) -> Self {
        let counters = Self::default();
        counters.add(self.total());
        counters
    }
}
