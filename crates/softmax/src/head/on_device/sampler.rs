//! Samplers that have a form on graphics cards.

use std::sync::Arc;

use rf_device::{
    Buffer, Candidates, Client, Cluster, ClusterParts, Draws, LeafKind, Lists, MapKind, MapParts, Places, StaticLaw,
    Table, Touched, Tree, TreeParts,
};
use rf_sampling::{AnySampler, Classes, ClusterSampler, KernelTree, Law, LeafLaw, Leaves, MapForm, Sampler};

use super::checks::check_tree;
use crate::{Error, Estimator, LossConfig, Sharing};

/// Samplers that have a form on graphics cards.
const SAMPLERS: &str = "\"cluster\", \"rff\", \"quadratic\", \"unigram\", \"log-uniform\" and \"uniform\"";

/// A sampler on a device.
#[derive(Debug)]
pub(super) enum DeviceSampler {
    Static(Box<StaticLaw>),
    Cluster(Box<Cluster>),
    Tree(Box<Tree>),
}

impl DeviceSampler {
    /// Copies a sampler of the host whose rows are in `table`.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for one that has no form there.
    pub fn upload(
        client: &Client,
        sampler: &AnySampler,
        classes: Classes<'_>,
        table: &Table,
        config: &LossConfig,
    ) -> Result<Self, Error> {
        match sampler {
            AnySampler::Cluster(cluster) => {
                Ok(Self::Cluster(Box::new(upload_cluster(client, cluster, table, classes.dim(), config)?)))
            }
            AnySampler::Tree(tree) => {
                Ok(Self::Tree(Box::new(upload_tree(client, tree, table, classes.dim(), config)?)))
            }
            AnySampler::Uniform(law) => static_law(client, law, classes),
            AnySampler::LogUniform(law) => static_law(client, law, classes),
            AnySampler::Unigram(law) => static_law(client, law, classes),
            _ => Err(no_sampler(config.sampler.name())),
        }
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Static(law) => law.bytes(),
            Self::Cluster(cluster) => cluster.bytes(),
            Self::Tree(tree) => tree.bytes(),
        }
    }

    /// Brings a copy of the sampler that this one was made from to its state, `refreshes` later.
    pub fn download_into(&self, sampler: &mut Arc<AnySampler>, classes: Classes<'_>, refreshes: u64) {
        let restored = match (self, Arc::make_mut(sampler)) {
            (Self::Cluster(on_device), AnySampler::Cluster(host)) => {
                let ((sums, next), order, steps) = (on_device.download(), host.order(), host.steps() + refreshes);
                host.restore(classes, &sums, order, next, steps)
            }
            (Self::Tree(on_device), AnySampler::Tree(host)) => {
                let ((sums, next), order) = (on_device.download(host.map().width()), host.order());
                let steps = if host.regroups() { host.steps() + refreshes } else { host.steps() };
                host.restore(classes, &sums, order, next, steps)
            }
            _ => Ok(()),
        };
        // A row that is not finite keeps the sampler from it; the next loss is not finite either and ends the training.
        if let Err(error) = restored {
            debug_assert!(matches!(error, rf_sampling::Error::NotFinite(_)), "{error}");
        }
    }

    /// Draws candidates for every query, with `ln(m q')`.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits
    pub fn draw(&self, queries: &Buffer<f32>, table: &Table, draws: Draws, lists: &Lists, edges: &Candidates) {
        match self {
            Self::Static(law) => law.draw(draws, lists, edges),
            Self::Cluster(cluster) => cluster.draw(queries, table, draws, lists, edges),
            Self::Tree(tree) => tree.draw(queries, table, draws, lists, edges),
        }
    }

    /// Where the classes lie in its order, if it has one.
    pub fn places(&self) -> Option<&Places> {
        match self {
            Self::Static(_) => None,
            Self::Cluster(cluster) => Some(cluster.places()),
            Self::Tree(tree) => Some(tree.places()),
        }
    }

    /// Takes up rows that were stepped.
    pub fn refresh(&mut self, table: &Table, touched: &Touched) {
        match self {
            Self::Static(_) => {}
            Self::Cluster(cluster) => cluster.refresh(table, touched),
            Self::Tree(tree) => tree.refresh(table, touched),
        }
    }
}

fn upload_cluster(
    client: &Client,
    cluster: &ClusterSampler,
    table: &Table,
    dim: usize,
    config: &LossConfig,
) -> Result<Cluster, Error> {
    let (leaves, settings) = (cluster.leaves(), cluster.config());
    let bad = |field, value: String, why: &str| Err(Error::BadSetting { field, value, why: why.into() });
    if settings.levels == Some(3) {
        return bad("loss.sampler.levels", "3".into(), "on a graphics card it must be 2");
    }
    if settings.dispersion == rf_sampling::Dispersion::Scalar {
        return bad(
            "loss.sampler.dispersion",
            "scalar".into(),
            "on a graphics card it must be \"diagonal\" or \"none\"",
        );
    }
    check_groups(cluster.regroups(), settings.regroup_every)?;
    let (bounds, order) = lay_out(leaves);
    let parts = ClusterParts {
        bounds: &bounds,
        order: &order,
        sums: cluster.sums(),
        frequencies: cluster.frequencies(),
        epsilon: settings.epsilon,
        diagonal: settings.dispersion == rf_sampling::Dispersion::Diagonal,
        next_rebuild: cluster.next_rebuild(),
    };
    Ok(Cluster::upload(client, parts, table, dim, config.normalized))
}

fn upload_tree(
    client: &Client,
    tree: &KernelTree,
    table: &Table,
    dim: usize,
    config: &LossConfig,
) -> Result<Tree, Error> {
    check_groups(tree.regroups(), tree.regroup_every())?;
    if config.sharing == Sharing::Batch {
        check_shared(tree.leaf_law(), config)?;
    }
    let (bounds, order) = lay_out(tree.leaves());
    let form = tree.map().form();
    let (kind, frequencies, sharpness, directions) = match &form {
        MapForm::Fourier { frequencies, nu } => (MapKind::Fourier, &frequencies[..], *nu, true),
        MapForm::Positive { frequencies, nu } => (MapKind::Positive, &frequencies[..], *nu, true),
        MapForm::Quadratic { alpha, directions } => (MapKind::Quadratic, &[][..], *alpha, *directions),
    };
    let parts = TreeParts {
        bounds: &bounds,
        order: &order,
        map: MapParts { kind, frequencies, sharpness, directions },
        leaf_law: match tree.leaf_law() {
            LeafLaw::Features => LeafKind::Features,
            LeafLaw::Gauss => LeafKind::Kernel,
            LeafLaw::Exact => LeafKind::Exact,
        },
        leaf_sums: tree.leaf_sums(),
        prior: tree.prior(),
        floor: tree.floor(),
        next_rebuild: tree.next_rebuild(),
    };
    let (bytes, rows) = Tree::size_of(parts, dim);
    check_tree(client, table, bytes, [rows, Tree::width_of(parts.map, dim)])?;
    Ok(Tree::upload(client, parts, table, dim, config.normalized))
}

/// Refuses what trees cannot do for a whole batch.
fn check_shared(law: LeafLaw, config: &LossConfig) -> Result<(), Error> {
    if law != LeafLaw::Features {
        return Err(rf_sampling::Error::NoSharedLaw.into());
    }
    if config.estimator == Estimator::BothCorrected {
        let why =
            format!("with loss.sampler.kind = {} on a graphics card it must be \"published\"", config.sampler.name());
        return Err(Error::BadSetting { field: "loss.estimator", value: "both-corrected".into(), why });
    }
    Ok(())
}

/// Refuses leaves that change as training goes on.
fn check_groups(regroups: bool, regroup_every: u64) -> Result<(), Error> {
    if regroups && regroup_every > 0 {
        let why = "on a graphics card leaves do not change: set it to 0, or loss.sampler.grouping to \"frequency\" or \"index\"";
        let value = regroup_every.to_string();
        return Err(Error::BadSetting { field: "loss.sampler.regroup_every", value, why: why.into() });
    }
    Ok(())
}

/// First slot of each leaf and the end of the last, and the class of each slot.
fn lay_out(leaves: &Leaves) -> (Vec<u32>, Vec<u32>) {
    let starts = (0..leaves.leaves()).map(|leaf| leaves.slots(leaf).start as u32);
    let bounds = starts.chain([leaves.len() as u32]).collect();
    (bounds, (0..leaves.len()).map(|slot| leaves.class_at(slot)).collect())
}

fn static_law<S: Sampler>(client: &Client, sampler: &S, classes: Classes<'_>) -> Result<DeviceSampler, Error> {
    let query = vec![0.0; classes.dim()];
    let masses: Vec<f32> = sampler.at(&query, classes)?.ln_probs(classes.len()).into_iter().map(f32::exp).collect();
    Ok(DeviceSampler::Static(Box::new(StaticLaw::upload(client, &masses))))
}

fn no_sampler(name: &str) -> Error {
    let why = format!("on a graphics card the samplers are {SAMPLERS}");
    Error::BadSetting { field: "loss.sampler.kind", value: name.into(), why }
}
