//! The points of a split, and a whole data set.

use rand::seq::SliceRandom;
use rf_sampling::{Purpose, stream};

use super::{IdLists, SparseRows, Weighting, XcKnown};
use crate::Error;

/// The points of one split: what they show, and their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct XcPoints {
    /// What the points show.
    pub features: SparseRows,
    /// Their labels.
    pub labels: IdLists,
    /// Labels of each point that are neither right nor wrong: those of the filter file.
    ///
    /// A filtered label that the file of points names as well stays among the `labels`.
    pub filtered: IdLists,
}

/// A data set of points with any number of labels each.
#[derive(Clone, Debug, PartialEq)]
pub struct XcSet {
    /// Features: the ids in `features` of every split are below it.
    pub features: usize,
    /// Labels, n: the ids in `labels` of every split are below it.
    pub labels: usize,
    /// The points to learn from.
    pub train: XcPoints,
    /// The points that choices are made on.
    pub valid: Option<XcPoints>,
    /// The points that are reported on.
    pub test: Option<XcPoints>,
    /// Training points of each label.
    ///
    /// # Shapes
    /// `[labels]`
    pub counts: Vec<u64>,
    /// How the values were weighted, of all three splits.
    pub weighting: Weighting,
    /// What the best model reaches, where the law of the points is known.
    pub known: Option<XcKnown>,
}

impl XcPoints {
    /// Points without filtered labels.
    ///
    /// # Panics
    /// If there are not as many rows of features as lists of labels.
    pub fn new(features: SparseRows, labels: IdLists) -> Self {
        assert_eq!(features.len(), labels.len(), "{} points, labels of {}", features.len(), labels.len());
        let filtered = IdLists::empty(labels.len());
        Self { features, labels, filtered }
    }

    /// Points.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Points without labels.
    pub fn unlabelled(&self) -> usize {
        self.len() - self.labelled().len()
    }

    /// The first `count` points; all, if there are no more.
    pub fn head(&self, count: usize) -> Self {
        self.select(&Vec::from_iter(0..count.min(self.len()) as u32))
    }

    /// The given points, in the given order.
    ///
    /// # Panics
    /// If one of them is not below [`len`](Self::len).
    pub fn select(&self, points: &[u32]) -> Self {
        Self {
            features: self.features.select(points),
            labels: self.labels.select(points),
            filtered: self.filtered.select(points),
        }
    }

    /// The points with labels, ascending.
    pub(super) fn labelled(&self) -> Vec<u32> {
        (0..self.len() as u32).filter(|&point| !self.labels.row(point as usize).is_empty()).collect()
    }

    /// Takes `count` random points with labels out, and returns them in their order; a function of `seed`.
    ///
    /// # Errors
    /// [`Error::Config`] if that is none or all of them.
    pub(super) fn hold_out(&mut self, count: usize, seed: u64) -> Result<Self, Error> {
        let mut held = self.labelled();
        if count == 0 || count >= held.len() {
            let rule = format!("must be at least 1 and leave some of the {} training points with labels", held.len());
            return Err(Error::config("valid_points", count, rule));
        }
        // The orders of the epochs have the steps from 0 on.
        held.shuffle(&mut stream(seed, Purpose::Order, u64::MAX, 0));
        held.truncate(count);
        held.sort_unstable();
        let out = self.select(&held);
        let stays = |point: usize| held.binary_search(&(point as u32)).is_err();
        self.features.retain(stays);
        self.labels.retain(stays);
        self.filtered.retain(stays);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points that show their own number; every third has no label, the others their number modulo 5.
    fn points(count: u32) -> XcPoints {
        let features = SparseRows::new((0..=count as usize).collect(), (0..count).collect(), vec![1.0; count as usize]);
        let (mut offsets, mut ids) = (vec![0], vec![]);
        for point in 0..count {
            ids.extend((point % 3 != 0).then_some(point % 5));
            offsets.push(ids.len());
        }
        XcPoints::new(features, IdLists::new(offsets, ids))
    }

    #[test]
    fn the_head_is_the_first_points() {
        let head = points(10).head(4);
        assert_eq!((head.len(), head.unlabelled()), (4, 2));
        assert_eq!(head, points(4));
        assert_eq!(points(10).head(11), points(10));
    }

    #[test]
    fn points_held_out_have_labels_and_are_not_left_behind() {
        let hold_out = |seed| {
            let mut train = points(90);
            (train.hold_out(20, seed).unwrap(), train)
        };
        let (held, train) = hold_out(1);
        assert_eq!((held.len(), held.unlabelled(), train.len(), train.unlabelled()), (20, 0, 70, 30));
        let mut all = [held.features.ids(), train.features.ids()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..90).collect::<Vec<_>>());
        for point in 0..held.len() {
            assert_eq!(held.labels.row(point)[0], held.features.row(point).0[0] % 5);
        }
        assert_eq!(hold_out(1), (held.clone(), train));
        assert_ne!(hold_out(2).0, held);
    }

    #[test]
    fn holding_out_none_or_all_labelled_points_is_refused() {
        for count in [0, 60, 90] {
            let error = points(90).hold_out(count, 1).unwrap_err().to_string();
            assert!(error.starts_with(&format!("valid_points = {count}: must be at least 1 and leave")), "{error}");
        }
    }
}
