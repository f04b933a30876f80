//! What a checkpoint keeps of the sampler, so that a resumed run is equal to the last bit.

use super::ClusterSampler;
use crate::{ClassId, Classes, Error, Grouping};

impl ClusterSampler {
    /// Sums of all nodes, which grow by `new - old`: with the class table and the order, all that cannot be computed again
    /// to the last bit.
    pub fn sums(&self) -> &[f32] {
        &self.moments.sums
    }

    /// The classes in the order of their leaves, where rows decided it; else empty.
    pub fn order(&self) -> Vec<ClassId> {
        let slots = if self.regroups() { 0..self.len() } else { 0..0 };
        slots.map(|slot| self.shape.leaves.class_at(slot)).collect()
    }

    /// Whether leaves change with the rows: [`order`](Self::order) is then part of the state.
    pub fn regroups(&self) -> bool {
        self.config.grouping == Some(Grouping::Similarity)
    }

    /// The leaf that the next refresh sums anew.
    pub fn next_rebuild(&self) -> usize {
        self.next_rebuild
    }

    /// Refreshes so far, which tell when the next regrouping is due.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes up a saved state over the table it belongs to.
    ///
    /// # Errors
    /// [`Error::WrongState`] if it has another size or order, [`Error::NotFinite`] if a row is not finite; the sampler
    /// then keeps its old state.
    pub fn restore(
        &mut self,
        classes: Classes<'_>,
        sums: &[f32],
        order: Vec<ClassId>,
        next_rebuild: usize,
        steps: u64,
    ) -> Result<(), Error> {
        let wanted = self.sums().len();
        if sums.len() != wanted
            || next_rebuild >= self.shape.leaves.leaves()
            || order.len() != if self.regroups() { self.len() } else { 0 }
        {
            return Err(Error::WrongState { wanted, found: sums.len() });
        }
        if order.is_empty() {
            self.rebuild(classes)?;
        } else {
            self.rebuild_over(self.shape.leaves.clone().with_order(order)?, classes)?;
        }
        self.moments.sums.copy_from_slice(sums);
        (0..self.shape.rows()).for_each(|row| self.derive_row(row));
        (self.next_rebuild, self.steps) = (next_rebuild, steps);
        Ok(())
    }
}
