//! What a checkpoint keeps of a sampler: all that does not follow from settings and rows to the last bit.

use rf_sampling::{AnySampler, ClassId, Classes, ClusterSampler, KernelTree, Midx};

use crate::Error;
use crate::state::{NamedTensor, StateSource};

/// The state of a sampler; empty for those that keep none.
pub fn of(sampler: &AnySampler) -> Vec<NamedTensor<'_>> {
    match sampler {
        AnySampler::Tree(tree) => tree_state(tree),
        AnySampler::Cluster(cluster) => cluster_state(cluster),
        AnySampler::Midx(midx) => midx_state(midx),
        _ => Vec::new(),
    }
}

/// Takes up a saved state over the rows that it belongs to.
///
/// # Errors
/// [`Error::MissingState`], [`Error::WrongState`] or [`Error::Sampler`] if it does not fit; the sampler is then as before.
pub fn restore(sampler: &mut AnySampler, classes: Classes<'_>, source: &mut dyn StateSource) -> Result<(), Error> {
    match sampler {
        AnySampler::Tree(tree) => restore_tree(tree, classes, source),
        AnySampler::Cluster(cluster) => restore_cluster(cluster, classes, source),
        AnySampler::Midx(midx) => restore_midx(midx, classes, source),
        _ => Ok(()),
    }
}

fn tree_state(tree: &KernelTree) -> Vec<NamedTensor<'_>> {
    let sums = tree.leaf_sums();
    let sums = (!sums.is_empty()).then(|| NamedTensor::f32("tree.leaf_sums".into(), vec![sums.len()], sums));
    let next = NamedTensor::u64("tree.next_rebuild".into(), vec![tree.next_rebuild() as u64]);
    let steps = tree.regroups().then(|| NamedTensor::u64("tree.steps".into(), vec![tree.steps()]));
    sums.into_iter().chain([next]).chain(order_state("tree.order", &tree.order())).chain(steps).collect()
}

fn restore_tree(tree: &mut KernelTree, classes: Classes<'_>, source: &mut dyn StateSource) -> Result<(), Error> {
    let wanted = tree.leaf_sums().len();
    let sums = if wanted > 0 { source.f32("tree.leaf_sums", wanted)? } else { Vec::new() };
    let next = source.u64("tree.next_rebuild", 1)?[0] as usize;
    let (order, steps) = if tree.regroups() {
        (saved_order("tree.order", tree.len(), source)?, source.u64("tree.steps", 1)?[0])
    } else {
        (Vec::new(), 0)
    };
    Ok(tree.restore(classes, &sums, order, next, steps)?)
}

/// The classes in the order of their leaves, if rows decided it.
fn order_state(name: &str, order: &[ClassId]) -> Option<NamedTensor<'static>> {
    let order: Vec<u64> = order.iter().map(|&class| u64::from(class)).collect();
    (!order.is_empty()).then(|| NamedTensor::u64(name.into(), order))
}

fn saved_order(name: &str, classes: usize, source: &mut dyn StateSource) -> Result<Vec<ClassId>, Error> {
    // A number that is no id becomes one that is no class, which the sampler refuses.
    let id = |class: u64| ClassId::try_from(class).unwrap_or(ClassId::MAX);
    Ok(source.u64(name, classes)?.into_iter().map(id).collect())
}

fn cluster_state(cluster: &ClusterSampler) -> Vec<NamedTensor<'_>> {
    let sums = cluster.sums();
    let progress = vec![cluster.next_rebuild() as u64, cluster.steps()];
    let sums = NamedTensor::f32("cluster.sums".into(), vec![sums.len()], sums);
    let progress = NamedTensor::u64("cluster.progress".into(), progress);
    order_state("cluster.order", &cluster.order()).into_iter().chain([sums, progress]).collect()
}

fn restore_cluster(
    cluster: &mut ClusterSampler,
    classes: Classes<'_>,
    source: &mut dyn StateSource,
) -> Result<(), Error> {
    let sums = source.f32("cluster.sums", cluster.sums().len())?;
    let order = if cluster.regroups() { saved_order("cluster.order", cluster.len(), source)? } else { Vec::new() };
    let progress = source.u64("cluster.progress", 2)?;
    Ok(cluster.restore(classes, &sums, order, progress[0] as usize, progress[1])?)
}

fn midx_state(midx: &Midx) -> Vec<NamedTensor<'_>> {
    let codewords = midx.codewords();
    vec![
        NamedTensor::owned("midx.codewords".into(), vec![codewords.len()], codewords),
        NamedTensor::u64("midx.codes".into(), midx.codes().into_iter().map(u64::from).collect()),
        NamedTensor::u64("midx.steps".into(), vec![midx.steps()]),
    ]
}

fn restore_midx(midx: &mut Midx, classes: Classes<'_>, source: &mut dyn StateSource) -> Result<(), Error> {
    let codewords = source.f32("midx.codewords", midx.codewords().len())?;
    // A number that is no code of 32 bits is refused with the others that are none.
    let code = |code: u64| u32::try_from(code).unwrap_or(u32::MAX);
    let codes: Vec<u32> = source.u64("midx.codes", midx.len())?.into_iter().map(code).collect();
    let steps = source.u64("midx.steps", 1)?[0];
    Ok(midx.restore(classes, &codewords, &codes, steps)?)
}
