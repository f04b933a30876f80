//! Rows of distinct words, spread over the places where they stand.

use burn::tensor::Tensor;
use rf_softmax::{Pullback, host_op, to_vec};

/// `output[i] = rows[positions[i]]`, over the first `dim` columns; the gradient of a row is the sum over its places.
///
/// # Shapes
/// - rows: `[U, width]`, `width >= dim`
/// - output: `[positions.len(), dim]`
pub fn embed(rows: Tensor<2>, positions: Vec<u32>, dim: usize) -> Tensor<2> {
    let [count, width] = rows.dims();
    let values = to_vec(rows.clone());
    let row = |&at: &u32| &values[at as usize * width..][..dim];
    let output: Vec<f32> = positions.iter().flat_map(row).copied().collect();
    let places = positions.len();
    let pullback = Pullback::new(move |upstream| {
        let mut gradient = vec![0.0; count * width];
        for (&at, from) in positions.iter().zip(upstream.chunks_exact(dim)) {
            let row = &mut gradient[at as usize * width..][..dim];
            row.iter_mut().zip(from).for_each(|(sum, from)| *sum += from);
        }
        vec![gradient]
    });
    host_op(output, [places, dim], &[rows], pullback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn repeated_words_add_their_gradients() {
        let device = Device::flex().autodiff();
        let rows = Tensor::<2>::from_data([[1.0f32, 2.0, 9.0], [3.0, 4.0, 9.0]], &device).require_grad();
        let output = embed(rows.clone(), vec![1, 0, 1], 2);
        output.clone().into_data().assert_eq(&TensorData::from([[3.0f32, 4.0], [1.0, 2.0], [3.0, 4.0]]), true);
        let weights = Tensor::<2>::from_data([[1.0f32, 10.0], [2.0, 20.0], [3.0, 30.0]], &device);
        let gradient = rows.grad(&(output * weights).sum().backward()).unwrap();
        gradient.into_data().assert_eq(&TensorData::from([[2.0f32, 20.0, 0.0], [4.0, 40.0, 0.0]]), true);
    }
}
