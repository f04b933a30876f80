//! Exact evaluation, over all classes.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use rf_data::{Batches, IGNORED, Vocabulary};
use rf_training::{Checkpoint, Stop};

use crate::model::LanguageModel;
use crate::{Error, Settings, Sizes};

/// Outcome of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean negative log-likelihood of a token, in nats.
    pub nll_nats: f64,
    /// `exp(nll_nats)`.
    pub perplexity: f64,
    /// Tokens scored: all of the text, `<eos>` included.
    pub tokens: usize,
    /// Seconds it took.
    pub seconds: f64,
}

/// Evaluates the checkpoint at `path` on a text.
///
/// Returns the steps of the checkpoint, and the outcome.
///
/// # Errors
/// [`Error::Training`] if there is no whole checkpoint, or it does not fit the settings; [`Error::Data`] if the text is
/// too short.
pub fn evaluate(
    settings: &Settings,
    path: &Path,
    vocabulary: &Vocabulary,
    tokens: &[u32],
    device: &Device,
) -> Result<(u64, Evaluation), Error> {
    let device = device.clone().autodiff();
    let mut model = LanguageModel::new(&settings.for_reading(), vocabulary.counts(), &device)?;
    let checkpoint = Checkpoint::open(path)?;
    model.load(&checkpoint)?;
    let step = checkpoint.step().unwrap_or_default();
    let evaluation = score(&model, tokens, vocabulary.eos(), settings, &Stop::default())?;
    evaluation.map(|evaluation| (step, evaluation)).ok_or(rf_training::Error::Interrupted { step }.into())
}

/// Scores every token of a text once under the softmax over all classes; `None` if asked to stop before the end.
pub(crate) fn score(
    model: &LanguageModel,
    tokens: &[u32],
    eos: u32,
    settings: &Settings,
    stop: &Stop,
) -> Result<Option<Evaluation>, Error> {
    let began = Instant::now();
    let Sizes { bptt, eval_batch, .. } = Sizes::of(&settings.train);
    let batch = eval_batch.min(tokens.len());
    let batches = Batches::new(tokens, eos, batch, bptt)?;
    let (encoder, evaluator) = (model.encoder.valid(), model.head.evaluator());
    let mut states = model.start(batch);
    let (mut total, mut count) = (0.0, 0);
    for window in batches.iter() {
        if stop.is_requested() {
            return Ok(None);
        }
        let h = model.queries(&encoder, &window, &mut states)?;
        let nll = evaluator.nll(h, &window.targets)?;
        total += nll.iter().map(|&nll| f64::from(nll)).sum::<f64>();
        count += window.targets.iter().filter(|&&target| target != IGNORED).count();
    }
    let nll_nats = total / count as f64;
    let (perplexity, seconds) = (nll_nats.exp(), began.elapsed().as_secs_f64());
    Ok(Some(Evaluation { nll_nats, perplexity, tokens: count, seconds }))
}
