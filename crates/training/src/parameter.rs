use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};

/// A weight of a burn module under an id of its own, trainable on an autodiff device.
///
/// burn draws new ids in every process: two runs of one seed would then write different files.
///
/// # Shapes
/// - values: `shape`, row-major
///
/// # Panics
/// If `values` does not fill `shape`.
///
/// # Example
/// ```
/// use burn::tensor::Device;
/// use rf_training::parameter;
/// let weight = parameter(7, vec![0.5; 6], [2, 3], &Device::flex().autodiff());
/// assert!(weight.dims() == [2, 3] && weight.id == parameter(7, vec![0.0], [1, 1], &Device::flex()).id);
/// ```
pub fn parameter(id: u64, values: Vec<f32>, shape: [usize; 2], device: &Device) -> Param<Tensor<2>> {
    let tensor = Tensor::from_data(TensorData::new(values, shape), device);
    let tensor = if device.is_autodiff() { tensor.require_grad() } else { tensor };
    Param::initialized(ParamId::from(id), tensor)
}
