//! What a head saves, and how it comes back.

use std::path::Path;
use std::sync::Arc;

use rf_sampling::{AnySampler, ClassId, Classes, ClusterSampler, KernelTree};

use super::{SampledSoftmaxLoss, classes_of};
use crate::state::{NamedTensor, StateSource};
use crate::{Error, StateFile};

impl SampledSoftmaxLoss {
    /// Rows, optimizer state, temperature and tree, for a checkpoint.
    pub fn state(&self) -> Vec<NamedTensor<'_>> {
        let mut tensors = self.table.state("classes");
        tensors.extend(self.ln_tau.state("ln_tau"));
        tensors.push(NamedTensor::u64("head.seed".into(), vec![self.seed]));
        tensors.push(NamedTensor::u64("head.steps".into(), vec![self.steps]));
        match &*self.sampler {
            AnySampler::Tree(tree) => tensors.extend(tree_state(tree)),
            AnySampler::Cluster(cluster) => tensors.extend(cluster_state(cluster)),
            _ => {}
        }
        tensors
    }

    /// Takes up a saved state: training goes on as if it had never stopped, to the last bit.
    ///
    /// # Errors
    /// [`Error::MissingState`] or [`Error::WrongState`] if it does not fit; [`Error::BadSetting`] if it was trained with
    /// another seed, which fixes projection and draws; [`Error::Sampler`] if a row is not finite; [`Error::Shared`]
    /// while a clone is alive. Nothing has changed then.
    pub fn restore(&mut self, source: &mut dyn StateSource) -> Result<(), Error> {
        let sampler = Arc::get_mut(&mut self.sampler).ok_or(Error::Shared)?;
        let table = self.table.saved("classes", source)?;
        let ln_tau = self.ln_tau.saved("ln_tau", source)?;
        let seed = source.u64("head.seed", 1)?[0];
        if seed != self.seed {
            let why = format!("the saved head has the seed {seed}");
            return Err(Error::BadSetting { field: "seed", value: self.seed.to_string(), why });
        }
        let steps = source.u64("head.steps", 1)?[0];
        // The sampler comes last: it refuses before it changes anything, and after it nothing can fail.
        let classes = classes_of(&table, &self.config);
        match sampler {
            AnySampler::Tree(tree) => restore_tree(tree, classes, source)?,
            AnySampler::Cluster(cluster) => restore_cluster(cluster, classes, source)?,
            _ => {}
        }
        (self.table, self.ln_tau, self.steps) = (table, ln_tau, steps);
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
