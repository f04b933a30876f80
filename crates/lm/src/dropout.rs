//! Dropout whose masks are a function of (seed, step, place).

use burn::tensor::{Tensor, TensorData};
use rf_training::dropout_mask;

use crate::ModelConfig;

/// Where the masks of recurrent states begin among the masks of a step; a layer's own number follows.
const RECURRENT: u64 = 1 << 32;

/// The mask of words among the masks of a step.
const WORDS: u64 = 1 << 33;

/// Dropout of one step. burn's own draws from a generator of the whole process, which no resumed run could repeat.
///
/// Plain dropout draws for each number. Variational dropout (Gal & Ghahramani 2016, arXiv 1512.05287, section 4) draws
/// one mask for each sequence of the window and each place, and repeats it at all time steps. Words are dropped by type,
/// with one mask for all sequences, as in Merity et al. 2018 (arXiv 1708.02182, section 4.3); Gal & Ghahramani draw one
/// for each sequence.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    between: f64,
    variational: bool,
    recurrent: f64,
    words: f64,
    seed: u64,
    step: u64,
}

impl Dropout {
    /// Masks of a training step.
    pub fn training(config: &ModelConfig, seed: u64, step: u64) -> Self {
        let ModelConfig { dropout, variational, recurrent_dropout, word_dropout, .. } = *config;
        Self { between: dropout, variational, recurrent: recurrent_dropout, words: word_dropout, seed, step }
    }

    /// No dropout, for evaluation.
    pub fn off() -> Self {
        Self { between: 0.0, variational: false, recurrent: 0.0, words: 0.0, seed: 0, step: 0 }
    }

    /// Drops numbers before, between or after layers and scales the others by `1 / (1 - probability)`. `place` tells
    /// apart the masks of a step.
    ///
    /// # Shapes
    /// - x: `[T * B, width]`, time-major
    pub fn apply(self, x: Tensor<2>, steps: usize, place: u64) -> Tensor<2> {
        if self.between == 0.0 {
            return x;
        }
        let [rows, columns] = x.dims();
        let times = if self.variational { steps } else { 1 };
        let mask = self.mask(self.between, rows / times * columns, place).repeat(times);
        times_mask(x, mask, [rows, columns])
    }

    /// What the state of a layer is multiplied by at every time step; empty where it is left alone.
    ///
    /// # Shapes
    /// - output: `[len]`, a mask of `[B, H]`
    pub fn recurrent(self, len: usize, layer: u64) -> Vec<f32> {
        if self.recurrent == 0.0 { Vec::new() } else { self.mask(self.recurrent, len, RECURRENT + layer) }
    }

    /// Drops whole rows, and scales the others.
    ///
    /// # Shapes
    /// - rows: `[U, width]`, a row for each distinct word of the window
    pub fn words(self, rows: Tensor<2>) -> Tensor<2> {
        if self.words == 0.0 {
            return rows;
        }
        let [count, _] = rows.dims();
        let mask = self.mask(self.words, count, WORDS);
        times_mask(rows, mask, [count, 1])
    }

    fn mask(self, probability: f64, len: usize, place: u64) -> Vec<f32> {
        dropout_mask(probability, len, self.seed, self.step, place)
    }
}

fn times_mask(x: Tensor<2>, mask: Vec<f32>, shape: [usize; 2]) -> Tensor<2> {
    let mask = Tensor::from_data(TensorData::new(mask, shape), &x.device());
    x * mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::Encoder;
    use crate::lstm::LstmState;
    use burn::tensor::Device;
    use rf_softmax::to_vec;

    fn config(dropout: f64, variational: bool) -> ModelConfig {
        ModelConfig { dropout, variational, ..Default::default() }
    }

    /// A mask of 20 steps × 5 sequences × 100 numbers.
    fn mask(config: &ModelConfig, seed: u64, step: u64) -> Vec<f32> {
        let ones = Tensor::ones([100, 100], &Device::flex());
        to_vec(Dropout::training(config, seed, step).apply(ones, 20, 0))
    }

    #[test]
    fn masks_keep_the_mean_and_repeat_with_seed_and_step() {
        for config in [config(0.3, false), config(0.3, true)] {
            let means: Vec<f32> = (0..40).map(|step| mask(&config, 1, step).iter().sum::<f32>() / 1e4).collect();
            let mean = means.iter().sum::<f32>() / 40.0;
            assert!((mean - 1.0).abs() < 0.02, "{mean}");
            let first = mask(&config, 1, 4);
            let dropped = first.iter().filter(|x| **x == 0.0).count() as f64 / 1e4;
            assert!((dropped - 0.3).abs() < 0.08, "{dropped}");
            assert!(first == mask(&config, 1, 4));
            assert!(first != mask(&config, 1, 5) && first != mask(&config, 2, 4));
        }
    }

    #[test]
    fn a_variational_mask_is_the_same_at_all_time_steps_and_differs_between_sequences() {
        let variational = mask(&config(0.3, true), 1, 4);
        let mut steps = variational.chunks(500);
        let first = steps.next().unwrap();
        assert!(steps.all(|step| step == first));
        assert!(first[..100] != first[100..200]);
        let plain = mask(&config(0.3, false), 1, 4);
        assert!(plain[..500] != plain[500..1000]);
    }

    #[test]
    fn the_masks_of_inputs_states_and_words_differ() {
        let config = ModelConfig { recurrent_dropout: 0.3, word_dropout: 0.3, ..config(0.3, true) };
        let dropout = Dropout::training(&config, 1, 4);
        let inputs = to_vec(dropout.apply(Tensor::ones([1, 400], &Device::flex()), 1, 1));
        let states = dropout.recurrent(400, 1);
        let words = to_vec(dropout.words(Tensor::ones([400, 1], &Device::flex())));
        assert!(inputs != states && inputs != words && states != words && states != dropout.recurrent(400, 2));
        assert!(dropout.recurrent(400, 1) == states);
        assert!(Dropout::training(&self::config(0.3, true), 1, 4).recurrent(400, 1).is_empty());
    }

    #[test]
    fn a_dropped_word_is_dropped_in_all_its_columns() {
        let config = ModelConfig { word_dropout: 0.5, ..config(0.0, false) };
        let rows = to_vec(Dropout::training(&config, 1, 4).words(Tensor::ones([300, 3], &Device::flex())));
        assert!(rows.chunks(3).all(|row| row == [0.0; 3] || row == [2.0; 3]));
        let dropped = rows.chunks(3).filter(|row| row[0] == 0.0).count();
        assert!((100..200).contains(&dropped), "{dropped}");
    }

    /// The gradient of a weighted sum of the outputs with respect to the input, against moves of the input.
    #[test]
    fn gradients_through_all_masks_agree_with_finite_differences() {
        let device = Device::flex().autodiff();
        let dropout = ModelConfig { recurrent_dropout: 0.4, word_dropout: 0.3, ..config(0.4, true) };
        let model = ModelConfig { embedding: 3, hidden: 4, layers: 2, ..dropout };
        let encoder = Encoder::new(&model, 1, &device);
        let loss = |x: Tensor<2>| {
            let mut states = vec![LstmState::new(vec![0.3; 8], vec![-0.2; 8]); 2];
            let dropout = Dropout::training(&model, 1, 4);
            let h = encoder.forward(dropout.words(x), 3, &mut states, dropout);
            let weights: Vec<f32> = (0..6 * 4).map(|i| (i as f32 * 1.7).cos()).collect();
            (h * Tensor::from_data(TensorData::new(weights, [6, 4]), &device)).sum()
        };
        let values: Vec<f32> = (0..6 * 3).map(|i| (i as f32 * 0.9).sin()).collect();
        let input = |values: &[f32]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [6, 3]), &device);
        let x = input(&values).require_grad();
        let gradient = to_vec(x.grad(&loss(x.clone()).backward()).unwrap());
        for at in 0..values.len() {
            let [up, down] = [1e-2, -1e-2].map(|step| {
                let mut moved = values.clone();
                moved[at] += step;
                f64::from(loss(input(&moved)).into_scalar::<f32>())
            });
            let slope = (up - down) / 2e-2;
            assert!((slope - f64::from(gradient[at])).abs() < 2e-3, "{at}: {slope} and {}", gradient[at]);
        }
        assert!(gradient.contains(&0.0) && gradient.iter().any(|g| g.abs() > 1e-2), "{gradient:?}");
    }
}
