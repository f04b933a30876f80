//! The MIDX sampler: the softmax of quantised scores, through an inverted multi-index.
//!
//! MIDX (arXiv 2501.08563, after FastVAE, arXiv 2109.05773) writes an embedding as two codewords and a residual, `c_i =
//! ĉ_i + r_i` with `ĉ_i = word(0, a_i) + word(1, b_i)`, and the softmax as `P(a) P(b | a) P(i | a, b)`. The last factor,
//! `∝ exp(h·r_i)`, would need every class; the fast variant shares a bucket `(a, b)` out by the weights of its classes:
//!
//! ```text
//! q_i = w_i exp(h·word(0, a_i)) exp(h·word(1, b_i)) / Z,    w_i = prior_i exp(b_i)
//! ```
//!
//! A query costs O(K d) for the scores of the codewords and O(buckets) for `Z`, at most `min(n, K²)`; no class row is read.
//!
//! # Where we differ
//!
//! - The authors leave `q` without its norm, correct the target too, and keep accidental hits. Here `ln q` has its norm,
//!   a target's is that of the same law, and excluded classes are excluded exactly.
//! - A newer copy of their code runs k-means at every step. Here codes and words stand still between two quantisations,
//!   `refresh_every` steps apart: a moved row keeps its code, which costs draws that fit a little less and nothing else,
//!   since `q` is what the codes say and `ln q` is exact for any codes.
//! - Words come from k-means alone. Words learned by `KL(p‖q)` need the scores of all classes at every step.
//! - A class weighs `prior_i exp(b_i)` in its bucket, so biases are in the law without quantisation. The popularity variant
//!   of FastVAE is the `prior`.

mod codebooks;
mod config;
mod index;
mod k_means;
mod kept;
mod law;
mod refresh;
mod shared;
mod state;

pub use config::{MidxConfig, MidxVariant, Quantizer};
pub use law::MidxLaw;

use std::borrow::Cow;

use crate::{ClassId, Classes, Error, Sampler};
use codebooks::Codebooks;
use index::Index;

/// The MIDX sampler. [`MidxConfig::build`] makes it.
///
/// With `K` codewords a codebook and `P <= min(n, K²)` buckets that hold classes: `m` draws cost O(K d + P + m) (and,
/// where weights differ, the classes of the buckets that are drawn from); a refresh O(d) a touched row, and every
/// `refresh_every` steps a quantisation of the table, O(n K d); memory `8 K d + 12 n + 16 P` bytes, `8 n` more with
/// biases and a prior.
#[derive(Clone, Debug)]
pub struct Midx {
    variant: MidxVariant,
    refresh_every: u64,
    iterations: usize,
    seed: u64,
    /// Prior weight of each class; empty when all are one.
    prior: Vec<f32>,
    books: Codebooks,
    index: Index,
    /// Refreshes since it was built.
    steps: u64,
}

impl Midx {
    /// Number of classes.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no classes. A built sampler has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Mean squared distance of the rows from what their codes say, `1/n sum |c_i - ĉ_i|²`. O(nd).
    pub fn quantization_error(&self, classes: Classes<'_>) -> f64 {
        self.books.error(classes, |class| self.index.codes()[self.index.bucket_of(class as ClassId)])
    }

    /// Number of pairs of codes that hold classes.
    pub fn buckets(&self) -> usize {
        self.index.bucket_count()
    }
}

impl Sampler for Midx {
    type Law<'a> = MidxLaw<'a>;

    fn features(&self, queries: &[f32], _: Classes<'_>) -> Vec<f32> {
        self.books.scores(queries)
    }

    fn law<'a>(&'a self, query: &'a [f32], scores: Cow<'a, [f32]>, classes: Classes<'a>) -> Result<MidxLaw<'a>, Error> {
        match self.variant {
            MidxVariant::Fast => MidxLaw::fast(&self.index, &scores),
            MidxVariant::Exact => MidxLaw::exact(&self.index, &scores, query, classes),
        }
    }

    fn shared_law<'a>(&'a self, queries: &[f32], classes: Classes<'a>) -> Result<MidxLaw<'a>, Error> {
        self.shared(queries, classes)
    }

    fn refresh(&mut self, changed: &[ClassId], _: &[f32], classes: Classes<'_>) -> Result<(), Error> {
        self.refresh_rows(changed, classes)
    }

    fn bytes(&self) -> usize {
        self.books.bytes() + self.index.bytes() + size_of_val(self.prior.as_slice())
    }
}
