//! What the exclusion of some classes leaves of the buckets.

use std::ops::Range;

use super::law::MidxLaw;
use crate::ClassId;

/// Excluded places, and the buckets they lie in with the sum of the masses that stay. Sums of kept parts, so nothing
/// cancels however much is excluded.
pub(super) struct Kept {
    /// Ascending.
    places: Vec<usize>,
    /// Ascending.
    buckets: Vec<(usize, f64)>,
}

impl Kept {
    pub fn new(law: &MidxLaw<'_>, excluded: &[ClassId]) -> Self {
        let index = law.index();
        let mut places: Vec<usize> = excluded.iter().map(|&class| index.place_of(class)).collect();
        places.sort_unstable();
        let bucket_of = |place: usize| index.bucket_of(index.class_at(place));
        let keep = |excluded: &[usize]| {
            let bucket = bucket_of(excluded[0]);
            let places = index.places(bucket);
            if law.is_equal() {
                return (bucket, (places.len() - excluded.len()) as f64);
            }
            let kept = places.filter(|place| excluded.binary_search(place).is_err());
            (bucket, kept.map(|place| law.mass_at(place)).sum())
        };
        let buckets = places.chunk_by(|&a, &b| bucket_of(a) == bucket_of(b)).map(keep).collect();
        Self { places, buckets }
    }

    /// The buckets with excluded classes.
    pub fn buckets(&self) -> impl Iterator<Item = usize> {
        self.buckets.iter().map(|&(bucket, _)| bucket)
    }

    /// Those in a range, with the sum of the masses that stay.
    pub fn in_buckets(&self, range: Range<usize>) -> &[(usize, f64)] {
        let place = |bucket| self.buckets.partition_point(|kept| kept.0 < bucket);
        &self.buckets[place(range.start)..place(range.end)]
    }

    /// Excluded places in a range.
    pub fn in_places(&self, range: Range<usize>) -> &[usize] {
        let place = |at| self.places.partition_point(|&place| place < at);
        &self.places[place(range.start)..place(range.end)]
    }
}
