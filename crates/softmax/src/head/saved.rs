//! What a head saves, and how it comes back.

use std::path::Path;
use std::sync::Arc;

use super::store::{HostParts, Store};
use super::{SampledSoftmaxLoss, classes_of, sampler_state};
use crate::state::{NamedTensor, StateSource};
use crate::{Error, StateFile};

impl SampledSoftmaxLoss {
    /// Rows, optimizer state, temperature and sampler, for a checkpoint.
    pub fn state(&self) -> Vec<NamedTensor<'_>> {
        let HostParts { table, sampler, ln_tau } = self.store.host();
        let mut tensors = table.state("classes");
        tensors.extend(ln_tau.state("ln_tau"));
        tensors.push(NamedTensor::u64("head.seed".into(), vec![self.seed]));
        tensors.push(NamedTensor::u64("head.steps".into(), vec![self.steps]));
        tensors.extend(sampler_state::of(sampler));
        tensors
    }

    /// Takes up a saved state: training goes on as if it had never stopped, to the last bit.
    ///
    /// # Errors
    /// [`Error::MissingState`] or [`Error::WrongState`] if it does not fit; [`Error::BadSetting`] if it was trained with
    /// another seed, which fixes projection and draws; [`Error::Sampler`] if a row is not finite; [`Error::Shared`]
    /// while a clone is alive. Nothing has changed then.
    pub fn restore(&mut self, source: &mut dyn StateSource) -> Result<(), Error> {
        match &mut self.store {
            Store::Host(parts) => {
                let HostParts { table, sampler, ln_tau } = parts;
                let sampler = Arc::get_mut(sampler).ok_or(Error::Shared)?;
                let saved = table.saved("classes", source)?;
                let saved_tau = ln_tau.saved("ln_tau", source)?;
                let seed = source.u64("head.seed", 1)?[0];
                if seed != self.seed {
                    let why = format!("the saved head has the seed {seed}");
                    return Err(Error::BadSetting { field: "seed", value: self.seed.to_string(), why });
                }
                let steps = source.u64("head.steps", 1)?[0];
                // The sampler comes last: it refuses before it changes anything, and after it nothing can fail.
                sampler_state::restore(sampler, classes_of(&saved, &self.config), source)?;
                (*table, *ln_tau, self.steps) = (saved, saved_tau, steps);
                Ok(())
            }
            #[cfg(feature = "device")]
            Store::Device(parts) => {
                let parts = Arc::get_mut(parts).ok_or(Error::Shared)?.take_mirror();
                self.restore_through_host(parts, source)
            }
        }
    }

    /// Takes up a saved state on the host, and copies it to the device.
    #[cfg(feature = "device")]
    fn restore_through_host(&mut self, parts: HostParts, source: &mut dyn StateSource) -> Result<(), Error> {
        let on_device = std::mem::replace(&mut self.store, Store::Host(parts));
        if let Err(error) = self.restore(source) {
            self.store = on_device;
            return Err(error);
        }
        // Two copies on the device might not fit.
        drop(on_device);
        let parts = self.store.host().clone();
        self.store = Store::new(parts, &self.device, self.dim, &self.config)?;
        Ok(())
    }

    /// Saves the head in the safetensors format, aside first and then in one move in place of an older file.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written; an older one then stands.
    ///
    /// # Example
    /// ```
    /// use burn::tensor::Device;
    /// use rf_softmax::{SampledSoftmaxLossConfig, SamplerConfig};
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("head.safetensors");
    /// let config = SampledSoftmaxLossConfig::new(100, 8).with_sampler(SamplerConfig::Uniform {}).with_draws(5);
    /// let device = Device::flex().autodiff();
    /// config.clone().init(&device)?.save_file(&path)?;
    ///
    /// let mut head = config.init(&device)?;
    /// head.load_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save_file(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        StateFile::save(path, &self.state())
    }

    /// Takes up a file that [`save_file`](Self::save_file) wrote, into a head of the same settings: training goes on as
    /// if it had never stopped, to the last bit.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read or is damaged; [`Error::Misfit`] if its content does not fit, with one
    /// of the errors of [`restore`](Self::restore) inside. Nothing has changed then.
    pub fn load_file(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        let mut file = StateFile::open(&path)?;
        self.restore(&mut file).map_err(|error| match error {
            error @ Error::File { .. } => error,
            error => Error::Misfit { path: path.as_ref().display().to_string(), why: Box::new(error) },
        })
    }
}
