//! Rows divided by their Euclidean norm, inside autodiff.

use burn::tensor::Tensor;
use rayon::prelude::*;
use rf_sampling::{MIN_NORM, dot};

use crate::host_op::{Pullback, host_op, to_vec};

/// Divides the first `dim` columns of each row by their norm (at least 1e-12); further columns pass unchanged.
///
/// The gradient of `y = x / |x|` is `(g - y (g·y)) / |x|`.
///
/// # Shapes
/// - rows: `[B, width]`, `width >= dim`
/// - output: `[B, width]`
pub fn normalize_rows(rows: Tensor<2>, dim: usize) -> Tensor<2> {
    #[cfg(feature = "device")]
    if crate::device::is_on_card(&rows) {
        return by_tensor_operations(rows, dim);
    }
    let [count, width] = rows.dims();
    let mut values = to_vec(rows.clone());
    let norms = divide_by_norms(&mut values, width, dim);
    let unit = values.clone();
    let pullback = Pullback::new(move |upstream| {
        let mut gradient = upstream.to_vec();
        gradient.par_chunks_mut(width).zip(unit.par_chunks(width)).zip(&norms).for_each(|((g, y), norm)| {
            let radial = dot(&g[..dim], &y[..dim]);
            g[..dim].iter_mut().zip(y).for_each(|(g, y)| *g = (*g - radial * y) / norm);
        });
        vec![gradient]
    });
    host_op(values, [count, width], &[rows], pullback)
}

#[cfg(any(test, feature = "device"))]
fn by_tensor_operations(rows: Tensor<2>, dim: usize) -> Tensor<2> {
    let [_, width] = rows.dims();
    let head = rows.clone().narrow(1, 0, dim);
    let norms = head.clone().square().sum_dim(1).sqrt().clamp_min(MIN_NORM);
    let unit = head / norms;
    if width == dim { unit } else { Tensor::cat(vec![unit, rows.narrow(1, dim, width - dim)], 1) }
}

/// Divides the first `dim` numbers of each row by their norm, in place, and returns the norms.
pub(crate) fn divide_by_norms(values: &mut [f32], width: usize, dim: usize) -> Vec<f32> {
    let divide = |row: &mut [f32]| {
        let norm = dot(&row[..dim], &row[..dim]).sqrt().max(MIN_NORM);
        row[..dim].iter_mut().for_each(|x| *x /= norm);
        norm
    };
    values.par_chunks_mut(width).map(divide).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn values_and_gradients_equal_those_of_tensor_operations() {
        let device = Device::flex().autodiff();
        let data = TensorData::from([[3.0f32, 4.0, 2.0], [-1.0, 0.5, -7.0]]);
        let weights = Tensor::<2>::from_data([[0.3f32, -0.2, 1.5], [0.7, 0.1, 2.0]], &device);

        let ours = Tensor::<2>::from_data(data.clone(), &device).require_grad();
        let y = normalize_rows(ours.clone(), 2);
        let grads = (y.clone() * weights.clone()).sum().backward();

        let theirs = Tensor::<2>::from_data(data, &device).require_grad();
        let want = by_tensor_operations(theirs.clone(), 2);
        let want_grads = (want.clone() * weights).sum().backward();

        let close = Tolerance::<f32>::absolute(1e-6);
        y.into_data().assert_approx_eq(&want.into_data(), close);
        let (got, want) = (ours.grad(&grads).unwrap(), theirs.grad(&want_grads).unwrap());
        got.into_data().assert_approx_eq(&want.into_data(), close);
    }
}
