//! Settings of the MIDX sampler and its construction.

use serde::{Deserialize, Serialize};

use super::codebooks::{Codebooks, Place};
use super::index::Index;
use super::{Midx, refresh};
use crate::tree::prior_weights;
use crate::{ClassId, Classes, Error};

/// How two codewords make a class embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantizer {
    /// Product quantisation: one codebook for each half of the columns.
    Pq,
    /// Residual quantisation: the second codebook is fitted to what the first leaves of the rows.
    #[default]
    Rq,
}

/// What a bucket shares its probability by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MidxVariant {
    /// The weights of its classes: `q_i ∝ w_i exp(h·ĉ_i)`.
    #[default]
    Fast,
    /// The scores of the residuals too, O(nd) a query: the softmax itself, by the decomposition of the paper. A check.
    Exact,
}

/// Settings of [`Midx`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MidxConfig {
    /// How two codewords make an embedding.
    pub quantizer: Quantizer,
    /// Law inside a bucket.
    pub variant: MidxVariant,
    /// Codewords `K` of each of the two codebooks.
    pub codewords: usize,
    /// Steps from one quantisation to the next, and before the first of these one at 16, 32, 64, …; 0 quantises once, at the start.
    pub refresh_every: u64,
    /// Largest number of Lloyd's iterations for a codebook.
    pub iterations: usize,
    /// Exponent `a` of the prior weight `((count_i + 1) / max)^a`; 0 is the published sampler.
    pub prior: f32,
    /// Largest memory of the sampler, in GiB (2³⁰ bytes).
    pub memory_gib: f64,
}

/// A quantisation from the present words, K = 128, rq, of rows of d = 64 takes about 2 seconds of one core for 500,000
/// classes and 0.25 for 10,000 (`examples/midx_quality.rs`), which once in 500 steps is 4 ms and 0.5 ms of one core a step.
const REFRESH_EVERY: u64 = 500;

impl Default for MidxConfig {
    fn default() -> Self {
        Self {
            quantizer: Quantizer::Rq,
            variant: MidxVariant::Fast,
            codewords: 128,
            refresh_every: REFRESH_EVERY,
            iterations: 20,
            prior: 0.0,
            memory_gib: 12.0,
        }
    }
}

/// Pairs of codes are numbered with 32 bits.
const MOST_CODEWORDS: usize = u16::MAX as usize;

impl MidxConfig {
    /// Quantises `classes` and builds the index; their training counts (empty if unknown) give the prior. Costs a pass
    /// over the table, O(n K d), and k-means over at most `256 K` of its rows.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a setting out of range, [`Error::TooLarge`] for an index above `memory_gib`,
    /// [`Error::NotFinite`] for a row that is not finite.
    pub fn build(&self, classes: Classes<'_>, counts: &[u64], seed: u64) -> Result<Midx, Error> {
        self.check(classes, counts)?;
        self.check_memory(classes)?;
        refresh::check_all(classes)?;
        let prior = prior_weights(self.prior, counts);
        let place = Place { seed, step: 0 };
        let books = Codebooks::fit(self.quantizer, self.codewords, classes, self.iterations, place);
        let weights = refresh::all_weights(self.variant, &prior, classes);
        let index = Index::new(&books.assign(classes), self.codewords, &weights);
        let (variant, refresh_every, iterations) = (self.variant, self.refresh_every, self.iterations);
        Ok(Midx { variant, refresh_every, iterations, seed, prior, books, index, steps: 0 })
    }

    fn check(&self, classes: Classes<'_>, counts: &[u64]) -> Result<(), Error> {
        let (n, bad) = (classes.len(), |field, value, why| Err(Error::BadSetting { field, value, why }));
        if n == 0 || n >= ClassId::MAX as usize {
            return bad("classes", n.to_string(), "there must be at least 1 and fewer than 2^32 - 1");
        }
        if !(1..=MOST_CODEWORDS).contains(&self.codewords) {
            return bad("codewords", self.codewords.to_string(), "there must be at least 1 and fewer than 2^16");
        }
        if self.iterations == 0 {
            return bad("iterations", "0".into(), "it must be at least 1");
        }
        if self.quantizer == Quantizer::Pq && classes.dim() < 2 {
            return bad("quantizer", "pq".into(), "an embedding of one column has no halves");
        }
        if !self.prior.is_finite() {
            return bad("prior", self.prior.to_string(), "it must be finite");
        }
        if self.prior != 0.0 && counts.len() != n {
            return bad("prior", self.prior.to_string(), "a prior needs the training count of every class");
        }
        Ok(())
    }

    fn check_memory(&self, classes: Classes<'_>) -> Result<(), Error> {
        let (n, k, d) = (classes.len() as u64, self.codewords as u64, classes.dim() as u64);
        let limit = (self.memory_gib * (1u64 << 30) as f64) as u64;
        let needed = 8 * k * d + 20 * n + 16 * n.min(k * k);
        let what = "the inverted multi-index with its codebooks";
        if needed <= limit { Ok(()) } else { Err(Error::TooLarge { what, needed, limit }) }
    }
}
