//! A classifier as a task of the loop that all trainers share.

use std::borrow::Cow;

use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use rf_data::{Propensity, XcBatches, XcPoints, XcSet};
use rf_training::{
    Better, Checkpoint, CheckpointWriter, Evaluated, RunFolder, RunSettings, Score, Split, StepOutcome, Stop, Summary,
    Task, TaskFacts, check_known,
};

use crate::encoder::Dropout;
use crate::evaluate::score;
use crate::model::Classifier;
use crate::{Error, Settings};

/// Trains a classifier in a run folder, from the start or from its checkpoint, and returns the summary it wrote.
///
/// The outcome is a function of settings and data alone: not of the number of threads, nor of interruptions. Points
/// without labels are not trained on.
///
/// # Errors
/// [`Error::Data`] for settings that do not fit the data; [`Error::OtherPoints`] if a run is to go on with other labels or
/// features than it began with; [`Error::Training`] with an error of [`rf_training::run`] for
/// all else. Whatever the error, the last checkpoint is whole.
pub fn train(
    settings: &Settings,
    data: &XcSet,
    propensity: Propensity,
    folder: &RunFolder,
    device: &Device,
    resume: bool,
    stop: &Stop,
) -> Result<Summary, Error> {
    let Settings { loss, optimizer, train, .. } = settings;
    let task = XmcTask::new(settings, data, propensity, device)?;
    rf_training::run(task, RunSettings { loss, optimizer, train }, folder, resume, stop)
}

struct XmcTask<'a> {
    settings: &'a Settings,
    data: &'a XcSet,
    valid: Option<Cow<'a, XcPoints>>,
    inverse_propensities: Vec<f64>,
    batches: XcBatches,
    facts: Facts,
    model: Classifier,
    optimizer: ModuleOptimizer,
}

impl<'a> XmcTask<'a> {
    fn new(settings: &'a Settings, data: &'a XcSet, propensity: Propensity, device: &Device) -> Result<Self, Error> {
        let batches = XcBatches::new(&data.train, settings.batch_size(), settings.seed)?;
        let facts = Facts::of(data);
        let model = Classifier::new(settings, data.features, &data.counts, &device.clone().autodiff())?;
        let valid = data.valid.as_ref().map(|valid| match settings.train.eval_points {
            Some(count) => Cow::Owned(valid.head(count)),
            None => Cow::Borrowed(valid),
        });
        let inverse_propensities = facts.inverse_propensities(propensity);
        let optimizer = settings.optimizer.dense_optimizer();
        Ok(Self { settings, data, valid, inverse_propensities, batches, facts, model, optimizer })
    }

    fn points(&self, split: Split) -> Option<&XcPoints> {
        match split {
            Split::Valid => self.valid.as_deref(),
            Split::Test => self.data.test.as_ref(),
        }
    }
}

impl Task for XmcTask<'_> {
    type Error = Error;

    fn facts(&self) -> TaskFacts {
        TaskFacts {
            name: "xmc",
            unit: "points",
            metric: "P@1",
            better: Better::Higher,
            steps_per_epoch: self.batches.per_epoch(),
            parameters: self.model.parameters(),
            floor: self.data.known.as_ref().map(|known| known.best_precision[0]),
        }
    }

    fn has(&self, split: Split) -> bool {
        self.points(split).is_some()
    }

    fn step(&mut self, step: u64, rate: f64) -> Result<StepOutcome, Error> {
        let Settings { seed, model, optimizer, .. } = self.settings;
        let batch = self.batches.batch(step);
        let dropout = Dropout { units: model.dropout, features: model.feature_dropout, seed: *seed, step };

        let pass = self.model.loss(&self.data.train, &batch, dropout)?;
        let mut gradients = self.model.gradients(&pass, pass.output.loss.backward());
        let norm = self.model.clip(&mut gradients, optimizer.max_norm());
        let figures = pass.output.figures(norm);
        check_known(&figures, step)?;
        self.model.step_rows(rate, &mut gradients)?;
        self.model.encoder = self.optimizer.step(rate, self.model.encoder.clone(), gradients.dense);
        Ok(StepOutcome { figures, examples: batch.len() })
    }

    fn evaluate(&self, split: Split, stop: &Stop) -> Result<Option<Evaluated>, Error> {
        let points = self.points(split).ok_or(Error::NoSplit { split: split.name() })?;
        let evaluation = score(&self.model, points, &self.inverse_propensities, self.settings.eval_batch_size(), stop)?;
        Ok(evaluation.map(|evaluation| {
            let text = evaluation.in_words();
            Evaluated { score: Score::Values(evaluation.scores), text }
        }))
    }

    fn save<'a>(&'a self, writer: CheckpointWriter<'a>) -> Result<CheckpointWriter<'a>, Error> {
        let writer = self.facts.save(self.model.save(writer)?);
        Ok(writer.optimizer("optimizer", &self.optimizer)?)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        if Facts::load(checkpoint)? != self.facts {
            return Err(Error::OtherPoints);
        }
        self.model.load(checkpoint)?;
        self.optimizer = checkpoint.optimizer("optimizer", self.settings.optimizer.dense_optimizer())?;
        Ok(())
    }

    fn load_model(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.model.load(checkpoint)
    }
}

/// What a model has from its training points and needs beside its weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// Features of the input.
    pub features: usize,
    /// Training count of each label.
    pub counts: Vec<u64>,
    /// Training points, those without labels included.
    pub points: u64,
    /// Inverse document frequency of each feature; empty where values are not weighted by it.
    pub idf: Vec<f32>,
}

impl Facts {
    fn of(data: &XcSet) -> Self {
        let (features, counts, points) = (data.features, data.counts.clone(), data.train.len() as u64);
        Self { features, counts, points, idf: data.weighting.idf().to_vec() }
    }

    /// For the propensity-scored metrics; none where there are too few points for the law.
    pub fn inverse_propensities(&self, propensity: Propensity) -> Vec<f64> {
        if self.points < 3 { Vec::new() } else { propensity.inverse(&self.counts, self.points as usize) }
    }

    fn save<'a>(&'a self, writer: CheckpointWriter<'a>) -> CheckpointWriter<'a> {
        writer.u64("data.counts", &[self.counts.len()], &self.counts).u64("data.points", &[1], vec![self.points]).f32(
            "data.idf",
            &[self.idf.len()],
            &self.idf,
        )
    }

    pub fn load(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let shape = |name: &str| checkpoint.shape(name).map_or(Vec::new(), <[usize]>::to_vec);
        let features = shape("features.rows").first().copied().unwrap_or_default();
        let counts = checkpoint.u64("data.counts", &shape("data.counts"))?;
        let idf = checkpoint.f32("data.idf", &shape("data.idf"))?;
        let points = checkpoint.u64("data.points", &[1])?[0];
        Ok(Self { features, counts, points, idf })
    }
}
