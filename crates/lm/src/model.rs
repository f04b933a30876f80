//! The language model: word rows, encoder, head.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients, Tensor};
use rf_data::Window;
use rf_softmax::{
    HeadGradients, RowGradients, RowInit, RowTable, SampledSoftmaxLoss, SampledSoftmaxLossConfig, SoftmaxOutput,
    SparseGradients, Unique, clip_global_norm, to_vec,
};

use crate::dropout::Dropout;
use crate::embed::embed;
use crate::encoder::Encoder;
use crate::lstm::LstmState;
use crate::{Error, ModelConfig, Settings};

/// Place of the word table among the tables of a model, for its first rows.
const WORD_PLACE: u64 = 1 << 34;

/// A language model in training.
#[derive(Debug)]
pub(crate) struct LanguageModel {
    pub config: ModelConfig,
    pub encoder: Encoder,
    /// Input rows; `None` if they are the class rows.
    pub words: Option<RowTable>,
    pub head: SampledSoftmaxLoss,
    pub device: Device,
}

/// What a window gives.
pub(crate) struct Pass {
    pub output: SoftmaxOutput,
    word_ids: Vec<u32>,
    word_rows: Tensor<2>,
}

/// Gradients of a step, of every part of the model.
pub(crate) struct ModelGradients {
    pub dense: GradientsParams,
    words: Option<RowGradients>,
    head: HeadGradients,
}

impl LanguageModel {
    /// A new model over words with the given training counts.
    pub fn new(settings: &Settings, counts: &[u64], device: &Device) -> Result<Self, Error> {
        let Settings { seed, model, loss, optimizer, .. } = settings;
        let (n, d, rule) = (counts.len(), model.query_width(), optimizer.row_rule());
        if model.tied && model.embedding != d {
            let why =
                format!("a shared table needs `embedding` ({}) equal to the width of the query ({d})", model.embedding);
            return Err(Error::BadSetting { field: "model.tied", why });
        }
        let head = SampledSoftmaxLossConfig::new(n, d)
            .with_loss(loss.clone())
            .with_optimizer(rule)
            .with_counts(counts.to_vec())
            .with_seed(*seed)
            .init(device)?;
        if model.tied && !head.is_on_host() {
            let why = "a head on a graphics card keeps its table to itself: set it to false".to_owned();
            return Err(Error::BadSetting { field: "model.tied", why });
        }
        let init = RowInit::Uniform(0.1);
        let words = (!model.tied).then(|| RowTable::new(n, model.embedding, init, rule, *seed, WORD_PLACE));
        let encoder = Encoder::new(model, *seed, device);
        Ok(Self { config: model.clone(), encoder, words, head, device: device.clone() })
    }

    /// States at the start of a text.
    pub fn start(&self, batch: usize) -> Vec<LstmState> {
        vec![LstmState::zeros(batch, self.config.hidden); self.config.layers]
    }

    fn word_table(&self) -> &RowTable {
        self.words.as_ref().unwrap_or(self.head.table())
    }

    /// The word rows of a window as a leaf, and the words' places.
    fn gather(&self, window: &Window, device: &Device) -> Result<(Unique, Tensor<2>), Error> {
        let unique = Unique::of(&window.inputs);
        let rows = self.word_table().gather(&unique.ids, device)?;
        Ok((unique, rows))
    }

    /// Loss of a training window.
    pub fn loss(&self, window: &Window, states: &mut [LstmState], dropout: Dropout) -> Result<Pass, Error> {
        let (unique, word_rows) = self.gather(window, &self.device)?;
        let x = embed(dropout.words(word_rows.clone()), unique.positions, self.config.embedding);
        let h = self.encoder.forward(x, window.steps, states, dropout);
        let output = self.head.forward_ids(h, &window.targets)?;
        Ok(Pass { output, word_ids: unique.ids, word_rows })
    }

    /// Queries of a window, outside autodiff and without dropout; `encoder` is a copy for inference.
    pub fn queries(&self, encoder: &Encoder, window: &Window, states: &mut [LstmState]) -> Result<Tensor<2>, Error> {
        let (unique, rows) = self.gather(window, &self.device.clone().inner())?;
        let x = embed(rows, unique.positions, self.config.embedding);
        Ok(encoder.forward(x, window.steps, states, Dropout::off()))
    }

    /// Moves all gradients of a pass out of `grads`.
    pub fn gradients(&self, pass: &Pass, mut grads: Gradients) -> ModelGradients {
        let values = pass.word_rows.grad_remove(&mut grads).map(to_vec).unwrap_or_default();
        let words = RowGradients { ids: pass.word_ids.clone(), values };
        let mut head = self.head.gradient(&pass.output, &mut grads);
        let words = if self.words.is_some() {
            Some(words)
        } else {
            head.classes = head.classes.plus(&words, self.head.width());
            None
        };
        ModelGradients { dense: GradientsParams::from_grads(grads, &self.encoder), words, head }
    }

    /// Clips all gradients as one vector and returns their norm before.
    pub fn clip(&self, gradients: &mut ModelGradients, max_norm: f64) -> f64 {
        let ModelGradients { dense, words, head } = gradients;
        let mut rows: Vec<&mut dyn SparseGradients> = vec![head];
        rows.extend(words.as_mut().map(|words| words as &mut dyn SparseGradients));
        clip_global_norm(dense, &self.encoder, &mut rows, max_norm)
    }

    /// Steps the touched rows of both tables, and the sampler after them.
    pub fn step_rows(&mut self, rate: f64, gradients: &ModelGradients) -> Result<(), Error> {
        if let (Some(table), Some(words)) = (&mut self.words, &gradients.words) {
            table.step(rate, words)?;
        }
        Ok(self.head.step(rate, &gradients.head)?)
    }

    /// Numbers that are trained: encoder, word rows, class rows.
    pub fn parameters(&self) -> usize {
        let words = self.words.as_ref().map_or(0, |table| table.data().len());
        self.encoder.num_params() + words + self.head.classes() * self.head.width()
    }
}
