//! The step of a head, whole or in its two halves.

use std::sync::Arc;

use rf_sampling::{ClassId, Sampler};

use super::store::{HostParts, Store};
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
    /// nothing if the sampler does not ask for it or all is on a graphics card. The sampler does not know the new rows until [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// [`Error::Shared`] while a clone is alive.
    pub fn step_rows(&mut self, rate: f64, gradients: &HeadGradients) -> Result<Vec<f32>, Error> {
        let before = match &mut self.store {
            Store::Host(HostParts { table, sampler, ln_tau }) => {
                let sampler = Arc::get_mut(sampler).ok_or(Error::Shared)?;
                let before = if sampler.reads_before() { table.read(&gradients.classes.ids)? } else { Vec::new() };
                table.step(rate, &gradients.classes)?;
                if let Some(gradient) = &gradients.ln_tau {
                    ln_tau.step(rate, gradient)?;
                }
                before
            }
            #[cfg(feature = "device")]
            Store::Device(parts) => {
                let parts = Arc::get_mut(parts).ok_or(Error::Shared)?;
                parts.step_rows(rate, gradients.on_device.as_ref().expect("gradients of a head on this device"));
                Vec::new()
            }
        };
        self.steps += 1;
        Ok(before)
    }

    /// The second half of [`step`](Self::step): the sampler takes up the rows `ids`, which were `before`; on a graphics card the rows
    /// of the last step.
    ///
    /// # Errors
    /// [`Error::Shared`] while a clone is alive; [`Error::Sampler`] if a row is not finite.
    pub fn refresh(&mut self, ids: &[ClassId], before: &[f32]) -> Result<(), Error> {
        match &mut self.store {
            Store::Host(HostParts { table, sampler, .. }) => {
                let sampler = Arc::get_mut(sampler).ok_or(Error::Shared)?;
                Ok(sampler.refresh(ids, before, classes_of(table, &self.config))?)
            }
            #[cfg(feature = "device")]
            Store::Device(parts) => {
                Arc::get_mut(parts).ok_or(Error::Shared)?.refresh();
                Ok(())
            }
        }
    }
}
