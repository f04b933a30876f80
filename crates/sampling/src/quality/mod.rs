//! How far a proposal is from the softmax, and what that does to the gradient of a sampled loss.
//!
//! [`quality`] compares the two laws at one query, [`mean_quality`] at many; [`gradient_errors`] repeats the draws of the
//! sampled softmax and compares its gradient with the full one. All are for measurements on a model that stands still:
//! they cost O(n) a query and more.

mod divergence;
mod gradient;
mod probes;

pub use divergence::{MeanQuality, Quality, mean_quality, quality};
pub use gradient::{ErrorParts, GradientError, Trial, gradient_errors};
pub use probes::Probes;
