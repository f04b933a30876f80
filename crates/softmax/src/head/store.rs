//! Where the class table and the sampler live.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rf_sampling::{AnySampler, Sampler};

#[cfg(feature = "device")]
use super::on_device::OnDevice;
use crate::{Error, LossConfig, RowTable};

/// Class table, sampler and temperature on the host.
#[derive(Clone, Debug)]
pub(super) struct HostParts {
    pub table: RowTable,
    pub sampler: Arc<AnySampler>,
    /// One row of one number, `ln tau`.
    pub ln_tau: RowTable,
}

/// Class table, sampler and temperature, on the host or on a graphics card.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Host(HostParts),
    #[cfg(feature = "device")]
    Device(Arc<OnDevice>),
}

impl Store {
    /// Puts everything where `device` keeps its tensors.
    #[cfg(feature = "device")]
    pub fn new(parts: HostParts, device: &Device, dim: usize, config: &LossConfig) -> Result<Self, Error> {
        match crate::device::client_of(device) {
            Some(client) => Ok(Self::Device(Arc::new(OnDevice::upload(client, device, &parts, dim, config)?))),
            None => Ok(Self::Host(parts)),
        }
    }

    /// Puts everything on the host.
    #[cfg(not(feature = "device"))]
    pub fn new(parts: HostParts, _: &Device, _: usize, _: &LossConfig) -> Result<Self, Error> {
        Ok(Self::Host(parts))
    }

    /// `ln tau` as it is now; that of a graphics card is copied, once until it changes.
    pub fn ln_tau(&self) -> &RowTable {
        match self {
            Self::Host(parts) => &parts.ln_tau,
            #[cfg(feature = "device")]
            Self::Device(parts) => parts.ln_tau.mirror(),
        }
    }

    /// `ln tau` as a leaf of the autodiff graph, `[1, 1]`.
    pub fn gather_ln_tau(&self, device: &Device) -> Result<Tensor<2>, Error> {
        match self {
            Self::Host(parts) => parts.ln_tau.gather(&[0], device),
            #[cfg(feature = "device")]
            Self::Device(parts) => parts.ln_tau.gather(&[0], device),
        }
    }

    /// Everything as it is now. What lies on a graphics card is copied, once until it changes.
    pub fn host(&self) -> &HostParts {
        match self {
            Self::Host(parts) => parts,
            #[cfg(feature = "device")]
            Self::Device(parts) => parts.mirror(),
        }
    }

    /// Bytes of table, optimizer state and sampler.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Host(parts) => parts.table.bytes() + parts.sampler.bytes(),
            #[cfg(feature = "device")]
            Self::Device(parts) => parts.bytes(),
        }
    }

    /// Bytes of the sampler.
    pub fn sampler_bytes(&self) -> usize {
        match self {
            Self::Host(parts) => parts.sampler.bytes(),
            #[cfg(feature = "device")]
            Self::Device(parts) => parts.sampler_bytes(),
        }
    }

    /// Refuses candidates that were not drawn here, on a graphics card.
    pub fn check_host(&self) -> Result<(), Error> {
        match self {
            Self::Host(_) => Ok(()),
            #[cfg(feature = "device")]
            Self::Device(_) => {
                let why = "a head on a graphics card draws its own".into();
                Err(Error::BadSetting { field: "candidates", value: "given from outside".into(), why })
            }
        }
    }
}
