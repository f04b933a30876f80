//! From the bag of features to queries.

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rf_sampling::{Purpose, stream};
use rf_softmax::{NamedTensor, to_vec};
use rf_training::{dropout_mask, parameter};

use crate::ModelConfig;

/// Masks of feature dropout have this place; those of hidden layers follow.
pub(crate) const FEATURE_PLACE: u64 = 0;

/// The dense part of the model: biases of the hidden layers, and the products between them and to the query.
#[derive(Module, Debug)]
pub struct Encoder {
    layers: Vec<Layer>,
}

/// `relu(x + bias) · weight`.
#[derive(Module, Debug)]
pub struct Layer {
    /// `[1, units]`.
    bias: Param<Tensor<2>>,
    /// `[units, width of the next layer or of the query]`.
    weight: Param<Tensor<2>>,
}

/// Dropout of one step.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    pub units: f64,
    pub features: f64,
    pub seed: u64,
    pub step: u64,
}

impl Dropout {
    /// No dropout, for evaluation.
    pub const OFF: Self = Self { units: 0.0, features: 0.0, seed: 0, step: 0 };
}

impl Encoder {
    /// An encoder with weights that are a function of the seed (He et al. 2015, uniform).
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        let outputs = config.hidden.iter().skip(1).chain([&config.dim]);
        let layer =
            |(number, (&units, &width)): (u64, (&usize, &usize))| Layer::new(units, width, seed, number, device);
        Self { layers: (0..).zip(config.hidden.iter().zip(outputs)).map(layer).collect() }
    }

    /// Queries of a batch.
    ///
    /// # Shapes
    /// - bag: `[B, bag width]`
    /// - output: `[B, d]`
    pub fn forward(&self, bag: Tensor<2>, dropout: Dropout) -> Tensor<2> {
        let places = FEATURE_PLACE + 1..;
        self.layers.iter().zip(places).fold(bag, |x, (layer, place)| {
            let units = drop_units(relu(x + layer.bias.val()), dropout, place);
            units.matmul(layer.weight.val())
        })
    }

    /// The weights by name: `hidden.0.bias`, `hidden.0.weight` and so on.
    pub fn export(&self) -> Vec<NamedTensor<'static>> {
        let part = |layer: usize, name: &str, value: Tensor<2>, shape: Vec<usize>| {
            NamedTensor::owned(format!("hidden.{layer}.{name}"), shape, to_vec(value))
        };
        let parts = |(number, layer): (usize, &Layer)| {
            let [units, width] = layer.weight.dims();
            [
                part(number, "bias", layer.bias.val(), vec![units]),
                part(number, "weight", layer.weight.val(), vec![units, width]),
            ]
        };
        self.layers.iter().enumerate().flat_map(parts).collect()
    }
}

impl Layer {
    fn new(units: usize, width: usize, seed: u64, number: u64, device: &Device) -> Self {
        let bound = (6.0 / units as f32).sqrt();
        let mut rng = stream(seed, Purpose::Init, number, 0);
        let weights = (0..units * width).map(|_| rng.random_range(-bound..bound)).collect();
        Self {
            bias: parameter(2 * number, vec![0.0; units], [1, units], device),
            weight: parameter(2 * number + 1, weights, [units, width], device),
        }
    }
}

fn drop_units(x: Tensor<2>, dropout: Dropout, place: u64) -> Tensor<2> {
    if dropout.units == 0.0 {
        return x;
    }
    let shape = x.dims();
    let mask = dropout_mask(dropout.units, shape[0] * shape[1], dropout.seed, dropout.step, place);
    let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
    x * mask
}
