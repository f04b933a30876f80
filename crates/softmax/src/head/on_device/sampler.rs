//! Samplers that have a form on graphics cards.

use std::sync::Arc;

use rf_device::{Buffer, Candidates, Client, Cluster, ClusterParts, Draws, Lists, Places, StaticLaw, Table, Touched};
use rf_sampling::{AnySampler, Classes, ClusterSampler, Law, Sampler};

use crate::{Error, LossConfig};

/// Samplers that have a form on graphics cards.
const SAMPLERS: &str = "\"cluster\", \"unigram\", \"log-uniform\" and \"uniform\"";

/// A sampler on a device.
#[derive(Debug)]
pub(super) enum DeviceSampler {
    Static(Box<StaticLaw>),
    Cluster(Box<Cluster>),
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
        }
    }

    /// Brings a copy of the sampler that this one was made from to its state, `refreshes` later.
    pub fn download_into(&self, sampler: &mut Arc<AnySampler>, classes: Classes<'_>, refreshes: u64) {
        let Self::Cluster(on_device) = self else { return };
        let AnySampler::Cluster(host) = Arc::make_mut(sampler) else { unreachable!("made from a cluster sampler") };
        let ((sums, next), order, steps) = (on_device.download(), host.order(), host.steps() + refreshes);
        // A row that is not finite keeps the sampler from it; the next loss is not finite either and ends the training.
        if let Err(error) = host.restore(classes, &sums, order, next, steps) {
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
        }
    }

    /// Where the classes lie in its order, if it has one.
    pub fn places(&self) -> Option<&Places> {
        match self {
            Self::Static(_) => None,
            Self::Cluster(cluster) => Some(cluster.places()),
        }
    }

    /// Takes up rows that were stepped.
    pub fn refresh(&mut self, table: &Table, touched: &Touched) {
        match self {
            Self::Static(_) => {}
            Self::Cluster(cluster) => cluster.refresh(table, touched),
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
    if cluster.regroups() && settings.regroup_every > 0 {
        let why = "on a graphics card leaves do not change: set it to 0, or loss.sampler.grouping to \"frequency\" or \"index\"";
        return bad("loss.sampler.regroup_every", settings.regroup_every.to_string(), why);
    }
    let bounds: Vec<u32> =
        (0..leaves.leaves()).map(|leaf| leaves.slots(leaf).start as u32).chain([leaves.len() as u32]).collect();
    let order: Vec<u32> = (0..leaves.len()).map(|slot| leaves.class_at(slot)).collect();
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

fn static_law<S: Sampler>(client: &Client, sampler: &S, classes: Classes<'_>) -> Result<DeviceSampler, Error> {
    let query = vec![0.0; classes.dim()];
    let masses: Vec<f32> = sampler.at(&query, classes)?.ln_probs(classes.len()).into_iter().map(f32::exp).collect();
    Ok(DeviceSampler::Static(Box::new(StaticLaw::upload(client, &masses))))
}

fn no_sampler(name: &str) -> Error {
    let why = format!("on a graphics card the samplers are {SAMPLERS}");
    Error::BadSetting { field: "loss.sampler.kind", value: name.into(), why }
}
