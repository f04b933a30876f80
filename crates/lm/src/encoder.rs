//! From a window of words to queries.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand::RngExt;
use rf_sampling::{Purpose, stream};
use rf_training::parameter;

use crate::ModelConfig;
use crate::dropout::Dropout;
use crate::lstm::{Lstm, LstmState};

/// The dense part of the model: LSTM layers and, if asked, a projection to the query.
#[derive(Module, Debug)]
pub struct Encoder {
    layers: Vec<Lstm>,
    /// `[H, d]`.
    projection: Option<Param<Tensor<2>>>,
}

impl Encoder {
    /// An encoder with weights that are a function of the seed.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        let width = |layer: usize| if layer == 0 { config.embedding } else { config.hidden };
        let layer = |layer: usize| Lstm::new(width(layer), config.hidden, seed, layer as u64, device);
        let projection = config.projection.map(|width| projection(config, width, seed, device));
        Self { layers: (0..config.layers).map(layer).collect(), projection }
    }

    /// Queries of a window.
    ///
    /// # Shapes
    /// - x: `[T * B, embedding]`, time-major
    /// - output: `[T * B, d]`
    pub fn forward(&self, x: Tensor<2>, steps: usize, states: &mut [LstmState], dropout: Dropout) -> Tensor<2> {
        let mut h = dropout.apply(x, steps, 0);
        for (number, (layer, state)) in (1..).zip(self.layers.iter().zip(states)) {
            let mask = dropout.recurrent(state.len(), number);
            h = dropout.apply(layer.forward(h, steps, state, &mask), steps, number);
        }
        match &self.projection {
            Some(projection) => h.matmul(projection.val()),
            None => h,
        }
    }
}

fn projection(config: &ModelConfig, width: usize, seed: u64, device: &Device) -> Param<Tensor<2>> {
    let bound = 1.0 / (config.hidden as f32).sqrt();
    let mut rng = stream(seed, Purpose::Init, (1 << 33) - 1, 0);
    let values: Vec<f32> = (0..config.hidden * width).map(|_| rng.random_range(-bound..bound)).collect();
    parameter(u64::MAX, values, [config.hidden, width], device)
}
