//! Sampled softmax for [burn]: training a softmax over very many classes without touching most of them.
//!
//! The principal type is [`SampledSoftmaxLoss`], a *head*: class table, proposal and loss in one, made by
//! [`SampledSoftmaxLossConfig`]. It takes the place of the last linear layer and its cross-entropy, behind any encoder
//! that ends in queries `h` of shape `[B, d]`. Around it stand
//!
//! - [`Candidates`], the classes that each target is compared with: drawn by the head, or given from outside;
//! - [`Labels`], the true classes of queries that may have none, one or several, and their [`Reduction`];
//! - [`RowTable`], a table of which a step touches the named rows only, with its [`RowOptimizer`]; the class table is
//!   one, and the input embeddings of a model can be another;
//! - [`clip_global_norm`], one norm over dense gradients and touched rows;
//! - [`Evaluator`], the exact loss over all classes, in blocks of bounded memory;
//! - [`StateFile`], heads and tables in a safetensors file;
//! - [`host_op`], a node of burn's autodiff graph with a backward pass of its own.
//!
//! The proposals come from [`rf_sampling`]: RF-softmax (Rawat et al. 2019, arXiv 1907.10747) by default.
//!
//! # Nothing in a step costs O(n)
//!
//! This one decision shapes the crate. With millions of classes a dense gradient of the class table, or an optimizer
//! that visits every row, costs more than all the rest of a step. So the table is no burn `Param`, for which burn would
//! make dense gradients. A forward pass gathers the distinct rows that the batch needs, at most `B (m + 1)`, as a leaf
//! of the graph; [`SampledSoftmaxLoss::step`] updates these rows, their optimizer state and their paths in the
//! sampler's tree, and nothing else. (The full softmax, [`LossKind::Full`], is there as the baseline: it does visit
//! every row.)
//!
//! With [`Sharing::Batch`] all queries share `M` draws from one law of the batch: at most `B + M` distinct rows, and the
//! loss and its gradients are three dense matrix products. That is the way to be fast with many queries in a batch.
//!
//! It follows that a head is no burn `Module`. Keep it beside the encoder. burn's optimizers, records and `valid()` do
//! not see it: step it with [`SampledSoftmaxLoss::step`], save it with [`SampledSoftmaxLoss::save_file`], and evaluate
//! with [`SampledSoftmaxLoss::evaluator`].
//!
//! # A sampled loss is no perplexity
//!
//! The loss of a training step is over a target and a few drawn candidates, corrected for how they were drawn. With
//! [`Estimator::Published`] it estimates the full loss, and is on average too small, being the logarithm of an unbiased
//! estimate; with [`Estimator::BothCorrected`] it is no estimate of it. Use its gradient, and report the exact loss,
//! which [`Evaluator::nll`] gives.
//!
//! # Example
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::optim::{AdamConfig, GradientsParams};
//! use burn::tensor::{Device, Distribution, Tensor};
//! use rf_softmax::{LeafLaw, RffConfig, SampledSoftmaxLossConfig, SamplerConfig, clip_global_norm};
//!
//! let (n, d, device) = (2_000, 16, Device::flex().autodiff());
//! device.seed(1);
//! let mut encoder = LinearConfig::new(8, d).init(&device);
//! let mut optim = AdamConfig::new().init();
//! let sampler = RffConfig { features: 64, leaf_law: LeafLaw::Gauss, ..Default::default() };
//! let config = SampledSoftmaxLossConfig::new(n, d).with_sampler(SamplerConfig::Rff(sampler)).with_draws(20);
//! let mut head = config.init(&device)?;
//!
//! // 32 inputs, and the class of each.
//! let x = Tensor::<2>::random([32, 8], Distribution::Normal(0.0, 1.0), &device);
//! let targets: Vec<u32> = (0..32).map(|i| 61 * i).collect();
//! let before = head.exact_nll(encoder.forward(x.clone()), &targets)?;
//!
//! for _ in 0..30 {
//!     let h = encoder.forward(x.clone()); // [B, d], on the autodiff device
//!     let output = head.forward_ids(h, &targets)?; // loss in nats, and the touched rows
//!     let mut grads = output.loss.backward();
//!     let mut rows = head.gradient(&output, &mut grads); // distinct ids and their gradients
//!     let mut dense = GradientsParams::from_grads(grads, &encoder);
//!     clip_global_norm(&mut dense, &encoder, &mut [&mut rows], 5.0);
//!     encoder = optim.step(0.02, encoder, dense);
//!     head.step(0.02, &rows)?; // touched rows only, then their tree paths
//! }
//!
//! let after = head.exact_nll(encoder.forward(x), &targets)?;
//! let mean = |nll: &[f32]| nll.iter().sum::<f32>() / nll.len() as f32;
//! assert!(mean(&after) < mean(&before) - 3.0, "{} to {} nats", mean(&before), mean(&after));
//! # Ok::<(), rf_softmax::Error>(())
//! ```

mod bag;
mod candidates;
#[cfg(feature = "device")]
mod card_table;
mod clip;
mod config;
#[cfg(feature = "device")]
mod device;
mod error;
mod figures;
mod file;
mod head;
mod host_op;
mod input_rows;
mod labels;
mod loss;
mod normalize;
mod row_optimizer;
mod row_table;
mod state;
mod unique;

pub use bag::Bag;
pub use candidates::Candidates;
pub use clip::{ClipFactor, GradientNorm, SparseGradients, SquaredNorm, clip_global_norm};
pub use config::{Estimator, LossConfig, LossKind, SampledSoftmaxLossConfig, Sharing};
#[cfg(feature = "device")]
pub use device::{buffer_of, is_on_card, tensor_of};
pub use error::Error;
pub use figures::{Figures, StepFigures};
pub use file::StateFile;
pub use head::{Evaluator, HeadGradients, SampledSoftmaxLoss, SoftmaxOutput};
#[cfg(feature = "device")]
pub use host_op::card_op;
pub use host_op::{Pullback, host_op, to_vec};
pub use input_rows::{InputGradients, InputRows};
pub use labels::{Labels, OtherLabels, Reduction};
pub use loss::Ranked;
pub use normalize::normalize_rows;
pub use rf_sampling::{
    ClusterConfig, Dispersion, FeatureMapKind, Grouping, IGNORED, LeafLaw, MidxConfig, MidxVariant, Points,
    QuadraticConfig, Quantizer, RffConfig, SamplerConfig, UnigramConfig,
};
pub use row_optimizer::RowOptimizer;
pub use row_table::{RowGradients, RowInit, RowTable};
pub use state::{NamedTensor, StateData, StateSource};
pub use unique::Unique;

/// The book's page for burn users: its blocks are run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/src/burn.md")]
mod book {}
