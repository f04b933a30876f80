//! The step of a head, whole or in its two halves.

use std::sync::Arc;

use rf_sampling::{ClassId, Sampler};

use super::{HeadGradients, SampledSoftmaxLoss, classes_of};
use crate::Error;

impl SampledSoftmaxLoss {
    /// Steps the touched rows and refreshes the sampler for them: O(touched rows), whatever `n` is.
    ///
    /// # Errors
    /// [`Error::Shared`] while a clone is alive; [`Error::Sampler`] if a row is no longer finite, in which case the rows
    /// are stepped and the sampler is not: stop training.
    pub fn step(&mut self, rate: f64, gradients: &HeadGradients) -> Result<(), Error> {
        let before = self.step_rows(rate, gradients)?;
        self.refresh(&gradients.classes.ids, &before)
    }

    /// The first half of [`step`](Self::step): steps the touched rows and returns what they were, `[ids, width]`, or
    /// nothing if the sampler does not ask for it. The sampler does not know the new rows until [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// [`Error::Shared`] while a clone is alive.
    pub fn step_rows(&mut self, rate: f64, gradients: &HeadGradients) -> Result<Vec<f32>, Error> {
        let sampler = Arc::get_mut(&mut self.sampler).ok_or(Error::Shared)?;
        let before = if sampler.reads_before() { self.table.read(&gradients.classes.ids)? } else { Vec::new() };
        self.table.step(rate, &gradients.classes)?;
        if let Some(gradient) = &gradients.ln_tau {
            self.ln_tau.step(rate, gradient)?;
        }
        self.steps += 1;
        Ok(before)
    }

    /// The second half of [`step`](Self::step): the sampler takes up the rows `ids`, which were `before`.
    ///
    /// # Errors
    /// [`Error::Shared`] while a clone is alive; [`Error::Sampler`] if a row is not finite.
    pub fn refresh(&mut self, ids: &[ClassId], before: &[f32]) -> Result<(), Error> {
        let sampler = Arc::get_mut(&mut self.sampler).ok_or(Error::Shared)?;
        Ok(sampler.refresh(ids, before, classes_of(&self.table, &self.config))?)
    }
}
