//! What a checkpoint keeps of the sampler, so that a resumed run is equal to the last bit.

use super::Midx;
use super::index::Index;
use super::refresh::{all_weights, check_all};
use crate::{ClassId, Classes, Error};

impl Midx {
    /// The codewords of the first codebook and then of the second: `[2, K, d]`, or `[K, d / 2]` and `[K, d - d / 2]` for
    /// halves.
    pub fn codewords(&self) -> Vec<f32> {
        self.books.words()
    }

    /// Codes of all classes, `a K + b`, `[n]`: those of the last quantisation, which the rows have left since.
    pub fn codes(&self) -> Vec<u32> {
        let k = self.books.codewords() as u32;
        let code = |class| {
            let [a, b] = self.index.codes()[self.index.bucket_of(class)].map(u32::from);
            a * k + b
        };
        (0..self.len() as ClassId).map(code).collect()
    }

    /// Refreshes since it was built: with `refresh_every` it says when the next quantisation is due.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes up saved words and codes over the table they belong to.
    ///
    /// # Errors
    /// [`Error::WrongState`] if they are of another number, or a code is none of `K²`; [`Error::NotFinite`] if a row is
    /// not finite. The sampler then keeps its old state.
    pub fn restore(&mut self, classes: Classes<'_>, codewords: &[f32], codes: &[u32], steps: u64) -> Result<(), Error> {
        assert_eq!(classes.len(), self.len(), "the table has another number of classes than the sampler");
        let (k, wanted) = (self.books.codewords(), self.books.words().len() + self.len());
        let known = codes.iter().all(|&code| (code as usize) < k * k);
        if codes.len() != self.len() || codewords.len() + codes.len() != wanted || !known {
            return Err(Error::WrongState { wanted, found: codewords.len() + codes.len() });
        }
        check_all(classes)?;
        self.books = self.books.with_words(codewords);
        self.index = Index::new(codes, k, &all_weights(self.variant, &self.prior, classes));
        self.steps = steps;
        Ok(())
    }
}
