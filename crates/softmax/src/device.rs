//! From burn's tensors to the buffers of kernels and back.

use std::any::Any;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, BackendTensor, Cube, DispatchTensorKind};
use burn::tensor::{Device, Tensor};
use rf_device::{Buffer, Client, Rule, Step, Table};

use crate::row_optimizer::{Factors, RowOptimizer};
use crate::{Error, RowTable};

/// Bindings of a kernel beside the shards of a table.
const OTHER_BINDINGS: usize = 12;

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

/// One step of a table, its `steps`-th.
pub(crate) fn step_of(optimizer: RowOptimizer, rate: f64, steps: u64) -> Step {
    let (rate, second) = match optimizer {
        RowOptimizer::LazyAdam => Factors::new(rate as f32, steps).parts(),
        _ => (rate as f32, 1.0),
    };
    Step { rule: rule_of(optimizer), rate, second }
}

fn rule_of(optimizer: RowOptimizer) -> Rule {
    match optimizer {
        RowOptimizer::Sgd => Rule::Sgd,
        RowOptimizer::Adagrad => Rule::Adagrad,
        RowOptimizer::RowWiseAdagrad => Rule::RowWiseAdagrad,
        RowOptimizer::LazyAdam => Rule::LazyAdam,
    }
}

/// Refuses a table that a device has no room for, or no bindings. Returns the rows that a shard can have.
pub(crate) fn check_table(client: &Client, what: &str, table: &RowTable, advice: &'static str) -> Result<usize, Error> {
    let (rows, width) = (table.rows(), table.width());
    let (shard, properties) = (Table::largest_shard(client, width), client.properties());
    let (shards, bindings) = (rows.div_ceil(shard.max(1)), properties.hardware.max_bindings as usize);
    if shard == 0 || shards + OTHER_BINDINGS > bindings {
        let what = format!("the {what} of {rows} rows of {width} numbers, in {shards} buffers,");
        let room = 4 * shard * width * bindings.saturating_sub(OTHER_BINDINGS);
        return Err(Error::TooLarge { what, need: (4 * rows * width) as u64, room: room as u64, advice });
    }
    match properties.memory.max_memory() {
        Some(room) if table.bytes() as u64 > room => {
            let what = format!("the {what} and its optimizer state");
            Err(Error::TooLarge { what, need: table.bytes() as u64, room, advice })
        }
        _ => Ok(shard),
    }
}
