//! What a checkpoint keeps of the tree, so that a resumed run is equal to the last bit.

use super::KernelTree;
use super::sums::{self, Sums};
use crate::{ClassId, Classes, Error, Grouping};

impl KernelTree {
    /// Sums of the leaves, `[L, F]`, where they grow by `new - old`: with the class table and the order, all that cannot be
    /// computed again to the last bit. Empty under the leaf law `features`, which sums a touched leaf anew.
    pub fn leaf_sums(&self) -> &[f32] {
        match &self.sums {
            Sums::Full(sums) => &sums[..self.levels.leaves.leaves() * self.map.width()],
            Sums::Half(_) => &[],
        }
    }

    /// The leaf that the next refresh sums anew.
    pub fn next_rebuild(&self) -> usize {
        self.next_rebuild
    }

    /// The classes in the order of their leaves, where rows decided it; else empty.
    pub fn order(&self) -> Vec<ClassId> {
        let slots = if self.regroups() { 0..self.len() } else { 0..0 };
        slots.map(|slot| self.leaves().class_at(slot)).collect()
    }

    /// Whether leaves change with the rows: [`order`](Self::order) and [`steps`](Self::steps) are then part of the state.
    pub fn regroups(&self) -> bool {
        self.plan.grouping == Grouping::Similarity
    }

    /// Refreshes so far, which tell when the next regrouping is due.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes up a saved state over the table it belongs to.
    ///
    /// # Errors
    /// [`Error::WrongState`] if sums or order have another size or the order is none, [`Error::NotFinite`] if a row is not
    /// finite; the tree then keeps its old state.
    pub fn restore(
        &mut self,
        classes: Classes<'_>,
        leaf_sums: &[f32],
        order: Vec<ClassId>,
        next_rebuild: usize,
        steps: u64,
    ) -> Result<(), Error> {
        let wanted = self.leaf_sums().len();
        if leaf_sums.len() != wanted || next_rebuild >= self.levels.leaves.leaves() {
            return Err(Error::WrongState { wanted, found: leaf_sums.len() });
        }
        let wanted_order = if self.regroups() { self.len() } else { 0 };
        if order.len() != wanted_order {
            return Err(Error::WrongState { wanted: wanted_order, found: order.len() });
        }
        if self.regroups() {
            self.rebuild_over(classes, |tree| tree.levels.leaves.clone().with_order(order))?;
        } else {
            self.rebuild(classes)?;
        }
        if let Sums::Full(sums) = &mut self.sums {
            sums[..wanted].copy_from_slice(leaf_sums);
            let leaves: Vec<u32> = (0..self.levels.leaves.leaves() as u32).collect();
            sums::sum_up(&self.levels, self.map.width(), sums, &leaves);
        }
        (self.next_rebuild, self.steps) = (next_rebuild, steps);
        Ok(())
    }
}
