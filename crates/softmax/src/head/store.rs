//! Where the class table and the sampler live.

use std::sync::Arc;

use burn::tensor::Device;
use rf_sampling::{AnySampler, Sampler};

#[cfg(feature = "device")]
use super::on_device::OnDevice;
use crate::{Error, LossConfig, RowTable};

/// Class table and sampler on the host.
#[derive(Clone, Debug)]
pub(super) struct HostParts {
    pub table: RowTable,
    pub sampler: Arc<AnySampler>,
}

/// Class table and sampler, on the host or on a graphics card.
#[derive(Clone, Debug)]
pub(super) enum Store {
    Host(HostParts),
    #[cfg(feature = "device")]
    Device(Arc<OnDevice>),
}

impl Store {
    /// Puts table and sampler where `device` keeps its tensors.
    #[cfg(feature = "device")]
    pub fn new(parts: HostParts, device: &Device, dim: usize, config: &LossConfig) -> Result<Self, Error> {
        match crate::device::client_of(device) {
            Some(client) => Ok(Self::Device(Arc::new(OnDevice::upload(client, &parts, dim, config)?))),
            None => Ok(Self::Host(parts)),
        }
    }

    /// Puts table and sampler on the host.
    #[cfg(not(feature = "device"))]
    pub fn new(parts: HostParts, _: &Device, _: usize, _: &LossConfig) -> Result<Self, Error> {
        Ok(Self::Host(parts))
    }

    /// Table and sampler as they are now. Those of a graphics card are copied, once until they change.
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
