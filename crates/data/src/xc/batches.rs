//! Batches of training points.

use rand::seq::SliceRandom;
use rf_sampling::{Purpose, stream};

use super::XcPoints;
use crate::Error;

/// Batches of shuffled training points, every point with labels once in an epoch.
///
/// A batch is a function of the seed and its step alone, so a run resumes anywhere. The last batch of an epoch may be
/// smaller. Points without labels are skipped: a softmax loss has no target there.
///
/// # Example
/// ```
/// use rf_data::{XcBatches, XcDataConfig};
/// let set = XcDataConfig::default().load(&rf_data::data_root(), 1)?;
/// let mut batches = XcBatches::new(&set.train, 64, 1)?;
/// let first = batches.batch(0);
/// assert_eq!(first.len(), 64);
/// batches.batch(1);
/// assert_eq!(batches.batch(0), first);
/// assert_ne!(batches.batch(batches.per_epoch()), first);
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct XcBatches {
    labelled: Vec<u32>,
    skipped: usize,
    batch_size: usize,
    seed: u64,
    /// The order of one epoch, the last that was asked for.
    order: Vec<u32>,
    epoch: Option<u64>,
}

impl XcBatches {
    /// Batches of `batch_size` of the points, in orders that `seed` fixes.
    ///
    /// # Errors
    /// [`Error::Config`] if `batch_size` is 0 or no point has labels.
    pub fn new(points: &XcPoints, batch_size: usize, seed: u64) -> Result<Self, Error> {
        if batch_size == 0 {
            return Err(Error::config("batch size", batch_size, "must be at least 1"));
        }
        let labelled = points.labelled();
        if labelled.is_empty() {
            return Err(Error::config("training points", points.len(), "none of them has a label"));
        }
        let skipped = points.len() - labelled.len();
        Ok(Self { labelled, skipped, batch_size, seed, order: Vec::new(), epoch: None })
    }

    /// Batches of an epoch.
    pub fn per_epoch(&self) -> u64 {
        self.labelled.len().div_ceil(self.batch_size) as u64
    }

    /// Points without labels, which are in no batch.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Points of the batch at `step`, counted from 0 over all epochs.
    ///
    /// The first batch of an epoch costs O(points), the others O(batch).
    pub fn batch(&mut self, step: u64) -> Vec<u32> {
        let (epoch, index) = (step / self.per_epoch(), step % self.per_epoch());
        self.shuffle(epoch);
        let from = index as usize * self.batch_size;
        let to = (from + self.batch_size).min(self.order.len());
        self.order[from..to].to_vec()
    }

    fn shuffle(&mut self, epoch: u64) {
        if self.epoch != Some(epoch) {
            self.order.clone_from(&self.labelled);
            self.order.shuffle(&mut stream(self.seed, Purpose::Order, epoch, 0));
            self.epoch = Some(epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{IdLists, SparseRows};
    use super::*;

    /// Every fourth point has no label.
    fn points(count: usize) -> XcPoints {
        let mut offsets = vec![0];
        for point in 0..count {
            offsets.push(offsets[point] + usize::from(point % 4 != 3));
        }
        let labels = vec![0; offsets[count]];
        let features = SparseRows::new(vec![0; count + 1], vec![], vec![]);
        XcPoints::new(features, IdLists::new(offsets, labels))
    }

    #[test]
    fn every_labelled_point_is_in_one_batch_of_an_epoch() {
        for batch_size in [1, 7, 30, 31, 100] {
            let mut batches = XcBatches::new(&points(40), batch_size, 1).unwrap();
            assert_eq!((batches.per_epoch(), batches.skipped()), (30_u64.div_ceil(batch_size as u64), 10));
            for epoch in [3, 0] {
                let steps = epoch * batches.per_epoch()..(epoch + 1) * batches.per_epoch();
                let mut all: Vec<u32> = steps.flat_map(|step| batches.batch(step)).collect();
                all.sort_unstable();
                assert_eq!(all, (0..40).filter(|point| point % 4 != 3).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn only_the_last_batch_of_an_epoch_is_smaller() {
        let mut batches = XcBatches::new(&points(40), 8, 1).unwrap();
        let sizes: Vec<_> = (0..8).map(|step| batches.batch(step).len()).collect();
        assert_eq!(sizes, [8, 8, 8, 6, 8, 8, 8, 6]);
    }

    #[test]
    fn a_batch_depends_on_seed_and_step_alone() {
        let batch = |seed, step| XcBatches::new(&points(40), 8, seed).unwrap().batch(step);
        let mut batches = XcBatches::new(&points(40), 8, 5).unwrap();
        for step in [0, 1, 9, 2, 100, 0] {
            assert_eq!(batches.batch(step), batch(5, step));
        }
        assert_ne!(batch(5, 0), batch(6, 0));
        assert_ne!(batch(5, 0), batch(5, 4));
    }

    #[test]
    fn the_first_points_of_seed_1_stay_what_they_are() {
        assert_eq!(XcBatches::new(&points(40), 8, 1).unwrap().batch(0), FIRST_POINTS);
    }

    /// Frozen on the first release: the order is part of what a run can be repeated from.
    const FIRST_POINTS: [u32; 8] = [9, 37, 34, 22, 4, 10, 38, 20];

    #[test]
    fn batches_of_nothing_are_refused() {
        let error = XcBatches::new(&points(40), 0, 1).unwrap_err();
        assert_eq!(error.to_string(), "batch size = 0: must be at least 1");
        let none = points(40).select(&[3, 7]);
        let error = XcBatches::new(&none, 4, 1).unwrap_err();
        assert_eq!(error.to_string(), "training points = 2: none of them has a label");
    }
}
