//! Proposal laws for sampled softmax.
//!
//! The principal type is [`KernelTree`], the RF-softmax sampler of Rawat et al. 2019: it draws classes in proportion to a
//! random-feature estimate of the softmax kernel, through a tree of feature sums. Beside it stand the laws it is
//! measured against. All obey two small traits: a [`Sampler`] fixed at a query is a [`Law`], and a law is an ordinary
//! `rand` distribution over class ids that also knows the probability of each.
//!
//! | sampler | draw of `m` for one query | refresh, a row | memory | bias of the loss |
//! |---|---|---|---|---|
//! | [`Uniform`] | O(m) | none | none | largest |
//! | [`LogUniform`] | O(m) | none | `8 n` bytes | near the unigram law's where counts follow Zipf's law |
//! | [`Unigram`] | O(m) on average | none | `28 n` bytes | smaller: knows frequencies, not the query |
//! | [`KernelTree`], quadratic kernel | O(d² + m (d² log L + d leaf)), paths shared | O(d² log L) | `8/3 L d²` bytes | far tails heavier than the softmax's; the absolute softmax suits it |
//! | [`KernelTree`], RF-softmax | O(dD + m (D log L + leaf)), paths shared | O(dD + D log L) | `32/3 L D` bytes; `features` `16/3 L D` and `4 n D` | falls with D |
//! | [`ClusterSampler`] | O(L d + visited leaves · leaf · d) | O(d) | `16 L d + 12 n` bytes | falls with L and with how alike the classes of a leaf are |
//! | [`Midx`], K codewords | O(dK + P + m), P <= K² buckets | O(d), and O(ndK) now and then | `8 d K + 12 n + 16 P` bytes | falls with K |
//! | [`ExactSoftmax`] | O(nd + m) | none | none | none |
//!
//! Queries draw for themselves ([`draw_batch`]), or a batch draws once for all of them ([`draw_shared`]) from a law of
//! its own, which has an exact probability too: the mean of the softmaxes, or for [`KernelTree`] a descent with the mean of
//! `phi(h_b) / Z_b`, for [`ClusterSampler`] leaves by their mean mass and inside them the mean query of those who come.
//!
//! One decision shapes the crate: the class table is not the sampler's. Rows are handed in as [`Classes`] at every draw
//! and refresh, so tables of 10⁷ rows exist once, and a sampler keeps only what it derives from them.
//!
//! Letters, here and in all crates: `n` classes, `d` embedding width, `D` frequencies (`F = 2D` features), `B` queries,
//! `m` draws a query, `h` query, `c_i` class embedding, `tau` inverse temperature, `nu` kernel sharpness, `o_i` logit,
//! `p` softmax, `q` proposal, `L` leaves. Logarithms are natural.
//!
//! ```
//! use rand::distr::Distribution;
//! use rf_sampling::{Classes, Law, Purpose, RffConfig, Sampler, stream};
//!
//! // Three classes of two components, normalised, and a query at inverse temperature 5.
//! let rows = [1.0, 0.0, 0.8, 0.6, -1.0, 0.0];
//! let classes = Classes::new(&rows, 2).normalized();
//! let sampler = RffConfig { features: 256, ..Default::default() }.build(classes, &[], 7)?;
//!
//! let law = sampler.at(&[5.0, 0.0], classes)?;
//! let class = law.sample(&mut stream(7, Purpose::Draws, 0, 0));
//! assert!(law.ln_prob(class) < 0.0);
//! assert!(law.ln_prob(0) > law.ln_prob(2));
//! # Ok::<(), rf_sampling::Error>(())
//! ```

mod any;
mod classes;
mod cluster;
mod descent;
mod draw;
mod error;
mod exp;
mod feature_map;
mod grouping;
mod half;
mod law;
mod linalg;
mod log_uniform;
mod memory;
mod midx;
mod quality;
mod rows;
mod stream;
mod tree;
mod uniform;
mod unigram;
mod vector;
mod work;

pub use any::{AnyLaw, AnySampler, SamplerConfig};
pub use classes::{Classes, MIN_NORM};
pub use cluster::{ClusterConfig, ClusterLaw, ClusterSampler, Dispersion};
pub use draw::{BatchRequest, Block, Draw, Points, Task, draw_batch, draw_shared, ln_prob_batch};
pub use error::Error;
pub use exp::{ExactSoftmax, SoftmaxLaw};
pub use feature_map::{FeatureMap, FeatureMapKind, FourierMap, MapForm, PositiveMap, ProjectionKind, QuadraticMap};
pub use grouping::{Grouping, LeafPlan, Leaves};
pub use law::{ClassId, IGNORED, Law, Sampler};
pub use linalg::{Matrix, Threads, dot, matmul, row_dots};
pub use log_uniform::{LogUniform, LogUniformLaw};
pub use memory::Buffer;
pub use midx::{Midx, MidxConfig, MidxLaw, MidxVariant, Quantizer};
pub use quality::{
    ErrorParts, GradientError, MeanQuality, Probes, Quality, Trial, gradient_errors, mean_quality, quality,
};
pub use rows::{Piece, split_rows};
pub use stream::{Purpose, stream};
pub use tree::{KernelLaw, KernelTree, LeafLaw, QuadraticConfig, RffConfig};
pub use uniform::{Uniform, UniformLaw};
pub use unigram::{Unigram, UnigramConfig, UnigramLaw};
pub use vector::{add_scaled, cos_sin, exp_in_place};
pub use work::Work;
