//! Random inputs, fresh for every repetition.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{ClassId, Purpose, stream};

use super::grid::Case;

/// The queries of a repetition, `[B, d]` and normal, and a target for each.
pub fn batch(case: &Case, number: u64, device: &Device) -> (Tensor<2>, Vec<ClassId>) {
    let mut rng = stream(case.seed, Purpose::Data, number, 0);
    let h: Vec<f32> = (0..case.batch * case.dim).map(|_| StandardNormal.sample(&mut rng)).collect();
    let targets = (0..case.batch).map(|_| rng.random_range(0..case.classes as ClassId)).collect();
    (Tensor::from_data(TensorData::new(h, [case.batch, case.dim]), device), targets)
}

/// Counts that fall with the rank as those of words do: class `i` has `n / (i + 1)`, at least 1.
pub fn zipf_counts(classes: usize) -> Vec<u64> {
    (1..=classes as u64).map(|rank| classes as u64 / rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_count() {
        assert_eq!(zipf_counts(6), [6, 3, 2, 1, 1, 1]);
    }
}
