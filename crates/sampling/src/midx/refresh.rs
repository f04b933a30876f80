//! Following the rows: weights after every step, codes and words on a schedule.

use rayon::prelude::*;

use super::codebooks::Place;
use super::index::Index;
use super::{Midx, MidxVariant};
use crate::tree::LARGEST_BIAS;
use crate::{ClassId, Classes, Error};

/// Refreshes until the first quantisation that comes before its turn.
const FIRST: u64 = 16;

/// Rows that one parallel task looks at.
const ROWS_A_TASK: usize = 1024;

impl Midx {
    /// Takes up the weights of touched rows, O(d) each; when it is [due](Self::is_due) quantises all rows anew, from the present words.
    pub(super) fn refresh_rows(&mut self, ids: &[ClassId], classes: Classes<'_>) -> Result<(), Error> {
        assert_eq!(classes.len(), self.len(), "the table has another number of classes than the sampler");
        let due = self.is_due(self.steps + 1);
        if due {
            check_all(classes)?;
        } else {
            ids.iter().try_for_each(|&id| classes.check(id as usize, id))?;
        }
        self.steps += 1;
        if due {
            self.quantize(classes);
        } else if has_bias_weights(self.variant, classes) {
            let weights: Vec<f32> = ids.iter().map(|&id| weight(&self.prior, classes, id as usize)).collect();
            self.index.set_weights(ids, &weights);
        }
        Ok(())
    }

    /// Whether rows are quantised after so many refreshes: after every `refresh_every`, and before the first of these at 16, 32, 64, …,
    /// for codes of random rows tell nothing and rows move most at the start.
    fn is_due(&self, refreshes: u64) -> bool {
        let is_early = FIRST <= refreshes && refreshes < self.refresh_every && refreshes.is_power_of_two();
        is_early || self.refresh_every > 0 && refreshes.is_multiple_of(self.refresh_every)
    }

    fn quantize(&mut self, classes: Classes<'_>) {
        let place = Place { seed: self.seed, step: self.steps };
        self.books = self.books.refit(classes, self.iterations, place);
        let weights = all_weights(self.variant, &self.prior, classes);
        self.index = Index::new(&self.books.assign(classes), self.books.codewords(), &weights);
    }
}

/// Refuses a table with a row that is not finite: the first one.
pub(super) fn check_all(classes: Classes<'_>) -> Result<(), Error> {
    let check = |class: usize| classes.check(class, class as ClassId).err();
    (0..classes.len()).into_par_iter().with_min_len(ROWS_A_TASK).find_map_first(check).map_or(Ok(()), Err)
}

/// Weights of all classes; empty when all are one.
pub(super) fn all_weights(variant: MidxVariant, prior: &[f32], classes: Classes<'_>) -> Vec<f32> {
    if has_bias_weights(variant, classes) {
        (0..classes.len()).map(|class| weight(prior, classes, class)).collect()
    } else {
        prior.to_vec()
    }
}

/// Whether biases are in the weights: the exact variant has them in its logits.
fn has_bias_weights(variant: MidxVariant, classes: Classes<'_>) -> bool {
    variant == MidxVariant::Fast && classes.width() > classes.dim()
}

fn weight(prior: &[f32], classes: Classes<'_>, class: usize) -> f32 {
    let prior = prior.get(class).copied().unwrap_or(1.0);
    prior * classes.bias(class).clamp(-LARGEST_BIAS, LARGEST_BIAS).exp()
}
