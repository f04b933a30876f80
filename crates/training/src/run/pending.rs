//! Steps whose figures are still to be read.

use super::Run;
use crate::{Error, Figures, StepFigures, Task, check_finite};

/// Steps that the loop is ahead of a graphics card at most. To wait for each leaves the card idle until the next one is
/// on its way. With more of them more memory of the card is taken, and more work is done in vain after a step that
/// diverged.
pub(super) const IN_FLIGHT: usize = 8;

impl<T: Task> Run<'_, T> {
    /// Takes up the figures of a step, counted from 0: at once if they are known, else when it is time to wait.
    pub(super) fn take_up(&mut self, step: u64, figures: StepFigures) -> Result<(), Error> {
        let known = figures.known().is_some();
        self.pending.push_back((step, figures));
        if known || self.pending.len() == IN_FLIGHT { self.settle() } else { Ok(()) }
    }

    /// Reads the figures of all steps so far, in their order, and so waits for a graphics card. Whatever tells or stores
    /// something does this first.
    ///
    /// # Errors
    /// [`Error::Diverged`] at the first step whose figures are not finite.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        while let Some((step, figures)) = self.pending.pop_front() {
            let Figures { loss, norm, rows } = figures.wait();
            check_finite(loss, norm, step)?;
            self.loss_sum += loss;
            self.position.count_rows(rows);
        }
        Ok(())
    }
}
