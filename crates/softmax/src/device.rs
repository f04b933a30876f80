//! From burn's tensors to the buffers of kernels and back.

use std::any::Any;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, BackendTensor, Cube, DispatchTensorKind};
use burn::tensor::{Device, Tensor};
use rf_device::{Buffer, Client};

/// Whether a tensor lives on a device that runs kernels.
pub fn is_on_card<const D: usize>(tensor: &Tensor<D>) -> bool {
    let kind = tensor.clone().into_dispatch().kind;
    match kind {
        DispatchTensorKind::Autodiff(inner) => matches!(*inner, DispatchTensorKind::Cube(_)),
        kind => matches!(kind, DispatchTensorKind::Cube(_)),
    }
}

/// The client of a device that runs kernels; none for a processor.
pub(crate) fn client_of(device: &Device) -> Option<Client> {
    match Tensor::<1>::empty([1], &plain(device)).into_dispatch().kind {
        DispatchTensorKind::Cube(tensor) => Some(tensor.float().client),
        _ => None,
    }
}

/// The device without autodiff.
pub(crate) fn plain(device: &Device) -> Device {
    if device.is_autodiff() { device.clone().inner() } else { device.clone() }
}

/// The numbers of a tensor, row-major, where they lie; a copy on the device if they do not lie like that.
///
/// # Panics
/// If the tensor is on no device that runs kernels.
pub fn buffer_of<const D: usize>(tensor: Tensor<D>) -> Buffer<f32> {
    let tensor = if tensor.device().is_autodiff() { tensor.inner() } else { tensor };
    let len = tensor.shape().num_elements();
    let flat = tensor.reshape([len]);
    match flat.into_dispatch().kind {
        DispatchTensorKind::Cube(primitive) => {
            let primitive = primitive.float();
            Buffer::of(&primitive.client, primitive.handle, len)
        }
        kind => panic!("{kind:?} has no buffer"),
    }
}

/// A tensor over the numbers of a buffer, outside autodiff.
///
/// # Panics
/// If the buffer does not fill the shape.
pub fn tensor_of<const D: usize>(buffer: &Buffer<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    assert_eq!(buffer.len(), shape.iter().product::<usize>(), "a tensor of shape {shape:?}");
    let mut tensor = Tensor::<D>::empty(shape, &plain(device)).into_dispatch();
    match &mut tensor.kind {
        DispatchTensorKind::Cube(BackendTensor::Float(primitive)) => primitive.handle = buffer.handle().clone(),
        _ => panic!("a buffer on {device:?}"),
    }
    Tensor::from_dispatch(tensor)
}

/// A tensor, outside autodiff, from what a backend makes of one.
///
/// # Panics
/// If it is none of a device that runs kernels, or of another rank.
pub(crate) fn from_primitive<B: Backend, const D: usize>(primitive: FloatTensor<B>, device: &Device) -> Tensor<D> {
    let primitive: Box<dyn Any> = Box::new(primitive);
    let primitive = primitive.downcast::<FloatTensor<Cube>>().expect("a tensor on a device that runs kernels");
    let mut tensor = Tensor::<D>::empty([1; D], &plain(device)).into_dispatch();
    tensor.kind = DispatchTensorKind::Cube(BackendTensor::Float(*primitive));
    Tensor::from_dispatch(tensor)
}

/// The reverse.
///
/// # Panics
/// If the tensor is on no device that runs kernels, or inside autodiff.
pub(crate) fn into_primitive<B: Backend, const D: usize>(tensor: Tensor<D>) -> FloatTensor<B> {
    let DispatchTensorKind::Cube(primitive) = tensor.into_dispatch().kind else { panic!("a tensor on the host") };
    let primitive: Box<dyn Any> = Box::new(primitive.float());
    *primitive.downcast::<FloatTensor<B>>().expect("one backend for all devices that run kernels")
}
