//! Exact evaluation, over all labels.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::module::Module;
use rf_data::XcPoints;
use rf_softmax::{Labels, Ranked};
use rf_training::Stop;

use crate::Error;
use crate::metrics::Metrics;
use crate::model::Classifier;

/// Labels that the deepest metric looks at.
const DEPTH: usize = Metrics::KS[Metrics::KS.len() - 1];

/// Outcome of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// `P@k`, `nDCG@k`, `PSP@k` and `PSnDCG@k` for k = 1, 3, 5, in `[0, 1]`.
    pub scores: BTreeMap<String, f64>,
    /// Points scored, those without labels included.
    pub points: usize,
    /// Seconds it took.
    pub seconds: f64,
}

impl Evaluation {
    /// The precisions in per cent: `P@1 34.70, P@3 21.61, P@5 15.80`.
    pub fn in_words(&self) -> String {
        let precision = |k: &usize| format!("P@{k} {:.2}", 100.0 * self.scores[&format!("P@{k}")]);
        Metrics::KS.iter().map(precision).collect::<Vec<_>>().join(", ")
    }
}

/// Scores every point by the labels of the largest logits, those of its filter left out; `None` if asked to stop before
/// the end.
pub(crate) fn score(
    model: &Classifier,
    points: &XcPoints,
    inverse_propensities: &[f64],
    batch: usize,
    stop: &Stop,
) -> Result<Option<Evaluation>, Error> {
    let began = Instant::now();
    let mut metrics = Metrics::new(inverse_propensities);
    let each = |point: usize, ranked: &[Ranked]| {
        let predicted: Vec<u32> = ranked.iter().map(|ranked| ranked.class).collect();
        metrics.add(&predicted, points.labels.row(point));
        Ok(())
    };
    let whole = rank(model, points, DEPTH, batch, stop, each)?;
    let (scores, points, seconds) = (metrics.scores(), metrics.points(), began.elapsed().as_secs_f64());
    Ok(whole.then_some(Evaluation { scores, points, seconds }))
}

/// Gives the `k` best labels of every point to `each`, in the order of the points; says whether it came to the end before
/// it was asked to stop.
///
/// Memory is that of a batch of queries, whatever the number of points or labels.
pub(crate) fn rank(
    model: &Classifier,
    points: &XcPoints,
    k: usize,
    batch: usize,
    stop: &Stop,
    mut each: impl FnMut(usize, &[Ranked]) -> Result<(), Error>,
) -> Result<bool, Error> {
    let (encoder, evaluator) = (model.encoder.valid(), model.head.evaluator());
    let is_filtered = points.filtered.total() > 0;
    for first in (0..points.len()).step_by(batch) {
        if stop.is_requested() {
            return Ok(false);
        }
        let last = (first + batch).min(points.len());
        let numbers: Vec<u32> = (first as u32..last as u32).collect();
        let h = model.queries(&encoder, points, &numbers)?;
        let filtered = is_filtered.then(|| Labels::from_lists((first..last).map(|point| points.filtered.row(point))));
        for (point, ranked) in (first..).zip(evaluator.top_k(h, k, filtered.as_ref())?) {
            each(point, &ranked)?;
        }
    }
    Ok(true)
}
