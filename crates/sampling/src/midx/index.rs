//! The inverted multi-index: classes by their pair of codes.

use std::ops::Range;

use rayon::prelude::*;

use crate::ClassId;

/// Buckets `(a, b)` that hold classes, ascending by `a`, then `b`, and the classes of each, ascending.
///
/// `12 n` bytes, `4 n` more with weights, and 16 a bucket, of which there are at most `min(n, K²)`.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// Classes, bucket after bucket, `[n]`.
    order: Vec<ClassId>,
    /// Where a class stands in `order`, `[n]`.
    places: Vec<u32>,
    /// The bucket of a class, `[n]`.
    buckets: Vec<u32>,
    /// Where the classes of each bucket begin, and the last end: `[buckets + 1]`.
    starts: Vec<u32>,
    /// Codes of each bucket.
    codes: Vec<[u16; 2]>,
    /// The first bucket of each `a`, and the end: `[K + 1]`.
    rows: Vec<u32>,
    /// Weights in the order of `order`; empty when all are one.
    weights: Vec<f32>,
    /// `W_ab`: sum of the weights of each bucket.
    sums: Vec<f64>,
}

impl Index {
    /// # Shapes
    /// - codes: `[n]`, `a K + b` of each class
    /// - weights: `[n]` by class, or empty when all are one
    pub fn new(codes: &[u32], codewords: usize, weights: &[f32]) -> Self {
        let n = codes.len();
        let mut order: Vec<ClassId> = (0..n as ClassId).collect();
        order.par_sort_by_key(|&class| codes[class as usize]);
        let (mut places, mut buckets) = (vec![0; n], vec![0; n]);
        let (mut starts, mut pairs) = (vec![0], Vec::new());
        for classes in order.chunk_by(|&a, &b| codes[a as usize] == codes[b as usize]) {
            let start = starts[pairs.len()];
            for (place, &class) in (start..).zip(classes) {
                places[class as usize] = place;
                buckets[class as usize] = pairs.len() as u32;
            }
            let code = codes[classes[0] as usize] as usize;
            pairs.push([(code / codewords) as u16, (code % codewords) as u16]);
            starts.push(start + classes.len() as u32);
        }
        let rows = (0..=codewords).map(|a| pairs.partition_point(|pair| usize::from(pair[0]) < a) as u32).collect();
        let weight = |&class: &ClassId| weights.get(class as usize).copied();
        let weights = order.iter().map_while(weight).collect();
        let mut index = Self { order, places, buckets, starts, codes: pairs, rows, weights, sums: Vec::new() };
        index.sums = (0..index.codes.len()).map(|bucket| index.sum(bucket)).collect();
        index
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Number of buckets that hold classes.
    pub fn bucket_count(&self) -> usize {
        self.codes.len()
    }

    /// Buckets of a first code.
    pub fn row(&self, a: usize) -> Range<usize> {
        self.rows[a] as usize..self.rows[a + 1] as usize
    }

    /// Number of first codes.
    pub fn row_count(&self) -> usize {
        self.rows.len() - 1
    }

    /// Codes of all buckets.
    pub fn codes(&self) -> &[[u16; 2]] {
        &self.codes
    }

    /// `W_ab` of all buckets.
    pub fn sums(&self) -> &[f64] {
        &self.sums
    }

    /// Places of the classes of a bucket.
    pub fn places(&self, bucket: usize) -> Range<usize> {
        self.starts[bucket] as usize..self.starts[bucket + 1] as usize
    }

    pub fn class_at(&self, place: usize) -> ClassId {
        self.order[place]
    }

    pub fn place_of(&self, class: ClassId) -> usize {
        self.places[class as usize] as usize
    }

    pub fn bucket_of(&self, class: ClassId) -> usize {
        self.buckets[class as usize] as usize
    }

    /// Whether all weights are one.
    pub fn is_unweighted(&self) -> bool {
        self.weights.is_empty()
    }

    pub fn weight_at(&self, place: usize) -> f64 {
        self.weights.get(place).map_or(1.0, |&weight| weight.into())
    }

    /// Takes up new weights of some classes, and sums their buckets anew: a sum that grew by `new - old` would depend on
    /// its history, and a resumed run would not be equal to the last bit.
    pub fn set_weights(&mut self, ids: &[ClassId], weights: &[f32]) {
        let mut buckets = Vec::with_capacity(ids.len());
        for (&class, &weight) in ids.iter().zip(weights) {
            let place = self.place_of(class);
            if std::mem::replace(&mut self.weights[place], weight) != weight {
                buckets.push(self.bucket_of(class));
            }
        }
        buckets.sort_unstable();
        buckets.dedup();
        buckets.into_iter().for_each(|bucket| self.sums[bucket] = self.sum(bucket));
    }

    fn sum(&self, bucket: usize) -> f64 {
        let places = self.places(bucket);
        if self.is_unweighted() { places.len() as f64 } else { places.map(|place| self.weight_at(place)).sum() }
    }

    pub fn bytes(&self) -> usize {
        let words = [&self.order, &self.places, &self.buckets, &self.starts, &self.rows];
        words.iter().map(|kept| size_of_val(kept.as_slice())).sum::<usize>()
            + size_of_val(self.codes.as_slice())
            + size_of_val(self.weights.as_slice())
            + size_of_val(self.sums.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_lie_by_bucket_and_know_their_place() {
        let codes = [5, 0, 5, 3, 8, 0];
        let index = Index::new(&codes, 3, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
        assert_eq!(index.order, [1, 5, 3, 0, 2, 4]);
        assert_eq!(index.codes, [[0, 0], [1, 0], [1, 2], [2, 2]]);
        assert_eq!(index.sums, [34.0, 8.0, 5.0, 16.0]);
        assert_eq!([index.row(0), index.row(1), index.row(2)], [0..1, 1..3, 3..4]);
        for class in 0..6 {
            assert_eq!(index.class_at(index.place_of(class)), class);
            assert!(index.places(index.bucket_of(class)).contains(&index.place_of(class)));
        }
    }

    #[test]
    fn new_weights_are_those_of_an_index_built_anew() {
        let codes = [5, 0, 5, 3, 8, 0];
        let mut index = Index::new(&codes, 3, &[0.1, 0.2, 0.4, 0.8, 1.6, 3.2]);
        index.set_weights(&[2, 5], &[1e17, 0.7]);
        index.set_weights(&[2], &[0.3]);
        assert_eq!(index.sums, Index::new(&codes, 3, &[0.1, 0.2, 0.3, 0.8, 1.6, 0.7]).sums);
    }
}
