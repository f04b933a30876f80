//! A trained model opened for measurement.

use burn::module::Module;
use burn::tensor::Device;
use rf_data::{Batches, Vocabulary};
use rf_softmax::{SampledSoftmaxLoss, to_vec};
use rf_training::{Checkpoint, RunFolder};

use crate::model::LanguageModel;
use crate::{Error, Settings, Sizes};

/// The head of a run's checkpoint, and what it is asked on a text: up to `count` queries, evenly spread, as they enter
/// the logits. Proposals are measured on these.
///
/// # Shapes
/// - output: the queries are `[count, d]`
///
/// # Errors
/// As [`evaluate`](crate::evaluate).
pub fn trained_queries(
    settings: &Settings,
    folder: &RunFolder,
    vocabulary: &Vocabulary,
    tokens: &[u32],
    count: usize,
    device: &Device,
) -> Result<(SampledSoftmaxLoss, Vec<f32>), Error> {
    let mut model = LanguageModel::new(settings, vocabulary.counts(), &device.clone().autodiff())?;
    model.load(&Checkpoint::open(&folder.checkpoint())?)?;
    let Sizes { bptt, eval_batch: batch, .. } = Sizes::of(&settings.train);
    let batches = Batches::new(tokens, vocabulary.eos(), batch, bptt)?;
    let encoder = model.encoder.valid();
    let mut states = model.start(batch);
    let mut all = Vec::new();
    for window in batches.iter() {
        let h = model.queries(&encoder, &window, &mut states)?;
        all.extend(to_vec(model.head.logit_queries(h)?));
    }
    let (d, total) = (model.head.dim(), all.len() / model.head.dim());
    let kept = (0..count.min(total)).flat_map(|i| &all[(i * total / count.min(total)) * d..][..d]).copied().collect();
    Ok((model.head, kept))
}
