use crate::ClassId;

/// Queries whose true classes are known, to measure proposals on: held-out places of a text, or held-out points.
#[derive(Clone, Debug, PartialEq)]
pub struct Probes {
    queries: Vec<f32>,
    dim: usize,
    targets: Vec<ClassId>,
    excluded: Vec<Vec<ClassId>>,
}

impl Probes {
    /// Queries as they enter the logits, the target of each, and the classes that are not its negatives.
    ///
    /// # Shapes
    /// - queries: `[N, dim]`
    /// - targets: `[N]`
    /// - excluded: `[N]`, each ascending, the target among them; the others are true as well and have no part in the loss
    ///
    /// # Panics
    /// If the shapes do not agree, or a target is not excluded.
    pub fn new(queries: Vec<f32>, dim: usize, targets: Vec<ClassId>, excluded: Vec<Vec<ClassId>>) -> Self {
        assert_eq!(queries.len(), targets.len() * dim, "numbers of {} queries of {dim}", targets.len());
        assert_eq!(targets.len(), excluded.len(), "lists of excluded classes");
        let is_listed = |(target, list): (&ClassId, &Vec<ClassId>)| list.binary_search(target).is_ok();
        assert!(targets.iter().zip(&excluded).all(is_listed), "every target is excluded from the draws");
        Self { queries, dim, targets, excluded }
    }

    /// Number of queries `N`.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are no queries.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// All queries, `[N, dim]`.
    pub fn queries(&self) -> &[f32] {
        &self.queries
    }

    /// One query, `[dim]`.
    pub fn query(&self, number: usize) -> &[f32] {
        &self.queries[number * self.dim..][..self.dim]
    }

    /// Its target.
    pub fn target(&self, number: usize) -> ClassId {
        self.targets[number]
    }

    /// The classes that it must not draw, ascending.
    pub fn excluded(&self, number: usize) -> &[ClassId] {
        &self.excluded[number]
    }

    /// At most `count` of them, evenly spread.
    pub fn spread(&self, count: usize) -> Self {
        let places: Vec<usize> = Self::places(self.len(), count).collect();
        Self {
            queries: places.iter().flat_map(|&place| self.query(place)).copied().collect(),
            dim: self.dim,
            targets: places.iter().map(|&place| self.targets[place]).collect(),
            excluded: places.iter().map(|&place| self.excluded[place].clone()).collect(),
        }
    }

    /// At most `count` of the places `0..total`, ascending and evenly spread, the first among them.
    pub fn places(total: usize, count: usize) -> impl Iterator<Item = usize> {
        let count = count.min(total);
        (0..count).map(move |i| i * total / count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_spread_evenly_and_never_larger_than_what_there_is() {
        assert_eq!(Probes::places(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(Probes::places(3, 9).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(Probes::places(0, 9).count(), 0);
        let probes =
            Probes::new(vec![0.0, 1.0, 2.0, 3.0], 1, vec![5, 6, 7, 8], vec![vec![5], vec![6], vec![7], vec![8]]);
        let half = probes.spread(2);
        assert_eq!((half.queries(), half.target(1), half.excluded(1)), (&[0.0, 2.0][..], 7, &[7][..]));
    }

    #[test]
    #[should_panic(expected = "every target is excluded")]
    fn a_target_that_could_be_drawn_is_refused() {
        Probes::new(vec![0.0], 1, vec![5], vec![vec![4, 6]]);
    }
}
