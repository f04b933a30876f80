//! The classes that a sampled softmax compares each target with.

use rf_sampling::{ClassId, Draw};

/// Candidates of a batch of `B` queries: for each query a list of classes and the logarithm of how often each was
/// expected to be drawn.
///
/// Made by a sampler, or given from outside to reproduce what another library computes.
///
/// ```
/// use rf_softmax::Candidates;
/// // Two queries that share three draws from a uniform law over ten classes.
/// let ln_expected = (3.0f32 / 10.0).ln();
/// let candidates = Candidates::shared(2, &[4, 7, 1], &[ln_expected; 3]);
/// assert_eq!(candidates.len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Candidates {
    pub(crate) offsets: Vec<usize>,
    pub(crate) ids: Vec<ClassId>,
    /// `ln(m q_i) - ln(count_i)`: a class drawn `count` times enters once, with `count` times the weight.
    pub(crate) ln_expected: Vec<f32>,
    /// `ln` expected count of each target; empty if targets are not corrected.
    pub(crate) target_ln_expected: Vec<f32>,
}

impl Candidates {
    /// As many candidates for every query, each its own.
    ///
    /// # Shapes
    /// - ids, ln_expected: `[B, m]`
    ///
    /// # Panics
    /// If the two differ in length or are no multiple of `batch`.
    pub fn per_query(batch: usize, ids: &[ClassId], ln_expected: &[f32]) -> Self {
        assert_eq!(ids.len(), ln_expected.len(), "as many expected counts as ids");
        assert!(batch > 0 && ids.len().is_multiple_of(batch), "{} ids for {batch} queries", ids.len());
        let m = ids.len() / batch;
        Self {
            offsets: (0..=batch).map(|query| query * m).collect(),
            ids: ids.to_vec(),
            ln_expected: ln_expected.to_vec(),
            target_ln_expected: Vec::new(),
        }
    }

    /// The same candidates for all queries, as TensorFlow draws them.
    ///
    /// # Shapes
    /// - ids, ln_expected: `[M]`
    ///
    /// # Panics
    /// If the two differ in length or `batch` is zero.
    pub fn shared(batch: usize, ids: &[ClassId], ln_expected: &[f32]) -> Self {
        Self::per_query(batch, &ids.repeat(batch), &ln_expected.repeat(batch))
    }

    /// The outcome of `m` draws for each query, as [`rf_sampling::draw_batch`] gives it.
    pub fn from_draws(draws: &[Vec<Draw>], m: usize) -> Self {
        let mut offsets = vec![0];
        offsets.extend(draws.iter().scan(0, |end, draws| {
            *end += draws.len();
            Some(*end)
        }));
        let flat = || draws.iter().flatten();
        let ln_m = (m as f32).ln();
        Self {
            offsets,
            ids: flat().map(|draw| draw.class).collect(),
            ln_expected: flat().map(|draw| ln_m + draw.ln_prob - (draw.count as f32).ln()).collect(),
            target_ln_expected: Vec::new(),
        }
    }

    /// Corrects the targets too (the estimator `both-corrected`).
    ///
    /// # Shapes
    /// - ln_expected: `[B]`
    ///
    /// # Panics
    /// If there is not one number for each query.
    pub fn with_target_correction(mut self, ln_expected: &[f32]) -> Self {
        assert_eq!(ln_expected.len(), self.len(), "one expected count for each query");
        self.target_ln_expected = ln_expected.to_vec();
        self
    }

    /// Leaves out candidates that equal the query's target ("accidental hits").
    ///
    /// All copies go; TensorFlow's `compute_accidental_hits` finds one copy of each class.
    ///
    /// # Shapes
    /// - targets: `[B]`
    ///
    /// # Panics
    /// If there is not one target for each query.
    pub fn without_hits(self, targets: &[ClassId]) -> Self {
        assert_eq!(targets.len(), self.len(), "one target for each query");
        let mut kept = Self { offsets: vec![0], ids: Vec::new(), ln_expected: Vec::new(), ..self };
        for (query, &target) in targets.iter().enumerate() {
            for at in self.offsets[query]..self.offsets[query + 1] {
                if self.ids[at] != target {
                    kept.ids.push(self.ids[at]);
                    kept.ln_expected.push(self.ln_expected[at]);
                }
            }
            kept.offsets.push(kept.ids.len());
        }
        kept
    }

    /// Number of queries `B`.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no queries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The candidates of a query and their `ln` expected counts, less the `ln` of how often each was drawn.
    pub fn of(&self, query: usize) -> impl Iterator<Item = (ClassId, f32)> + '_ {
        let range = self.offsets[query]..self.offsets[query + 1];
        self.ids[range.clone()].iter().copied().zip(self.ln_expected[range].iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IGNORED;

    #[test]
    fn every_copy_of_a_hit_is_left_out() {
        let candidates = Candidates::shared(2, &[5, 3, 5, 8], &[0.1, 0.2, 0.3, 0.4]).without_hits(&[5, IGNORED]);
        assert_eq!(candidates.of(0).collect::<Vec<_>>(), [(3, 0.2), (8, 0.4)]);
        assert_eq!(candidates.of(1).count(), 4);
    }

    #[test]
    fn repeated_draws_enter_once_with_their_count() {
        let draws = vec![vec![Draw { class: 4, count: 3, ln_prob: -1.0 }], vec![]];
        let candidates = Candidates::from_draws(&draws, 5);
        let [(class, ln_expected)] = candidates.of(0).collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(class, 4);
        assert!((ln_expected - (5.0f32.ln() - 1.0 - 3.0f32.ln())).abs() < 1e-6);
        assert_eq!(candidates.of(1).count(), 0);
    }
}
