//! Operations with their own backward pass, as nodes of burn's autodiff graph.
//!
//! burn's extension mechanism carries one node type for all of them: up to four parents, an output tensor, and a
//! [`Pullback`] that turns the gradient of the output into gradients of the parents. The operation itself is plain Rust
//! on slices, or, on a graphics card, kernels on tensors, whose gradients stay there.

// burn deprecates ndarray in favour of flex; the feature stays for those who compare with it.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "device")]
use burn::backend::Cube;
#[cfg(feature = "ndarray")]
use burn::backend::NdArray;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor, TensorData};

#[cfg(feature = "device")]
use crate::device;

type PullbackFn = dyn Fn(&[f32]) -> Vec<Vec<f32>> + Send + Sync;

#[cfg(feature = "device")]
type CardPullbackFn = dyn Fn(Tensor<2>) -> Vec<Tensor<2>> + Send + Sync;

/// Gradients of the parents from the gradient of the output, one for each parent.
#[derive(Clone)]
pub struct Pullback(Kind);

#[derive(Clone)]
enum Kind {
    Host(Arc<PullbackFn>),
    #[cfg(feature = "device")]
    Card(Arc<CardPullbackFn>, burn::tensor::Device),
}

impl Pullback {
    /// Wraps a function from the output's gradient to the gradients of its parents, all row-major.
    pub fn new(function: impl Fn(&[f32]) -> Vec<Vec<f32>> + Send + Sync + 'static) -> Self {
        Self(Kind::Host(Arc::new(function)))
    }

    /// The gradients of the parents, in their shapes.
    fn pull<B: Backend>(&self, upstream: FloatTensor<B>, shapes: [Shape; 4]) -> Vec<FloatTensor<B>> {
        match &self.0 {
            Kind::Host(function) => {
                let device = upstream.device();
                let data = burn::backend::read_sync(B::float_into_data(upstream)).expect("a gradient can be read back");
                let parents = function(data.as_slice().expect("gradients are f32")).into_iter().zip(shapes);
                parents.map(|(grad, shape)| B::float_from_data(TensorData::new(grad, shape), &device)).collect()
            }
            #[cfg(feature = "device")]
            Kind::Card(function, device) => {
                let parents = function(device::from_primitive::<B, 2>(upstream, device)).into_iter().zip(shapes);
                parents
                    .map(|(grad, shape)| {
                        assert_eq!(grad.shape(), shape, "a gradient in the shape of its parent");
                        device::into_primitive::<B, 2>(grad)
                    })
                    .collect()
            }
        }
    }
}

impl fmt::Debug for Pullback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pullback")
    }
}

/// The one extension operation: `value`, as a function of four parents.
#[allow(unused_variables)]
#[backend_extension(
    Flex,
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "device"),
    Autodiff
)]
pub trait HostOps: Backend {
    /// Returns `value`; under autodiff, connects it with its parents.
    fn host_op(
        value: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        pullback: Pullback,
    ) -> FloatTensor<Self> {
        value
    }
}

impl HostOps for Flex {}

#[cfg(feature = "ndarray")]
impl HostOps for NdArray {}

#[cfg(feature = "device")]
impl HostOps for Cube {}

impl<B: Backend, C: CheckpointStrategy> HostOps for Autodiff<B, C> {
    fn host_op(
        value: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        pullback: Pullback,
    ) -> FloatTensor<Self> {
        let shapes = [&a, &b, &c, &d].map(|parent| parent.primitive().shape());
        match HostBackward.prepare::<C>([a.node(), b.node(), c.node(), d.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((pullback, shapes), value.into_primitive()),
            OpsKind::UnTracked(prep) => prep.finish(value.into_primitive()),
        }
    }
}

#[derive(Debug)]
struct HostBackward;

impl<B: Backend> Backward<B, 4> for HostBackward {
    type State = (Pullback, [Shape; 4]);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let upstream = grads.consume::<B>(&ops.node);
        let (pullback, shapes) = ops.state;
        for (node, gradient) in ops.parents.into_iter().zip(pullback.pull::<B>(upstream, shapes)) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// A tensor of the given value and shape whose gradient flows to `parents` through `pullback`.
///
/// # Panics
/// If there are no parents or more than four, or if `value` does not fill `shape`.
pub fn host_op<const D: usize>(
    value: Vec<f32>,
    shape: [usize; D],
    parents: &[Tensor<2>],
    pullback: Pullback,
) -> Tensor<D> {
    let device = parents[0].device();
    connect(Tensor::from_data(TensorData::new(value, shape), &device), parents, pullback)
}

/// A tensor on a graphics card whose gradient flows to `parents` through `pullback`, from tensor to tensors outside autodiff; nothing of
/// it comes to the host.
///
/// # Shapes
/// - value: any two; outside autodiff
/// - pullback: from the shape of `value` to those of the parents
///
/// # Panics
/// If there are no parents or more than four.
#[cfg(feature = "device")]
pub fn card_op(
    value: Tensor<2>,
    parents: &[Tensor<2>],
    pullback: impl Fn(Tensor<2>) -> Vec<Tensor<2>> + Send + Sync + 'static,
) -> Tensor<2> {
    let device = parents[0].device();
    if !device.is_autodiff() {
        return value;
    }
    let pullback = Pullback(Kind::Card(Arc::new(pullback), value.device()));
    connect(Tensor::from_inner(value), parents, pullback)
}

fn connect<const D: usize>(value: Tensor<D>, parents: &[Tensor<2>], pullback: Pullback) -> Tensor<D> {
    assert!((1..=4).contains(&parents.len()), "an operation has one to four parents");
    let constant = Tensor::<2>::zeros([1, 1], &value.device());
    let parent = |i: usize| parents.get(i).unwrap_or(&constant).clone().into_dispatch();
    let output =
        <Dispatch as HostOps>::host_op(value.into_dispatch(), parent(0), parent(1), parent(2), parent(3), pullback);
    Tensor::from_dispatch(output)
}

/// The numbers of a tensor, row-major.
///
/// # Panics
/// If the tensor does not hold `f32`.
pub fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("tensors of this crate hold f32")
}
