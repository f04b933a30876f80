//! A trained model opened for measurement.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use rf_data::{Batches, IGNORED, Vocabulary};
use rf_sampling::Probes;
use rf_softmax::{SampledSoftmaxLoss, to_vec};
use rf_training::Checkpoint;

use crate::model::LanguageModel;
use crate::{Error, Settings, Sizes};

/// The head of a checkpoint, and what it is asked on a text.
#[derive(Clone, Debug)]
pub struct TrainedHead {
    /// Table and temperature as trained; a sampler is not built, and moments are not read.
    pub head: SampledSoftmaxLoss,
    /// Places of the text, as queries and the words that come next.
    pub probes: Probes,
    /// Steps of the checkpoint.
    pub step: u64,
}

/// Opens the checkpoint at `path` and asks it for up to `count` words of a text, evenly spread, each after all that
/// stands before it. Proposals are measured on these.
///
/// # Errors
/// As [`evaluate`](crate::evaluate).
pub fn trained_queries(
    settings: &Settings,
    path: &Path,
    vocabulary: &Vocabulary,
    tokens: &[u32],
    count: usize,
    device: &Device,
) -> Result<TrainedHead, Error> {
    let mut model = LanguageModel::new(&settings.for_reading(), vocabulary.counts(), &device.clone().autodiff())?;
    let checkpoint = Checkpoint::open(path)?;
    model.load(&checkpoint)?;
    let probes = probes(&model, tokens, vocabulary.eos(), Sizes::of(&settings.train), count)?;
    Ok(TrainedHead { head: model.head, probes, step: checkpoint.step().unwrap_or_default() })
}

fn probes(model: &LanguageModel, tokens: &[u32], eos: u32, sizes: Sizes, count: usize) -> Result<Probes, Error> {
    let Sizes { bptt, eval_batch, .. } = sizes;
    let batch = eval_batch.min(tokens.len());
    let batches = Batches::new(tokens, eos, batch, bptt)?;
    let (encoder, mut states, d) = (model.encoder.valid(), model.start(batch), model.head.dim());
    let mut wanted = Probes::places(batches.tokens(), count).peekable();
    let (mut queries, mut targets, mut passed) = (Vec::new(), Vec::new(), 0);
    for window in batches.iter() {
        if wanted.peek().is_none() {
            break;
        }
        let h = model.queries(&encoder, &window, &mut states)?;
        let h = to_vec(model.head.logit_queries(h)?);
        let scored = h.chunks_exact(d).zip(&window.targets).filter(|(_, target)| **target != IGNORED);
        for (number, (query, &target)) in (passed..).zip(scored) {
            if wanted.next_if_eq(&number).is_some() {
                queries.extend_from_slice(query);
                targets.push(target);
            }
        }
        passed += window.scored;
    }
    let excluded = targets.iter().map(|&target| vec![target]).collect();
    Ok(Probes::new(queries, d, targets, excluded))
}
