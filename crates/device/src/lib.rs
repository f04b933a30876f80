//! Kernels of sampled softmax for graphics cards, in CubeCL: one source for Vulkan, Metal and CUDA.
//!
//! Tables, draws, loss, gradients, row steps, the sums of the sampler and the gates of an LSTM stay on the device. A step is a row of
//! launches; what comes back are the loss, the number of distinct rows and a norm. Every kernel is tested against plain Rust or the
//! samplers of the host. Products of matrices are left to whoever calls.
//!
//! One decision shapes the crate: **a sum has one unit and one order.** No kernel adds floats atomically, so a result is a function of
//! the input and the device, and a run can be repeated. Equal ids are brought together by a stable sort, and one unit adds what belongs
//! to one number. Units of a cube therefore share nothing: no barriers, no shared memory, no plane operations, which the
//! processors that run software Vulkan do not have.
//!
//! Buffers have a limit (2 GiB, 128 MiB on software Vulkan), so a table lies in shards of whole rows.

#![cfg(any(feature = "wgpu", feature = "cuda"))]
// What `#[cube]` makes of a function has no documentation of its own.
#![allow(missing_docs)]
// Kernels have no iterators; and `a && b` computes both sides, so a condition that guards the second, or that is known when the kernel is
// compiled, stands by itself.
#![allow(clippy::needless_range_loop, clippy::collapsible_if)]

mod buffer;
mod cluster;
mod draws;
mod exact;
mod lists;
mod loss;
mod lstm;
mod random;
mod rows;
mod scan;
mod segments;
mod shared;
mod sort;
mod table;
mod tree;

pub use buffer::Buffer;
pub use cluster::{Cluster, ClusterParts, Mixture};
pub use cubecl::client::Client;
pub use cubecl::server::Handle;
pub use draws::StaticLaw;
pub use exact::{AllRows, Best, Chunk, ChunkRows, Settled, Softmax};
pub use lists::WeightedLists;
pub use loss::{Candidates, Lists, Loss, LossInput};
pub use lstm::{LstmBack, LstmPass, LstmShape};
pub use random::Draws;
pub use rows::{Batch, Places, Rule, Step, Touched};
pub use shared::{SharedCandidates, SharedLoss, SharedRows};
pub use table::Table;
pub use tree::{LeafKind, MapKind, MapParts, Tree, TreeParts};

#[cfg(test)]
mod testing;
