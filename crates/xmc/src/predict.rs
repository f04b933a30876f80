//! A trained classifier, opened to rank labels.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use rf_data::{Propensity, XcPoints};
use rf_sampling::Probes;
use rf_softmax::{LossKind, NamedTensor, Ranked, RowOptimizer, SampledSoftmaxLoss, StateFile, to_vec};
use rf_training::{Checkpoint, Stop};

use crate::evaluate::{Evaluation, rank, score};
use crate::model::{Classifier, labels};
use crate::train::Facts;
use crate::{Error, Settings};

/// The model of a checkpoint, without what only training needs: moments and sampler are not read.
#[derive(Debug)]
pub struct Predictor {
    model: Classifier,
    facts: Facts,
    step: u64,
    batch: usize,
}

impl Predictor {
    /// Opens the checkpoint at `path`, which was trained under `settings`.
    ///
    /// # Errors
    /// [`Error::Training`] if there is no whole checkpoint, or it does not fit the settings.
    pub fn open(settings: &Settings, path: &Path, device: &Device) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(path)?;
        let facts = Facts::load(&checkpoint)?;
        let mut bare = settings.clone();
        (bare.loss.kind, bare.optimizer.rows) = (LossKind::Full, Some(RowOptimizer::Sgd));
        let mut model = Classifier::new(&bare, facts.features, &facts.counts, &device.clone().autodiff())?;
        model.load(&checkpoint)?;
        let (step, batch) = (checkpoint.step().unwrap_or_default(), settings.eval_batch_size());
        Ok(Self { model, facts, step, batch })
    }

    /// Features of the model's input.
    pub fn features(&self) -> usize {
        self.facts.features
    }

    /// Labels, `n`.
    pub fn labels(&self) -> usize {
        self.facts.counts.len()
    }

    /// Steps of the checkpoint.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Inverse document frequencies that the values of features are multiplied by; empty if they are not.
    pub fn idf(&self) -> &[f32] {
        &self.facts.idf
    }

    /// The head: label rows and temperature, without a sampler.
    pub fn head(&self) -> &SampledSoftmaxLoss {
        &self.model.head
    }

    /// Training count of each label, `[n]`.
    pub fn counts(&self) -> &[u64] {
        &self.facts.counts
    }

    /// Up to `count` of the points that have labels, evenly spread, as queries to measure proposals on. The target is the
    /// first label of a point; its others, and those that its filter names, have no part.
    ///
    /// # Errors
    /// None with a model that this crate trained.
    ///
    /// # Panics
    /// If a point has a feature that the model does not have.
    pub fn probes(&self, points: &XcPoints, count: usize) -> Result<Probes, Error> {
        let labelled: Vec<u32> =
            (0..points.len()).filter(|&i| !points.labels.row(i).is_empty()).map(|i| i as u32).collect();
        let chosen: Vec<u32> = Probes::places(labelled.len(), count).map(|place| labelled[place]).collect();
        let (encoder, mut queries) = (self.model.encoder.valid(), Vec::new());
        for batch in chosen.chunks(self.batch) {
            queries.extend(to_vec(self.model.head.logit_queries(self.model.queries(&encoder, points, batch)?)?));
        }
        let labels = labels(points, &chosen);
        let targets = (0..labels.len()).map(|point| labels.of(point)[0]).collect();
        let excluded = (0..labels.len()).map(|point| labels.excluded(point).to_vec()).collect();
        Ok(Probes::new(queries, self.model.head.dim(), targets, excluded))
    }

    /// Gives the `k` best labels of every point and their logits to `each`, best first, in the order of the points.
    /// Labels that a point's filter names are left out. Exact; memory does not grow with the number of points.
    ///
    /// # Errors
    /// What `each` returns.
    ///
    /// # Panics
    /// If a point has a feature that the model does not have.
    pub fn rank(
        &self,
        points: &XcPoints,
        k: usize,
        each: impl FnMut(usize, &[Ranked]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        rank(&self.model, points, k, self.batch, &Stop::default(), each).map(drop)
    }

    /// Scores points, whose values are weighted as the model's were.
    ///
    /// # Errors
    /// None with a model that this crate trained.
    pub fn evaluate(&self, points: &XcPoints, propensity: Propensity) -> Result<Evaluation, Error> {
        let weights = self.facts.inverse_propensities(propensity);
        let scored = score(&self.model, points, &weights, self.batch, &Stop::default())?;
        Ok(scored.expect("nobody asks to stop"))
    }

    /// Writes the model to a safetensors file, aside and renamed: `labels` `[n, d]`, as they enter the logits, and
    /// `label_bias` `[n]` if there is one, `features` `[features, width]`, `hidden.k.bias` and `hidden.k.weight` of each
    /// hidden layer, `tau`, and `idf` if there is one.
    ///
    /// # Errors
    /// [`Error::Training`] if the file cannot be written; an older one then stands.
    pub fn export(&self, path: &Path) -> Result<(), Error> {
        let mut tensors = self.model.export();
        let idf = self.idf();
        if !idf.is_empty() {
            tensors.push(NamedTensor::f32("idf".into(), vec![idf.len()], idf));
        }
        Ok(StateFile::save(path, &tensors)?)
    }
}
