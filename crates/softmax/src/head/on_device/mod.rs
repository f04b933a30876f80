//! A head whose table and sampler live on a graphics card.

mod checks;
mod exact;
mod figures;
mod sampler;
mod shared;

pub(super) use self::figures::CardFigures;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::tensor::{Device, Tensor};
use rf_device::{Batch, Buffer, Client, Draws, Lists, Loss, LossInput, Touched};
use rf_sampling::{AnySampler, ClassId};

use self::checks::{check_batch, check_room, check_rows, check_settings, check_shared};
use self::sampler::DeviceSampler;
use super::store::HostParts;
use super::{Leaf, SampledSoftmaxLoss, SoftmaxOutput, Told, classes_of};
use crate::card_table::CardTable;
use crate::device::{buffer_of, plain, tensor_of};
use crate::input_rows::{CardGradients, CardRows};
use crate::labels::Terms;
use crate::{ClipFactor, Error, Labels, LossConfig, LossKind, OtherLabels, Sharing};

/// Class table, optimizer state and sampler on a device.
#[derive(Debug)]
pub(crate) struct OnDevice {
    table: CardTable,
    /// One row of one number, `ln tau`.
    pub(super) ln_tau: CardRows,
    sampler: DeviceSampler,
    /// The sampler that the one on the device was made from.
    template: Arc<AnySampler>,
    /// Refreshes since then.
    refreshes: u64,
    /// Rows that were stepped and that the sampler does not know yet.
    stepped: Vec<Touched>,
    dim: usize,
    config: LossConfig,
    mirror: OnceLock<HostParts>,
}

/// Gradients of touched rows, one or several parts of a table, until a step spends them.
pub(super) type Spendable = Arc<Mutex<Option<Vec<Touched>>>>;

/// Gradients on a device. A step spends them.
#[derive(Clone, Debug)]
pub(crate) struct DeviceGradients {
    touched: Spendable,
    /// What they are multiplied by, `[1]`: what the loss was multiplied by before the backward pass, and what clipped them.
    factor: Tensor<1>,
    ln_tau: Option<CardGradients>,
}

impl PartialEq for DeviceGradients {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.touched, &other.touched)
    }
}

impl DeviceGradients {
    pub fn new(touched: Spendable, upstream: Tensor<1>, ln_tau: Option<CardGradients>) -> Self {
        Self { touched, factor: upstream, ln_tau }
    }

    /// Sum of squares, `[1]`; zero once they are spent.
    pub fn squared_norm(&self) -> Tensor<1> {
        let touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        let squared = |touched: &Touched| tensor_of(&touched.squared_norm(), [1], &self.factor.device());
        let sum = touched.iter().flatten().map(squared).reduce(|sum, part| sum + part);
        let rows = sum.unwrap_or_else(|| self.factor.zeros_like()) * self.factor.clone().square();
        self.ln_tau.iter().fold(rows, |sum, gradient| sum + gradient.squared_norm())
    }

    pub fn scale(&mut self, factor: &ClipFactor) {
        self.factor = factor.times(self.factor.clone());
        self.ln_tau.iter_mut().for_each(|gradient| gradient.scale(factor));
    }
}

impl OnDevice {
    /// Copies table and sampler to a device.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a setting that has no form there; [`Error::TooLarge`] if the device has no room.
    pub fn upload(
        client: Client,
        device: &Device,
        parts: &HostParts,
        dim: usize,
        config: &LossConfig,
    ) -> Result<Self, Error> {
        check_settings(config)?;
        let HostParts { table: rows, sampler, ln_tau } = parts;
        let table = CardTable::upload(&client, rows, check_room(&client, parts, dim, config)?);
        let on_device = DeviceSampler::upload(&client, sampler, classes_of(rows, config), &table.rows, config)?;
        Ok(Self {
            table,
            ln_tau: CardRows::upload(client, ln_tau, plain(device))?,
            sampler: on_device,
            template: sampler.clone(),
            refreshes: 0,
            stepped: Vec::new(),
            dim,
            config: config.clone(),
            mirror: OnceLock::new(),
        })
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.sampler_bytes()
    }

    /// Bytes of the sampler on the device.
    pub fn sampler_bytes(&self) -> usize {
        self.sampler.bytes()
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
        let table = self.table.download();
        let mut sampler = self.template.clone();
        self.sampler.download_into(&mut sampler, classes_of(&table, &self.config), self.refreshes);
        HostParts { table, sampler, ln_tau: self.ln_tau.download() }
    }

    /// Draws, loss and gradients of a batch. Nothing comes back to the host.
    fn pass(&self, queries: &Buffer<f32>, labels: &Labels, terms: &Terms, draws: Draws) -> Result<Pass, Error> {
        let lists = self.lists(labels, terms, self.config.draws)?;
        let edges = lists.edges();
        self.sampler.draw(queries, &self.table.rows, draws, &lists, &edges);
        let normalized = self.config.normalized;
        let loss = Loss::of(queries, &self.table.rows, normalized, &lists, &edges);
        let gradient = loss.query_gradients(&self.table.rows, self.dim, &lists, &edges);
        let batch = Batch { queries, dim: self.dim, table: &self.table.rows, normalized, edges: &edges, loss: &loss };
        let touched = Touched::of(batch, self.sampler.places());
        Ok(Pass { total: loss.total(), counted: lists.counted, gradient, touched: vec![touched] })
    }

    /// The true classes of a batch with room for `draws` candidates of each query.
    fn lists(&self, labels: &Labels, terms: &Terms, draws: usize) -> Result<Lists, Error> {
        let together = self.config.sharing == Sharing::Batch;
        let (mut excluded_start, mut excluded) = (vec![0u32], Vec::<ClassId>::new());
        for query in 0..labels.len() {
            let list = if labels.of(query).is_empty() { &[] } else { labels.excluded(query) };
            // Shared draws exclude nothing.
            if !together && list.len() >= self.table.rows.rows() {
                return Err(rf_sampling::Error::NothingLeft.into());
            }
            excluded.extend_from_slice(list);
            excluded_start.push(excluded.len() as u32);
        }
        let term_start: Vec<u32> = terms.offsets.iter().map(|&offset| offset as u32).collect();
        check_batch(self.table.rows.client(), &self.template, labels.len())?;
        let candidates = if together { self.config.draws } else { draws * terms.counted };
        check_rows(&self.table.rows, terms.ids.len() + candidates)?;
        if together {
            check_shared(self.table.rows.client(), labels.len(), self.table.rows.width(), &self.config)?;
        }
        let input = LossInput {
            term_start: &term_start,
            term_ids: &terms.ids,
            term_weights: &terms.weights,
            excluded_start: &excluded_start,
            excluded: &excluded,
            draws,
            included: self.config.other_labels == OtherLabels::Included,
        };
        Ok(Lists::upload(self.table.rows.client(), input))
    }

    /// Steps the touched rows.
    ///
    /// # Panics
    /// If the gradients were spent before.
    pub fn step_rows(&mut self, rate: f64, gradients: &DeviceGradients) {
        let taken = gradients.touched.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut touched = taken.expect("gradients on a device are spent by one step");
        self.mirror.take();
        self.table.step(rate, &mut touched, &buffer_of(gradients.factor.clone()));
        self.stepped = touched;
        if let Some(gradient) = &gradients.ln_tau {
            self.ln_tau.step(rate, &mut gradient.clone());
        }
    }

    /// The sampler takes up the rows of the last step.
    pub fn refresh(&mut self) {
        self.mirror.take();
        self.refreshes += 1;
        for touched in std::mem::take(&mut self.stepped) {
            self.sampler.refresh(&self.table.rows, &touched);
        }
    }
}

struct Pass {
    /// Sum of the losses, `[1]`.
    total: Buffer<f32>,
    /// Queries with a true class.
    counted: usize,
    /// Of the queries, `[B, d]`.
    gradient: Buffer<f32>,
    /// Parts of the table, one but for the full loss.
    touched: Vec<Touched>,
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
        let inner = if device.is_autodiff() { queries.clone().inner() } else { queries.clone() };
        let Pass { total, counted, gradient, touched } = match (self.config.kind, self.config.sharing) {
            (LossKind::Full, _) => parts.pass_full(&inner, labels, terms),
            (_, Sharing::Query) => parts.pass(&buffer_of(inner), labels, terms, draws)?,
            (_, Sharing::Batch) => parts.pass_together(inner, labels, terms, draws)?,
        };
        let gradient = tensor_of(&gradient, queries.dims(), &device);
        let mean = tensor_of(&total, [1], &device) / counted as f32;
        let told = CardFigures::new(total, counted, touched.iter().map(|touched| touched.count().clone()).collect());
        let (loss, unit) = if device.is_autodiff() {
            let slope = (queries * Tensor::from_inner(gradient)).sum();
            let unit = Tensor::<1>::ones([1], &device).require_grad();
            (slope.clone() - slope.detach() + (unit.clone() - 1.0) + Tensor::from_inner(mean), unit)
        } else {
            (mean, Tensor::ones([1], &device))
        };
        let touched = Arc::new(Mutex::new(Some(touched)));
        let leaf = Leaf::Device { unit, touched };
        let told = Told::OnCard(Arc::new(told));
        Ok(SoftmaxOutput { loss, nll: Vec::new(), classes: Vec::new(), told, leaf, ln_tau })
    }
}
