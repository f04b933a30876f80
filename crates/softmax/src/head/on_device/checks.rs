//! What a head on a graphics card may be, and what must fit there.

use rf_device::{Client, Cluster};
use rf_sampling::{AnySampler, Points, Sampler};

use crate::config::{Estimator, LossKind, Sharing};
use crate::device::check_table;
use crate::head::store::HostParts;
use crate::{Error, LossConfig};

/// Refuses settings that have no form on a graphics card.
pub(super) fn check_settings(config: &LossConfig) -> Result<(), Error> {
    let refused = |field, value: &str, instead: &str| {
        Err(Error::BadSetting { field, value: value.into(), why: format!("on a graphics card it must be {instead}") })
    };
    if config.kind == LossKind::Full {
        return refused("loss.kind", "full", "\"sampled\"");
    }
    if config.sharing == Sharing::Batch {
        return refused("loss.sharing", "batch", "\"query\"");
    }
    if config.estimator == Estimator::BothCorrected {
        return refused("loss.estimator", "both-corrected", "\"published\"");
    }
    if config.points == Points::Systematic {
        return refused("loss.points", "systematic", "\"independent\"");
    }
    if config.absolute {
        return refused("loss.absolute", "true", "false");
    }
    Ok(())
}

/// Compares what table, state and sampler need with what the device offers. Returns the rows that a shard can have.
pub(super) fn check_room(client: &Client, parts: &HostParts, dim: usize) -> Result<usize, Error> {
    let advice = "fewer classes or a smaller model.embedding or model.dim, or --device cpu";
    fits(client, "a number for each class", 4 * parts.table.rows(), advice)?;
    if let AnySampler::Cluster(cluster) = &*parts.sampler {
        let bytes = 4 * cluster.leaves().leaves() * (1 + 2 * dim);
        fits(client, "the sums of all leaves", bytes, "a larger loss.sampler.leaf_size")?;
    }
    let shard = check_table(client, "class table", &parts.table, advice)?;
    let need = (parts.table.bytes() + parts.sampler.bytes()) as u64;
    match client.properties().memory.max_memory() {
        Some(room) if need > room => {
            Err(Error::TooLarge { what: "class table, optimizer state and sampler".into(), need, room, advice })
        }
        _ => Ok(shard),
    }
}

/// Refuses a batch whose masses do not fit a buffer.
pub(super) fn check_batch(client: &Client, sampler: &AnySampler, batch: usize) -> Result<(), Error> {
    if let AnySampler::Cluster(cluster) = sampler {
        let bytes = Cluster::workspace(cluster.leaves().leaves(), batch);
        let advice = "smaller batches or a larger loss.sampler.leaf_size";
        fits(client, "the masses of all leaves for every query", bytes, advice)?;
    }
    Ok(())
}

/// Refuses numbers that do not fit one buffer of the device.
fn fits(client: &Client, what: &str, bytes: usize, advice: &'static str) -> Result<(), Error> {
    let room = client.properties().memory.max_page_size;
    if bytes as u64 <= room {
        return Ok(());
    }
    Err(Error::TooLarge { what: format!("{what}, in one buffer,"), need: bytes as u64, room, advice })
}
