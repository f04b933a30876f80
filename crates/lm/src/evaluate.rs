//! Exact evaluation, over all classes.

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use rf_data::{Batches, IGNORED, Vocabulary};
use rf_training::RunFolder;

use crate::model::LanguageModel;
use crate::{Error, Settings, checkpoint};

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

/// Evaluates the checkpoint of a run on a text.
///
/// # Errors
/// [`Error::Training`] if there is no whole checkpoint, [`Error::Softmax`] or [`Error::BadRecord`] if it does not fit the
/// settings, [`Error::Data`] if the text is too short.
pub fn evaluate(
    settings: &Settings,
    folder: &RunFolder,
    vocabulary: &Vocabulary,
    tokens: &[u32],
    device: &Device,
) -> Result<Evaluation, Error> {
    let device = device.clone().autodiff();
    let mut model = LanguageModel::new(settings, vocabulary.counts(), &device)?;
    checkpoint::load_model(&mut model, &folder.checkpoint())?;
    score(&model, tokens, vocabulary.eos(), settings)
}

/// Scores every token of a text once under the softmax over all classes.
pub(crate) fn score(model: &LanguageModel, tokens: &[u32], eos: u32, settings: &Settings) -> Result<Evaluation, Error> {
    let began = Instant::now();
    let batch = settings.train.eval_batch_size.min(tokens.len());
    let batches = Batches::new(tokens, eos, batch, settings.train.bptt)?;
    let (encoder, evaluator) = (model.encoder.valid(), model.head.evaluator());
    let mut states = model.start(batch);
    let (mut total, mut count) = (0.0, 0);
    for window in batches.iter() {
        let h = model.queries(&encoder, &window, &mut states)?;
        let nll = evaluator.nll(h, &window.targets)?;
        total += nll.iter().map(|&nll| f64::from(nll)).sum::<f64>();
        count += window.targets.iter().filter(|&&target| target != IGNORED).count();
    }
    let nll_nats = total / count as f64;
    Ok(Evaluation { nll_nats, perplexity: nll_nats.exp(), tokens: count, seconds: began.elapsed().as_secs_f64() })
}
