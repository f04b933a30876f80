//! The classes that a sampled softmax compares each target with.

use std::ops::Range;

use rf_sampling::{ClassId, Draw};

use crate::Labels;

/// Candidates of a batch of `B` queries: for each query a list of classes and the logarithm of how often each was
/// expected to be drawn. Either every query has a list of its own, or all share one.
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
    pub(crate) lists: Lists,
    /// `ln` expected count of each true class; empty if these are not corrected.
    pub(crate) target_ln_expected: Vec<f32>,
}

/// Whose the candidates are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Lists {
    PerQuery(QueryLists),
    Shared(SharedList),
}

/// A list for each query, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueryLists {
    /// `[B + 1]`.
    pub offsets: Vec<usize>,
    pub ids: Vec<ClassId>,
    /// `ln(m q_i) - ln(count_i)`: a class drawn `count` times enters once, with `count` times the weight.
    pub ln_expected: Vec<f32>,
}

/// One list for all queries: O(B + M) numbers, not O(B M).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SharedList {
    pub batch: usize,
    pub ids: Vec<ClassId>,
    /// As in [`QueryLists`].
    pub ln_expected: Vec<f32>,
    /// The classes that each query leaves out, if any.
    pub left_out: Option<Labels>,
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
        let offsets = (0..=batch).map(|query| query * m).collect();
        Self::new(Lists::PerQuery(QueryLists { offsets, ids: ids.to_vec(), ln_expected: ln_expected.to_vec() }))
    }

    /// The same candidates for all queries, as TensorFlow draws them.
    ///
    /// # Shapes
    /// - ids, ln_expected: `[M]`
    ///
    /// # Panics
    /// If the two differ in length or `batch` is zero.
    pub fn shared(batch: usize, ids: &[ClassId], ln_expected: &[f32]) -> Self {
        assert_eq!(ids.len(), ln_expected.len(), "as many expected counts as ids");
        assert!(batch > 0, "no queries");
        let (ids, ln_expected) = (ids.to_vec(), ln_expected.to_vec());
        Self::new(Lists::Shared(SharedList { batch, ids, ln_expected, left_out: None }))
    }

    fn new(lists: Lists) -> Self {
        Self { lists, target_ln_expected: Vec::new() }
    }

    /// The outcome of `m` draws for each query, as [`rf_sampling::draw_batch`] gives it.
    pub fn from_draws(draws: &[Vec<Draw>], m: usize) -> Self {
        let mut offsets = vec![0];
        offsets.extend(draws.iter().scan(0, |end, draws| {
            *end += draws.len();
            Some(*end)
        }));
        let flat = || draws.iter().flatten();
        let ids = flat().map(|draw| draw.class).collect();
        let ln_expected = flat().map(|draw| ln_expected(draw, m)).collect();
        Self::new(Lists::PerQuery(QueryLists { offsets, ids, ln_expected }))
    }

    /// The outcome of `m` draws for all `batch` queries together, as [`rf_sampling::draw_shared`] gives it.
    pub fn from_shared_draws(batch: usize, draws: &[Draw], m: usize) -> Self {
        let ids: Vec<ClassId> = draws.iter().map(|draw| draw.class).collect();
        let ln_expected: Vec<f32> = draws.iter().map(|draw| ln_expected(draw, m)).collect();
        Self::new(Lists::Shared(SharedList { batch, ids, ln_expected, left_out: None }))
    }

    /// Corrects the true classes too (the estimator `both-corrected`).
    ///
    /// # Shapes
    /// - ln_expected: one number for each true class of the batch that the loss has a term for, one query after the
    ///   other: with one target each `[B]`, ignored ones left out
    pub fn with_target_correction(mut self, ln_expected: &[f32]) -> Self {
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
        self.without_labels(&Labels::one_each(targets))
    }

    /// Leaves out candidates that are no negatives of the query: its true classes, and those it leaves out.
    ///
    /// # Panics
    /// If there are not as many queries.
    pub fn without_labels(mut self, labels: &Labels) -> Self {
        assert_eq!(labels.len(), self.len(), "true classes for each query");
        match &mut self.lists {
            Lists::PerQuery(lists) => *lists = lists.without(labels),
            Lists::Shared(list) => list.left_out = Some(labels.clone()),
        }
        self
    }

    /// Number of queries `B`.
    pub fn len(&self) -> usize {
        match &self.lists {
            Lists::PerQuery(lists) => lists.len(),
            Lists::Shared(list) => list.batch,
        }
    }

    /// Whether there are no queries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The candidates of a query and their `ln` expected counts, less the `ln` of how often each was drawn.
    pub fn of(&self, query: usize) -> impl Iterator<Item = (ClassId, f32)> + '_ {
        let (ids, ln_expected, left_out) = match &self.lists {
            Lists::PerQuery(lists) => {
                let range = lists.range(query);
                (&lists.ids[range.clone()], &lists.ln_expected[range], &[][..])
            }
            Lists::Shared(list) => (&list.ids[..], &list.ln_expected[..], list.left_out(query)),
        };
        ids.iter().copied().zip(ln_expected.iter().copied()).filter(move |(id, _)| !left_out.contains(id))
    }
}

impl QueryLists {
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn range(&self, query: usize) -> Range<usize> {
        self.offsets[query]..self.offsets[query + 1]
    }

    fn without(&self, labels: &Labels) -> Self {
        let mut kept = Self { offsets: vec![0], ids: Vec::new(), ln_expected: Vec::new() };
        for query in 0..labels.len() {
            let left_out = labels.excluded(query);
            for at in self.range(query).filter(|&at| left_out.binary_search(&self.ids[at]).is_err()) {
                kept.ids.push(self.ids[at]);
                kept.ln_expected.push(self.ln_expected[at]);
            }
            kept.offsets.push(kept.ids.len());
        }
        kept
    }
}

impl SharedList {
    /// The classes that a query leaves out.
    pub fn left_out(&self, query: usize) -> &[ClassId] {
        self.left_out.as_ref().map_or(&[], |labels| labels.excluded(query))
    }
}

fn ln_expected(draw: &Draw, m: usize) -> f32 {
    (m as f32).ln() + draw.ln_prob - (draw.count as f32).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IGNORED;

    #[test]
    fn every_copy_of_a_hit_is_left_out() {
        let (ids, ln_expected) = ([5, 3, 5, 8], [0.1, 0.2, 0.3, 0.4]);
        let own = Candidates::per_query(2, &ids.repeat(2), &ln_expected.repeat(2));
        for candidates in [own, Candidates::shared(2, &ids, &ln_expected)] {
            let candidates = candidates.without_hits(&[5, IGNORED]);
            assert_eq!(candidates.of(0).collect::<Vec<_>>(), [(3, 0.2), (8, 0.4)]);
            assert_eq!(candidates.of(1).count(), 4);
        }
    }

    #[test]
    fn repeated_draws_enter_once_with_their_count() {
        let drawn = vec![Draw { class: 4, count: 3, ln_prob: -1.0 }];
        for candidates in
            [Candidates::from_draws(&[drawn.clone(), vec![]], 5), Candidates::from_shared_draws(1, &drawn, 5)]
        {
            let [(class, ln_expected)] = candidates.of(0).collect::<Vec<_>>()[..] else { panic!() };
            assert_eq!(class, 4);
            assert!((ln_expected - (5.0f32.ln() - 1.0 - 3.0f32.ln())).abs() < 1e-6);
        }
        assert_eq!(Candidates::from_draws(&[drawn, vec![]], 5).of(1).count(), 0);
    }
}
