//! What a head on a graphics card may be, and what must fit there.

use rf_device::{Client, Cluster, Table};
use rf_sampling::{AnySampler, Points, Sampler};

use crate::config::{Estimator, LossKind, Sharing};
use crate::device::check_table;
use crate::head::store::HostParts;
use crate::{Error, LossConfig};

/// Bindings of the kernel that draws from the leaves of a tree, beside the shards of rows and of features.
const TREE_BINDINGS: usize = 18;

/// Refuses settings that have no form on a graphics card.
pub(super) fn check_settings(config: &LossConfig) -> Result<(), Error> {
    let refused = |field, value: &str, instead: &str| {
        Err(Error::BadSetting { field, value: value.into(), why: format!("on a graphics card it must be {instead}") })
    };
    if config.absolute {
        return refused("loss.absolute", "true", "false");
    }
    if config.kind == LossKind::Full {
        return Ok(());
    }
    if config.estimator == Estimator::BothCorrected && config.sharing == Sharing::Query {
        return refused("loss.estimator", "both-corrected", "\"published\", or loss.sharing = \"batch\"");
    }
    if config.points == Points::Systematic {
        return refused("loss.points", "systematic", "\"independent\"");
    }
    Ok(())
}

/// Compares what table, state and sampler need with what the device offers. Returns the rows that a shard can have.
pub(super) fn check_room(client: &Client, parts: &HostParts, dim: usize, config: &LossConfig) -> Result<usize, Error> {
    let advice = "fewer classes or a smaller model.embedding or model.dim, or --device cpu";
    fits(client, "a number for each class", 4 * parts.table.rows(), advice)?;
    if let AnySampler::Cluster(cluster) = &*parts.sampler {
        let bytes = 4 * cluster.leaves().leaves() * (1 + 2 * dim);
        fits(client, "the sums of all leaves", bytes, "a larger loss.sampler.leaf_size")?;
    }
    let shard = check_table(client, "class table", &parts.table, advice)?;
    // The full loss has a gradient for every row.
    let gradients = if config.kind == LossKind::Full { size_of_val(parts.table.data()) } else { 0 };
    let need = (parts.table.bytes() + parts.sampler.bytes() + gradients) as u64;
    match client.properties().memory.max_memory() {
        Some(room) if need > room => {
            let what = "class table, optimizer state, gradients and sampler".into();
            Err(Error::TooLarge { what, need, room, advice })
        }
        _ => Ok(shard),
    }
}

/// Refuses a tree of so many bytes whose largest table has `[rows, width]` numbers. Kernels that read features of classes read class rows too.
pub(super) fn check_tree(client: &Client, table: &Table, bytes: usize, [rows, width]: [usize; 2]) -> Result<(), Error> {
    let advice = "fewer loss.sampler.features, a larger loss.sampler.leaf_size, or loss.sampler.leaf_law = \"gauss\"";
    let (shard, properties) = (Table::largest_shard(client, width), client.properties());
    let (shards, bindings) = (rows.div_ceil(shard.max(1)), properties.hardware.max_bindings as usize);
    let others = table.rows().div_ceil(table.shard_rows()) + TREE_BINDINGS;
    if shard == 0 || shards + others > bindings {
        let what = format!("the features of the sampler, {rows} rows of {width} numbers in {shards} buffers,");
        let room = 4 * shard * width * bindings.saturating_sub(others);
        return Err(Error::TooLarge { what, need: (4 * rows * width) as u64, room: room as u64, advice });
    }
    match properties.memory.max_memory() {
        Some(room) if bytes as u64 > room => {
            Err(Error::TooLarge { what: "the sampler".into(), need: bytes as u64, room, advice })
        }
        _ => Ok(()),
    }
}

/// Refuses a batch whose masses do not fit a buffer.
pub(super) fn check_batch(client: &Client, sampler: &AnySampler, batch: usize) -> Result<(), Error> {
    if let AnySampler::Cluster(cluster) = sampler {
        let bytes = Cluster::workspace(cluster.leaves().leaves(), batch);
        let advice = "smaller batches or a larger loss.sampler.leaf_size";
        fits(client, "the masses of all leaves for every query", bytes, advice)?;
    }
    if let AnySampler::Tree(tree) = sampler {
        let advice = "smaller batches or fewer loss.sampler.features";
        fits(client, "the features of all queries", 4 * batch * tree.map().width(), advice)?;
    }
    Ok(())
}

/// Refuses a batch that may touch more rows than their gradients fit a buffer.
pub(super) fn check_rows(table: &Table, candidates: usize) -> Result<(), Error> {
    let bytes = 4 * candidates.min(table.rows()) * table.width();
    fits(table.client(), "the gradients of all rows of a batch", bytes, "smaller batches or a smaller loss.draws")
}

/// Refuses shared draws whose logits or rows do not fit a buffer.
pub(super) fn check_shared(client: &Client, batch: usize, width: usize, config: &LossConfig) -> Result<(), Error> {
    let draws = config.draws;
    let advice = "a smaller loss.draws or smaller batches";
    fits(client, "the logits of the shared draws for every query", 4 * draws * batch, advice)?;
    fits(client, "the rows of the shared draws", 4 * draws * width, advice)
}

/// Refuses numbers that do not fit one buffer of the device.
fn fits(client: &Client, what: &str, bytes: usize, advice: &'static str) -> Result<(), Error> {
    let room = client.properties().memory.max_page_size;
    if bytes as u64 <= room {
        return Ok(());
    }
    Err(Error::TooLarge { what: format!("{what}, in one buffer,"), need: bytes as u64, room, advice })
}
