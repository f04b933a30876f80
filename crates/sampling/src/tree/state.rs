//! What a checkpoint keeps of the tree, so that a resumed run is equal to the last bit.

use super::KernelTree;
use super::sums::{self, Sums};
use crate::{Classes, Error};

impl KernelTree {
    /// Sums of the leaves, `[L, F]`, where they grow by `new - old`: with the class table, all that cannot be computed
    /// again to the last bit. Empty under the leaf law `features`, which sums a touched leaf anew.
    pub fn leaf_sums(&self) -> &[f32] {
        match &self.sums {
            Sums::Full(sums) => &sums[..self.levels.leaves() * self.map.width()],
            Sums::Half(_) => &[],
        }
    }

    /// The leaf that the next refresh sums anew.
    pub fn next_rebuild(&self) -> usize {
        self.next_rebuild
    }

    /// Takes up saved leaf sums over the table they belong to.
    ///
    /// # Errors
    /// [`Error::WrongState`] if the sums have another size, [`Error::NotFinite`] if a row is not finite; the tree then
    /// keeps its old state.
    pub fn restore(&mut self, classes: Classes<'_>, leaf_sums: &[f32], next_rebuild: usize) -> Result<(), Error> {
        let wanted = self.leaf_sums().len();
        if leaf_sums.len() != wanted || next_rebuild >= self.levels.leaves() {
            return Err(Error::WrongState { wanted, found: leaf_sums.len() });
        }
        self.rebuild(classes)?;
        if let Sums::Full(sums) = &mut self.sums {
            sums[..wanted].copy_from_slice(leaf_sums);
            let leaves: Vec<u32> = (0..self.levels.leaves() as u32).collect();
            sums::sum_up(&self.levels, self.map.width(), sums, &leaves);
        }
        self.next_rebuild = next_rebuild;
        Ok(())
    }
}
