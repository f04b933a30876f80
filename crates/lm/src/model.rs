//! The language model: word rows, encoder, head.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients, Tensor};
use rf_data::Window;
use rf_softmax::{
    Bag, GradientNorm, HeadGradients, InputGradients, InputRows, RowGradients, RowInit, RowTable, SampledSoftmaxLoss,
    SampledSoftmaxLossConfig, SoftmaxOutput, SparseGradients, clip_global_norm, to_vec,
};

use crate::dropout::Dropout;
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
    pub words: Option<InputRows>,
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
    words: Option<InputGradients>,
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
        let words = || InputRows::new(RowTable::new(n, model.embedding, init, rule, *seed, WORD_PLACE), device);
        let words = if model.tied { None } else { Some(words()?) };
        let encoder = Encoder::new(model, *seed, device);
        Ok(Self { config: model.clone(), encoder, words, head, device: device.clone() })
    }

    /// States at the start of a text.
    pub fn start(&self, batch: usize) -> Vec<LstmState> {
        vec![LstmState::zeros(batch, self.config.hidden); self.config.layers]
    }

    /// The word rows of a window as a leaf, and where the words stand.
    fn gather(&self, window: &Window, device: &Device) -> Result<(Bag, Tensor<2>), Error> {
        let bag = Bag::one_each(&window.inputs);
        let rows = match &self.words {
            Some(words) => words.gather(&bag.ids, device)?,
            None => self.head.table().gather(&bag.ids, device)?,
        };
        Ok((bag, rows))
    }

    /// Loss of a training window.
    pub fn loss(&self, window: &Window, states: &mut [LstmState], dropout: Dropout) -> Result<Pass, Error> {
        let (bag, word_rows) = self.gather(window, &self.device)?;
        let word_ids = bag.ids.clone();
        let x = bag.sum(dropout.words(word_rows.clone()), self.config.embedding);
        let h = self.encoder.forward(x, window.steps, states, dropout);
        let output = self.head.forward_ids(h, &window.targets)?;
        Ok(Pass { output, word_ids, word_rows })
    }

    /// Queries of a window, outside autodiff and without dropout; `encoder` is a copy for inference.
    pub fn queries(&self, encoder: &Encoder, window: &Window, states: &mut [LstmState]) -> Result<Tensor<2>, Error> {
        let (bag, rows) = self.gather(window, &self.device.clone().inner())?;
        let x = bag.sum(rows, self.config.embedding);
        Ok(encoder.forward(x, window.steps, states, Dropout::off()))
    }

    /// Moves all gradients of a pass out of `grads`.
    pub fn gradients(&self, pass: &Pass, mut grads: Gradients) -> ModelGradients {
        let words = self.words.as_ref().map(|words| words.gradient(&pass.word_ids, &pass.word_rows, &mut grads));
        let mut head = self.head.gradient(&pass.output, &mut grads);
        if words.is_none() {
            let values = pass.word_rows.grad_remove(&mut grads).map(to_vec).unwrap_or_default();
            let words = RowGradients { ids: pass.word_ids.clone(), values };
            head.classes = head.classes.plus(&words, self.head.width());
        }
        ModelGradients { dense: GradientsParams::from_grads(grads, &self.encoder), words, head }
    }

    /// Clips all gradients as one vector and returns their norm before.
    pub fn clip(&self, gradients: &mut ModelGradients, max_norm: f64) -> GradientNorm {
        let ModelGradients { dense, words, head } = gradients;
        let mut rows: Vec<&mut dyn SparseGradients> = vec![head];
        rows.extend(words.as_mut().map(|words| words as &mut dyn SparseGradients));
        clip_global_norm(dense, &self.encoder, &mut rows, max_norm)
    }

    /// Steps the touched rows of both tables, and the sampler after them.
    pub fn step_rows(&mut self, rate: f64, gradients: &mut ModelGradients) -> Result<(), Error> {
        if let (Some(table), Some(words)) = (&mut self.words, &mut gradients.words) {
            table.step(rate, words)?;
        }
        Ok(self.head.step(rate, &gradients.head)?)
    }

    /// Numbers that are trained: encoder, word rows, class rows.
    pub fn parameters(&self) -> usize {
        let words = self.words.as_ref().map_or(0, |table| table.rows() * table.width());
        self.encoder.num_params() + words + self.head.classes() * self.head.width()
    }
}
