//! Dropout whose masks are a function of (seed, step, place).

use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use rf_sampling::{Purpose, stream};

/// Dropout of one step. burn's own draws from a generator of the whole process, which no resumed run could repeat.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    probability: f64,
    seed: u64,
    step: u64,
}

impl Dropout {
    /// Masks of a training step.
    pub fn training(probability: f64, seed: u64, step: u64) -> Self {
        Self { probability, seed, step }
    }

    /// No dropout, for evaluation.
    pub fn off() -> Self {
        Self { probability: 0.0, seed: 0, step: 0 }
    }

    /// Drops each number with the probability and scales the others by `1 / (1 - probability)`. `place` tells apart the
    /// masks of a step.
    pub fn apply(self, x: Tensor<2>, place: u64) -> Tensor<2> {
        if self.probability == 0.0 {
            return x;
        }
        let [rows, columns] = x.dims();
        let mut bytes = vec![0; 2 * rows * columns];
        stream(self.seed, Purpose::Dropout, self.step, place).fill_bytes(&mut bytes);
        let threshold = (self.probability * 65_536.0).round() as u32;
        let keep = 65_536.0 / (65_536 - threshold) as f32;
        let mask: Vec<f32> = bytes
            .chunks_exact(2)
            .map(|pair| if u32::from(u16::from_le_bytes([pair[0], pair[1]])) < threshold { 0.0 } else { keep })
            .collect();
        x.clone() * Tensor::from_data(TensorData::new(mask, [rows, columns]), &x.device())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use rf_softmax::to_vec;

    #[test]
    fn masks_keep_the_mean_and_repeat_with_the_step() {
        let mask = |step| to_vec(Dropout::training(0.3, 1, step).apply(Tensor::ones([100, 100], &Device::flex()), 0));
        let first = mask(4);
        let dropped = first.iter().filter(|x| **x == 0.0).count() as f64 / 1e4;
        assert!((dropped - 0.3).abs() < 0.03, "{dropped}");
        let mean = first.iter().sum::<f32>() / 1e4;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        assert_eq!(first, mask(4));
        assert_ne!(first, mask(5));
    }
}
