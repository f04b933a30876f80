//! x
#![allow(missing_docs)]
mod candidates;
mod clip;
mod config;
mod error;
mod head;
mod host_op;
mod loss;
mod normalize;
mod row_optimizer;
mod row_table;
mod state;
mod unique;

pub use candidates::{Candidates, IGNORED};
pub use clip::{SparseGradients, clip_global_norm};
pub use config::{Estimator, LossConfig, LossKind, SampledSoftmaxLossConfig};
pub use error::Error;
pub use head::{HeadGradients, SampledSoftmaxLoss, SoftmaxOutput};
pub use host_op::{Pullback, host_op, to_vec};
pub use normalize::normalize_rows;
pub use rf_sampling::{LeafLaw, Points, RffConfig, SamplerConfig};
pub use row_optimizer::RowOptimizer;
pub use row_table::{RowGradients, RowInit, RowTable};
pub use state::{NamedTensor, StateData, StateSource};
pub use unique::Unique;
