//! The true classes of the queries of a batch.

use rand::RngExt;
use rf_sampling::{ClassId, IGNORED, Purpose, stream};
use serde::{Deserialize, Serialize};

/// The true classes of each query: none, one or several, without padding.
///
/// ```
/// use rf_softmax::Labels;
/// let labels = Labels::from_lists([&[3, 8][..], &[], &[5]]);
/// assert_eq!((labels.len(), labels.of(0), labels.of(1)), (3, &[3, 8][..], &[][..]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// `[B + 1]`.
    offsets: Vec<usize>,
    ids: Vec<ClassId>,
    /// True classes and those that are neither true nor false, if there are such.
    excluded: Option<Box<Labels>>,
}

/// How a query with several true classes enters the loss (Menon et al. 2019, "Multilabel reductions: what is my loss
/// optimising?", section 3). With one true class all are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Every true class has a term of its own. Learns to rank classes by how likely each is to be true (their PAL).
    #[default]
    PickAll,
    /// The same, divided by the number of true classes, so that every query weighs the same (their PAL-N).
    PickAllNormalized,
    /// One true class, drawn anew in each step, is the target (their POL): the mean of the above.
    PickOne,
}

/// What the other true classes of a query are to the term of one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherLabels {
    /// Nothing: `ln(e^{o_t} + sum_{j not true} e^{o_j}) - o_t`. True classes do not push one another down.
    #[default]
    Excluded,
    /// Competitors, as any other class: `ln(sum_j e^{o_j}) - o_t`, the loss of Menon et al. A sampled loss counts them
    /// exactly, and draws from the rest.
    Included,
}

impl Labels {
    /// One true class for each query; [`IGNORED`] marks queries without one.
    ///
    /// # Shapes
    /// - targets: `[B]`
    pub fn one_each(targets: &[ClassId]) -> Self {
        Self::from_lists(
            targets.iter().map(|target| if *target == IGNORED { &[] } else { std::slice::from_ref(target) }),
        )
    }

    /// A list for each query.
    ///
    /// # Panics
    /// If the classes of a list are not ascending and distinct.
    pub fn from_lists<'a>(lists: impl IntoIterator<Item = &'a [ClassId]>) -> Self {
        let (mut offsets, mut ids) = (vec![0], Vec::new());
        for list in lists {
            assert!(list.is_sorted_by(|a, b| a < b), "the true classes of a query must ascend: {list:?}");
            ids.extend_from_slice(list);
            offsets.push(ids.len());
        }
        Self { offsets, ids, excluded: None }
    }

    /// Number of queries `B`.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no queries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The true classes of a query, ascending.
    pub fn of(&self, query: usize) -> &[ClassId] {
        &self.ids[self.offsets[query]..self.offsets[query + 1]]
    }

    /// The same true classes, and classes of each query that are neither true nor false: no term, no negative.
    ///
    /// # Panics
    /// If there are not as many lists, or the classes of a list are not ascending and distinct.
    pub fn leaving_out<'a>(self, lists: impl IntoIterator<Item = &'a [ClassId]>) -> Self {
        let union = |(query, list): (usize, &[ClassId])| {
            let mut union = [self.of(query), list].concat();
            union.sort_unstable();
            union.dedup();
            union
        };
        let unions: Vec<Vec<ClassId>> = lists.into_iter().enumerate().map(union).collect();
        assert_eq!(unions.len(), self.len(), "as many lists as queries");
        let excluded = Self::from_lists(unions.iter().map(Vec::as_slice));
        Self { excluded: Some(Box::new(excluded)), ..self }
    }

    /// The classes that are no negatives of a query, ascending: its true classes, and those left out.
    pub fn excluded(&self, query: usize) -> &[ClassId] {
        self.excluded.as_ref().map_or(self.of(query), |excluded| excluded.of(query))
    }

    /// All true classes, one query after the other.
    pub(crate) fn all(&self) -> &[ClassId] {
        &self.ids
    }

    /// The query that the true class at this place of [`all`](Self::all) belongs to.
    pub(crate) fn query_of(&self, place: usize) -> usize {
        self.offsets.partition_point(|&offset| offset <= place) - 1
    }

    /// Queries with a true class.
    pub(crate) fn counted(&self) -> usize {
        self.offsets.windows(2).filter(|pair| pair[0] < pair[1]).count()
    }

    /// What each query is scored for. What is picked is a function of seed, step and place.
    pub(crate) fn terms(&self, reduction: Reduction, others: OtherLabels, seed: u64, step: u64) -> Terms {
        let one = |query: usize, count: usize| stream(seed, Purpose::Labels, step, query as u64).random_range(0..count);
        let (mut offsets, mut ids, mut weights) = (vec![0], Vec::new(), Vec::new());
        for query in 0..self.len() {
            let labels = self.of(query);
            let count = labels.len();
            match reduction {
                Reduction::PickOne if count > 1 => {
                    let picked = one(query, count);
                    let kept = if others == OtherLabels::Included { 0..count } else { picked..picked + 1 };
                    weights.extend(kept.clone().map(|at| if at == picked { 1.0 } else { 0.0 }));
                    ids.extend_from_slice(&labels[kept]);
                }
                _ => {
                    let weight = if reduction == Reduction::PickAllNormalized { 1.0 / count as f32 } else { 1.0 };
                    ids.extend_from_slice(labels);
                    weights.resize(ids.len(), weight);
                }
            }
            offsets.push(ids.len());
        }
        Terms { offsets, ids, weights, counted: self.counted() }
    }
}

/// The classes that have a term in each query's loss, and the weight of each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Terms {
    /// `[B + 1]`.
    pub offsets: Vec<usize>,
    pub ids: Vec<ClassId>,
    /// Beside every id.
    pub weights: Vec<f32>,
    /// Queries with a true class.
    pub counted: usize,
}

impl Terms {
    /// Number of queries.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Places of a query's terms.
    pub fn range(&self, query: usize) -> std::ops::Range<usize> {
        self.offsets[query]..self.offsets[query + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(reduction: Reduction, others: OtherLabels, step: u64) -> Terms {
        Labels::from_lists([&[2, 5, 9][..], &[], &[4]]).terms(reduction, others, 1, step)
    }

    #[test]
    fn every_label_has_its_term_and_weight() {
        let all = terms(Reduction::PickAll, OtherLabels::Excluded, 0);
        assert_eq!(
            (&all.offsets[..], &all.ids[..], &all.weights[..]),
            (&[0, 3, 3, 4][..], &[2, 5, 9, 4][..], &[1.0; 4][..])
        );
        let normalized = terms(Reduction::PickAllNormalized, OtherLabels::Excluded, 0);
        assert_eq!((normalized.weights, normalized.counted), (vec![1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 1.0], 2));
    }

    #[test]
    fn each_label_is_picked_as_often_as_the_others() {
        let mut counts = [0; 10];
        for step in 0..3_000 {
            let one = terms(Reduction::PickOne, OtherLabels::Excluded, step);
            assert_eq!((one.offsets.clone(), one.ids[1]), (vec![0, 1, 1, 2], 4));
            counts[one.ids[0] as usize] += 1;
            let among = terms(Reduction::PickOne, OtherLabels::Included, step);
            let weights = [2, 5, 9].map(|id| if id == one.ids[0] { 1.0 } else { 0.0 });
            assert_eq!((&among.ids[..], &among.weights[..3]), (&[2, 5, 9, 4][..], &weights[..]));
        }
        // Chi-squared with two degrees of freedom exceeds 13.8 once in a thousand seeds.
        let chi: f64 = [2, 5, 9].iter().map(|&id: &usize| (f64::from(counts[id]) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 13.8, "{counts:?}");
    }

    #[test]
    fn classes_left_out_join_the_true_ones() {
        let labels = Labels::from_lists([&[2, 5][..], &[], &[4]]);
        assert_eq!(labels.excluded(0), [2, 5]);
        let labels = labels.leaving_out([&[3, 5][..], &[9], &[]]);
        assert_eq!((labels.of(0), labels.excluded(0)), (&[2, 5][..], &[2, 3, 5][..]));
        assert_eq!((labels.excluded(1), labels.excluded(2)), (&[9][..], &[4][..]));
    }

    #[test]
    fn a_label_knows_its_query() {
        let labels = Labels::from_lists([&[2, 5][..], &[], &[4]]);
        assert_eq!([0, 1, 2].map(|place| labels.query_of(place)), [0, 0, 2]);
    }

    #[test]
    fn one_class_each_leaves_ignored_queries_without_one() {
        let labels = Labels::one_each(&[7, IGNORED, 3]);
        assert_eq!((labels.of(0), labels.of(1), labels.of(2), labels.counted()), (&[7][..], &[][..], &[3][..], 2));
    }
}
