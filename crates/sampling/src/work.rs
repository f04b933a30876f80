//! What a sampler did, in counts: the side of a timing that does not depend on the machine.

use std::ops::Sub;

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
