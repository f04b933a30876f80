//! The classifier: feature rows, encoder, head.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients, Tensor};
use rf_data::XcPoints;
use rf_softmax::{
    Bag, GradientNorm, HeadGradients, InputGradients, InputRows, Labels, NamedTensor, RowInit, RowTable,
    SampledSoftmaxLoss, SampledSoftmaxLossConfig, SoftmaxOutput, clip_global_norm,
};
use rf_training::{Checkpoint, CheckpointWriter, dropout_mask};

use crate::encoder::{Dropout, Encoder, FEATURE_PLACE};
use crate::{Error, Settings};

/// Place of the feature table among the tables of a model, for its first rows.
const FEATURE_TABLE: u64 = 1 << 34;

/// A classifier in training.
#[derive(Debug)]
pub(crate) struct Classifier {
    pub encoder: Encoder,
    /// A row for each feature.
    pub features: InputRows,
    pub head: SampledSoftmaxLoss,
    pub device: Device,
}

/// What a batch gives.
pub(crate) struct Pass {
    pub output: SoftmaxOutput,
    feature_ids: Vec<u32>,
    feature_rows: Tensor<2>,
}

/// Gradients of a step, of every part of the model.
pub(crate) struct ModelGradients {
    pub dense: GradientsParams,
    features: InputGradients,
    head: HeadGradients,
}

impl Classifier {
    /// A new model over `features` and labels with the given training counts.
    pub fn new(settings: &Settings, features: usize, counts: &[u64], device: &Device) -> Result<Self, Error> {
        let Settings { seed, model, loss, optimizer, .. } = settings;
        let rule = optimizer.row_rule();
        let head = SampledSoftmaxLossConfig::new(counts.len(), model.dim)
            .with_loss(loss.clone())
            .with_optimizer(rule)
            .with_counts(counts.to_vec())
            .with_seed(*seed)
            .init(device)?;
        let width = model.bag_width();
        let init = RowInit::Normal(1.0 / (width as f32).sqrt());
        let features = RowTable::new(features, width, init, rule, *seed, FEATURE_TABLE);
        let features = InputRows::new(features, device)?;
        Ok(Self { encoder: Encoder::new(model, *seed, device), features, head, device: device.clone() })
    }

    /// Loss of a batch of training points.
    pub fn loss(&self, points: &XcPoints, batch: &[u32], dropout: Dropout) -> Result<Pass, Error> {
        let bag = bag(points, batch);
        let feature_ids = bag.ids.clone();
        let feature_rows = self.features.gather(&feature_ids, &self.device)?;
        let h =
            self.encoder.forward(drop_features(bag, dropout).sum(feature_rows.clone(), self.features.width()), dropout);
        let output = self.head.forward_labels(h, &labels(points, batch))?;
        Ok(Pass { output, feature_ids, feature_rows })
    }

    /// Queries of points, outside autodiff and without dropout; `encoder` is a copy for inference.
    pub fn queries(&self, encoder: &Encoder, points: &XcPoints, batch: &[u32]) -> Result<Tensor<2>, Error> {
        let bag = bag(points, batch);
        let rows = self.features.gather(&bag.ids, &self.device.clone().inner())?;
        Ok(encoder.forward(bag.sum(rows, self.features.width()), Dropout::OFF))
    }

    /// Moves all gradients of a pass out of `grads`.
    pub fn gradients(&self, pass: &Pass, mut grads: Gradients) -> ModelGradients {
        let features = self.features.gradient(&pass.feature_ids, &pass.feature_rows, &mut grads);
        let head = self.head.gradient(&pass.output, &mut grads);
        ModelGradients { dense: GradientsParams::from_grads(grads, &self.encoder), features, head }
    }

    /// Clips all gradients as one vector and returns their norm before.
    pub fn clip(&self, gradients: &mut ModelGradients, max_norm: f64) -> GradientNorm {
        let ModelGradients { dense, features, head } = gradients;
        clip_global_norm(dense, &self.encoder, &mut [head, features], max_norm)
    }

    /// Steps the touched rows of both tables, and the sampler after them.
    pub fn step_rows(&mut self, rate: f64, gradients: &mut ModelGradients) -> Result<(), Error> {
        self.features.step(rate, &mut gradients.features)?;
        Ok(self.head.step(rate, &gradients.head)?)
    }

    /// Adds weights and tables to a checkpoint.
    pub fn save<'a>(&'a self, writer: CheckpointWriter<'a>) -> Result<CheckpointWriter<'a>, Error> {
        let writer = writer.module("encoder", &self.encoder)?;
        Ok(writer.tensors(self.head.state()).tensors(self.features.state("features")))
    }

    /// Takes up the weights and tables of a checkpoint.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.encoder = checkpoint.module("encoder", self.encoder.clone())?;
        checkpoint.restore(|source| self.head.restore(source))?;
        Ok(checkpoint.restore(|source| self.features.restore("features", source))?)
    }

    /// Every part that a query and its logits are computed with, under its name outside of this project.
    pub fn export(&self) -> Vec<NamedTensor<'_>> {
        let (n, d, width) = (self.head.classes(), self.head.dim(), self.head.width());
        let shape = vec![self.features.rows(), self.features.width()];
        let mut parts = vec![NamedTensor::f32("features".into(), shape, self.features.table().data())];
        parts.extend(self.encoder.export());
        let evaluator = self.head.evaluator();
        let rows = evaluator.rows().chunks_exact(width);
        let labels = rows.clone().flat_map(|row| &row[..d]).copied().collect();
        parts.push(NamedTensor::owned("labels".into(), vec![n, d], labels));
        if width > d {
            parts.push(NamedTensor::owned("label_bias".into(), vec![n], rows.map(|row| row[d]).collect()));
        }
        parts.push(NamedTensor::owned("tau".into(), vec![1], vec![self.head.tau()]));
        parts
    }

    /// Numbers that are trained: feature rows, encoder, label rows.
    pub fn parameters(&self) -> usize {
        self.features.rows() * self.features.width()
            + self.encoder.num_params()
            + self.head.classes() * self.head.width()
    }
}

fn bag(points: &XcPoints, batch: &[u32]) -> Bag {
    Bag::new(batch.iter().map(|&point| points.features.row(point as usize)))
}

/// The labels of points, those of their filters left out of the loss.
pub(crate) fn labels(points: &XcPoints, batch: &[u32]) -> Labels {
    let labels = Labels::from_lists(batch.iter().map(|&point| points.labels.row(point as usize)));
    if points.filtered.total() == 0 {
        return labels;
    }
    labels.leaving_out(batch.iter().map(|&point| points.filtered.row(point as usize)))
}

fn drop_features(bag: Bag, dropout: Dropout) -> Bag {
    if dropout.features == 0.0 {
        return bag;
    }
    let mask = dropout_mask(dropout.features, bag.nonzeros(), dropout.seed, dropout.step, FEATURE_PLACE);
    bag.times(&mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelConfig;
    use rf_data::{IdLists, SparseRows};
    use rf_softmax::{LossConfig, LossKind, SamplerConfig, to_vec};
    use rf_training::{OptimizerConfig, TrainConfig};

    const FEATURES: usize = 9;
    const COUNTS: [u64; 7] = [3, 0, 1, 2, 1, 1, 1];

    fn settings(hidden: &[usize], kind: LossKind) -> Settings {
        let sampler = SamplerConfig::Uniform {};
        let loss =
            LossConfig { kind, sampler, draws: 3, bias: true, normalized: false, tau: 1.0, ..Default::default() };
        let model = ModelConfig { dim: 4, hidden: hidden.to_vec(), dropout: 0.3, feature_dropout: 0.3 };
        let optimizer = OptimizerConfig { learning_rate: 0.1, ..Default::default() };
        Settings { seed: 3, model, loss, optimizer, train: TrainConfig::default() }
    }

    fn classifier(settings: &Settings) -> Classifier {
        Classifier::new(settings, FEATURES, &COUNTS, &Device::flex().autodiff()).unwrap()
    }

    /// Four points, the third of which has no label.
    fn points() -> XcPoints {
        let (ids, values) = (vec![0, 3, 8, 3, 4, 8, 1], vec![1.0, 0.5, -1.0, 2.0, 0.7, 0.3, 1.5]);
        let labels = IdLists::new(vec![0, 2, 3, 3, 6], vec![0, 3, 0, 2, 4, 6]);
        XcPoints::new(SparseRows::new(vec![0, 3, 5, 6, 7], ids, values), labels)
    }

    fn dropout(settings: &Settings) -> Dropout {
        let ModelConfig { dropout, feature_dropout, .. } = settings.model;
        Dropout { units: dropout, features: feature_dropout, seed: 3, step: 8 }
    }

    #[test]
    fn gradients_of_feature_rows_agree_with_finite_differences() {
        for hidden in [&[][..], &[5], &[6, 5]] {
            for kind in [LossKind::Sampled, LossKind::Full] {
                let settings = settings(hidden, kind);
                let mut model = classifier(&settings);
                let pass = model.loss(&points(), &[0, 1, 2, 3], dropout(&settings)).unwrap();
                let gradients = model.gradients(&pass, pass.output.loss.backward()).features;
                let gradients = gradients.on_host().unwrap();
                assert_eq!(gradients.ids, [0, 1, 3, 4, 8]);
                let (first, width) = (model.features.table().data().to_vec(), model.features.width());
                for (place, &gradient) in gradients.values.iter().enumerate() {
                    let at = gradients.ids[place / width] as usize * width + place % width;
                    let mut moved = |by: f32| {
                        let mut rows = first.clone();
                        rows[at] += by;
                        let rows = RowTable::from_rows(rows, width, settings.optimizer.row_rule());
                        model.features = InputRows::new(rows, &model.device).unwrap();
                        model.loss(&points(), &[0, 1, 2, 3], dropout(&settings)).unwrap().output.mean()
                    };
                    let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3;
                    assert!((slope - f64::from(gradient)).abs() < 5e-3, "{hidden:?}, {place}: {slope} and {gradient}");
                }
            }
        }
    }

    #[test]
    fn a_step_changes_the_features_of_its_points_and_no_other() {
        let settings = settings(&[5], LossKind::Sampled);
        let mut model = classifier(&settings);
        let before = model.features.table().data().to_vec();
        let pass = model.loss(&points(), &[1, 3], Dropout::OFF).unwrap();
        let mut gradients = model.gradients(&pass, pass.output.loss.backward());
        model.step_rows(0.1, &mut gradients).unwrap();
        let changed =
            before.chunks(5).zip(model.features.table().data().chunks(5)).enumerate().filter(|(_, (a, b))| a != b);
        assert_eq!(changed.map(|(row, _)| row).collect::<Vec<_>>(), [1, 3, 4]);
    }

    #[test]
    fn filtered_labels_are_never_negatives() {
        let settings = settings(&[], LossKind::Full);
        let mut points = points();
        points.filtered = IdLists::new(vec![0, 4, 4, 4, 4], vec![1, 2, 4, 5]);
        let model = classifier(&settings);
        let pass = model.loss(&points, &[0], Dropout::OFF).unwrap();
        let gradients = model.gradients(&pass, pass.output.loss.backward()).head.classes.values;
        let touched = gradients.chunks(5).enumerate().filter(|(_, row)| row.iter().any(|g| *g != 0.0));
        assert_eq!(touched.map(|(label, _)| label).collect::<Vec<_>>(), [0, 3, 6]);
    }

    #[test]
    fn queries_for_evaluation_have_no_dropout_and_no_gradient() {
        let settings = settings(&[5], LossKind::Sampled);
        let model = classifier(&settings);
        let h = model.queries(&model.encoder.valid(), &points(), &[2, 0]).unwrap();
        assert!(!h.device().is_autodiff() && h.dims() == [2, 4]);
        let again = model.queries(&model.encoder.valid(), &points(), &[0, 2]).unwrap();
        assert_eq!(to_vec(h)[4..], to_vec(again)[..4]);
    }
}
