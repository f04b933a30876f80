//! A head whose table and sampler live on a graphics card.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::tensor::Tensor;
use rf_device::{
    Batch, Buffer, Client, Cluster, ClusterParts, Draws, Lists, Loss, LossInput, Rule, StaticLaw, Step, Table, Touched,
};
use rf_sampling::{AnySampler, ClassId, Classes, ClusterSampler, Law, Points, Sampler};

use super::store::HostParts;
use super::{Leaf, SampledSoftmaxLoss, SoftmaxOutput, classes_of};
use crate::config::{Estimator, LossKind, Sharing};
use crate::device::{buffer_of, tensor_of};
use crate::labels::Terms;
use crate::row_optimizer::{Factors, RowOptimizer};
use crate::{Error, Labels, LossConfig, OtherLabels, RowTable};

/// Samplers that have a form on graphics cards.
const SAMPLERS: &str = "\"cluster\", \"unigram\", \"log-uniform\" and \"uniform\"";

/// Bindings of a kernel beside the shards of the table.
const OTHER_BINDINGS: usize = 12;

/// Class table, optimizer state and sampler on a device.
#[derive(Debug)]
pub(crate) struct OnDevice {
    table: Table,
    /// State tables of the optimizer, in its order.
    state: Vec<Table>,
    optimizer: RowOptimizer,
    /// Steps of the table.
    steps: u64,
    sampler: DeviceSampler,
    /// The sampler that the one on the device was made from.
    template: Arc<AnySampler>,
    /// Refreshes since then.
    refreshes: u64,
    /// Rows that were stepped and that the sampler does not know yet.
    stepped: Option<Touched>,
    dim: usize,
    config: LossConfig,
    mirror: OnceLock<HostParts>,
}

#[derive(Debug)]
enum DeviceSampler {
    Static(Box<StaticLaw>),
    Cluster(Box<Cluster>),
}

/// Gradients on a device. A step spends them.
#[derive(Clone, Debug)]
pub(crate) struct DeviceGradients {
    pub touched: Arc<Mutex<Option<Touched>>>,
    /// What they are multiplied by.
    pub factor: f32,
}

impl PartialEq for DeviceGradients {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.touched, &other.touched) && self.factor == other.factor
    }
}

impl DeviceGradients {
    /// Sum of their squares; waits for the device.
    pub fn squared_norm(&self) -> f64 {
        let touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let squared = touched.as_ref().map_or(0.0, Touched::squared_norm);
        squared * f64::from(self.factor).powi(2)
    }
}

impl OnDevice {
    /// Copies table and sampler to a device.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a setting that has no form there; [`Error::TooLarge`] if the device has no room.
    pub fn upload(client: Client, parts: &HostParts, dim: usize, config: &LossConfig) -> Result<Self, Error> {
        check_settings(config)?;
        let HostParts { table: rows, sampler } = parts;
        let (width, shard) = (rows.width(), Table::largest_shard(&client, rows.width()));
        check_room(&client, parts, dim, shard)?;
        let table = Table::in_shards(&client, rows.data(), width, shard);
        let (state, optimizer, steps) = rows.optimizer_state();
        let widths = optimizer.state_widths(width).into_iter();
        let state =
            state.iter().zip(widths).map(|(state, width)| Table::in_shards(&client, state, width, shard)).collect();
        let classes = classes_of(rows, config);
        let on_device = match &**sampler {
            AnySampler::Cluster(cluster) => {
                DeviceSampler::Cluster(Box::new(upload_cluster(&client, cluster, &table, dim, config)?))
            }
            AnySampler::Uniform(law) => static_law(&client, law, classes)?,
            AnySampler::LogUniform(law) => static_law(&client, law, classes)?,
            AnySampler::Unigram(law) => static_law(&client, law, classes)?,
            _ => return Err(no_sampler(config.sampler.name())),
        };
        Ok(Self {
            table,
            state,
            optimizer,
            steps,
            sampler: on_device,
            template: sampler.clone(),
            refreshes: 0,
            stepped: None,
            dim,
            config: config.clone(),
            mirror: OnceLock::new(),
        })
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        let numbers = |table: &Table| 4 * table.rows() * table.width();
        numbers(&self.table) + self.state.iter().map(numbers).sum::<usize>() + self.sampler_bytes()
    }

    /// Bytes of the sampler on the device.
    pub fn sampler_bytes(&self) -> usize {
        match &self.sampler {
            DeviceSampler::Static(law) => law.bytes(),
            DeviceSampler::Cluster(cluster) => cluster.bytes(),
        }
    }

    /// Table and sampler on the host, as they are now.
    pub fn mirror(&self) -> &HostParts {
        self.mirror.get_or_init(|| self.download())
    }

    /// The same, to be changed.
    pub fn take_mirror(&mut self) -> HostParts {
        let mut parts = self.mirror.take().unwrap_or_else(|| self.download());
        Arc::make_mut(&mut parts.sampler);
        parts
    }

    fn download(&self) -> HostParts {
        let state = self.state.iter().map(Table::download).collect();
        let table = RowTable::in_state(self.table.download(), self.table.width(), self.optimizer, state, self.steps);
        let mut sampler = self.template.clone();
        if let DeviceSampler::Cluster(on_device) = &self.sampler {
            let AnySampler::Cluster(host) = Arc::make_mut(&mut sampler) else {
                unreachable!("made from a cluster sampler")
            };
            let ((sums, next), order, steps) = (on_device.download(), host.order(), host.steps() + self.refreshes);
            // A row that is not finite keeps the sampler from it; the next loss is not finite either and ends the training.
            if let Err(error) = host.restore(classes_of(&table, &self.config), &sums, order, next, steps) {
                debug_assert!(matches!(error, rf_sampling::Error::NotFinite(_)), "{error}");
            }
        }
        HostParts { table, sampler }
    }

    /// Draws, loss and gradients of a batch. What comes back to the host is the loss and the number of distinct rows.
    fn pass(&self, queries: &Buffer<f32>, labels: &Labels, terms: &Terms, draws: Draws) -> Result<Pass, Error> {
        let lists = self.lists(labels, terms)?;
        let edges = lists.edges();
        match &self.sampler {
            DeviceSampler::Static(law) => law.draw(draws, &lists, &edges),
            DeviceSampler::Cluster(cluster) => cluster.draw(queries, &self.table, draws, &lists, &edges),
        }
        let normalized = self.config.normalized;
        let loss = Loss::of(queries, &self.table, normalized, &lists, &edges);
        let gradient = loss.query_gradients(&self.table, self.dim, &lists, &edges);
        let batch = Batch { queries, dim: self.dim, table: &self.table, normalized, edges: &edges, loss: &loss };
        let places = match &self.sampler {
            DeviceSampler::Static(_) => None,
            DeviceSampler::Cluster(cluster) => Some(cluster.places()),
        };
        let touched = Touched::of(batch, places);
        Ok(Pass { mean: loss.sum() / lists.counted as f64, gradient, touched })
    }

    fn lists(&self, labels: &Labels, terms: &Terms) -> Result<Lists, Error> {
        let (mut excluded_start, mut excluded) = (vec![0u32], Vec::<ClassId>::new());
        for query in 0..labels.len() {
            let list = if labels.of(query).is_empty() { &[] } else { labels.excluded(query) };
            if list.len() >= self.table.rows() {
                return Err(rf_sampling::Error::NothingLeft.into());
            }
            excluded.extend_from_slice(list);
            excluded_start.push(excluded.len() as u32);
        }
        let term_start: Vec<u32> = terms.offsets.iter().map(|&offset| offset as u32).collect();
        self.check_batch(labels.len())?;
        let input = LossInput {
            term_start: &term_start,
            term_ids: &terms.ids,
            term_weights: &terms.weights,
            excluded_start: &excluded_start,
            excluded: &excluded,
            draws: self.config.draws,
            included: self.config.other_labels == OtherLabels::Included,
        };
        Ok(Lists::upload(self.table.client(), input))
    }

    /// Refuses a batch whose masses do not fit a buffer.
    fn check_batch(&self, batch: usize) -> Result<(), Error> {
        if let AnySampler::Cluster(cluster) = &*self.template {
            let bytes = Cluster::workspace(cluster.leaves().leaves(), batch);
            fits(
                self.table.client(),
                "the masses of all leaves for every query",
                bytes,
                "smaller batches or a larger loss.sampler.leaf_size",
            )?;
        }
        Ok(())
    }

    /// Steps the touched rows.
    ///
    /// # Panics
    /// If the gradients were spent before.
    pub fn step_rows(&mut self, rate: f64, gradients: &DeviceGradients) {
        let taken = gradients.touched.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut touched = taken.expect("gradients on a device are spent by one step");
        self.mirror.take();
        self.steps += 1;
        let (rule, factor) = (rule_of(self.optimizer), gradients.factor);
        let (rate, second) = match self.optimizer {
            RowOptimizer::LazyAdam => Factors::new(rate as f32, self.steps).parts(),
            _ => (rate as f32, 1.0),
        };
        touched.step(&self.table, &self.state, Step { rule, rate, factor, second });
        self.stepped = Some(touched);
    }

    /// The sampler takes up the rows of the last step.
    pub fn refresh(&mut self) {
        self.mirror.take();
        self.refreshes += 1;
        if let (DeviceSampler::Cluster(cluster), Some(touched)) = (&mut self.sampler, self.stepped.take()) {
            cluster.refresh(&self.table, &touched);
        }
    }
}

struct Pass {
    mean: f64,
    /// Of the queries, `[B, d]`.
    gradient: Buffer<f32>,
    touched: Touched,
}

impl SampledSoftmaxLoss {
    /// The loss of a batch on a device.
    ///
    /// The gradient of the queries is known with the loss, so the node is a product with it, less its own value, plus the loss; the gradient
    /// of a leaf that is one tells what the loss was multiplied by before the backward pass.
    pub(super) fn on_device(
        &self,
        parts: &OnDevice,
        queries: Tensor<2>,
        ln_tau: Tensor<2>,
        labels: &Labels,
        terms: &Terms,
    ) -> Result<SoftmaxOutput, Error> {
        let device = queries.device();
        let draws = Draws { seed: self.seed, step: self.steps };
        let Pass { mean, gradient, touched } = parts.pass(&buffer_of(queries.clone()), labels, terms, draws)?;
        let gradient = tensor_of(&gradient, queries.dims(), &device);
        let distinct = touched.count;
        let (loss, unit) = if device.is_autodiff() {
            let slope = (queries * Tensor::from_inner(gradient)).sum();
            let unit = Tensor::<1>::ones([1], &device).require_grad();
            let value = Tensor::<1>::full([1], mean as f32, &device);
            (slope.clone() - slope.detach() + (unit.clone() - 1.0) + value, unit)
        } else {
            (Tensor::full([1], mean as f32, &device), Tensor::ones([1], &device))
        };
        let touched = Arc::new(Mutex::new(Some(touched)));
        let leaf = Leaf::Device { unit, touched };
        Ok(SoftmaxOutput { loss, mean, nll: Vec::new(), classes: Vec::new(), distinct, leaf, ln_tau })
    }
}

fn rule_of(optimizer: RowOptimizer) -> Rule {
    match optimizer {
        RowOptimizer::Sgd => Rule::Sgd,
        RowOptimizer::Adagrad => Rule::Adagrad,
        RowOptimizer::RowWiseAdagrad => Rule::RowWiseAdagrad,
        RowOptimizer::LazyAdam => Rule::LazyAdam,
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

fn check_settings(config: &LossConfig) -> Result<(), Error> {
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

/// Compares what table, state and sampler need with what the device offers.
fn check_room(client: &Client, parts: &HostParts, dim: usize, shard: usize) -> Result<(), Error> {
    let (n, width) = (parts.table.rows(), parts.table.width());
    let advice = "fewer classes or a smaller model.embedding or model.dim, or --device cpu";
    fits(client, "a number for each class", 4 * n, advice)?;
    if let AnySampler::Cluster(cluster) = &*parts.sampler {
        let bytes = 4 * cluster.leaves().leaves() * (1 + 2 * dim);
        fits(client, "the sums of all leaves", bytes, "a larger loss.sampler.leaf_size")?;
    }
    let properties = client.properties();
    let (shards, bindings) = (n.div_ceil(shard.max(1)), properties.hardware.max_bindings as usize);
    if shard == 0 || shards + OTHER_BINDINGS > bindings {
        let what = format!("the class table of {n} rows of {width} numbers, in {shards} buffers,");
        return Err(Error::TooLarge {
            what,
            need: (4 * n * width) as u64,
            room: (4 * shard * width * bindings.saturating_sub(OTHER_BINDINGS)) as u64,
            advice,
        });
    }
    let need = (parts.table.bytes() + parts.sampler.bytes()) as u64;
    match properties.memory.max_memory() {
        Some(room) if need > room => {
            Err(Error::TooLarge { what: "class table, optimizer state and sampler".into(), need, room, advice })
        }
        _ => Ok(()),
    }
}

/// Refuses numbers that do not fit one buffer of the device.
fn fits(client: &Client, what: &str, bytes: usize, advice: &'static str) -> Result<(), Error> {
    let room = client.properties().memory.max_page_size;
    if bytes as u64 <= room {
        return Ok(());
    }
    Err(Error::TooLarge { what: format!("{what}, in one buffer,"), need: bytes as u64, room, advice })
}
