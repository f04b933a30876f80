//! A sparse bag of features: rows of the features that a point has, added up by their values. A word alone is a bag of one.

use burn::tensor::Tensor;
use rayon::prelude::*;
use rf_sampling::add_scaled;

use crate::{Pullback, Unique, host_op, to_vec};

/// The features of a batch: distinct ones, and the entries of each point.
#[derive(Clone, Debug, PartialEq)]
pub struct Bag {
    /// Distinct features, ascending.
    pub ids: Vec<u32>,
    /// `[B + 1]`.
    offsets: Vec<usize>,
    /// For each entry, the position of its feature in `ids`, and its value.
    entries: Vec<(u32, f32)>,
}

impl Bag {
    /// The features and values of each point.
    pub fn new<'p>(points: impl Iterator<Item = (&'p [u32], &'p [f32])>) -> Self {
        let (mut offsets, mut list, mut values) = (vec![0], Vec::new(), Vec::new());
        for (ids, of_ids) in points {
            list.extend_from_slice(ids);
            values.extend_from_slice(of_ids);
            offsets.push(list.len());
        }
        let Unique { ids, positions } = Unique::of(&list);
        Self { ids, offsets, entries: positions.into_iter().zip(values).collect() }
    }

    /// One feature of value 1 for each point: words.
    pub fn one_each(words: &[u32]) -> Self {
        let Unique { ids, positions } = Unique::of(words);
        Self { ids, offsets: (0..=words.len()).collect(), entries: positions.into_iter().map(|at| (at, 1.0)).collect() }
    }

    /// Entries of all points.
    pub fn nonzeros(&self) -> usize {
        self.entries.len()
    }

    /// Multiplies the value of every entry.
    ///
    /// # Shapes
    /// - mask: `[nonzeros]`
    pub fn times(mut self, mask: &[f32]) -> Self {
        self.entries.iter_mut().zip(mask).for_each(|(entry, factor)| entry.1 *= factor);
        self
    }

    /// `output[b] = sum_f value(b, f) rows[f]` over the first `dim` columns, O(non-zeros × dim), and so is its gradient.
    ///
    /// # Shapes
    /// - rows: `[ids.len(), width]`, `width >= dim`
    /// - output: `[B, dim]`
    ///
    /// # Panics
    /// If rows have fewer than `dim` numbers.
    pub fn sum(self, rows: Tensor<2>, dim: usize) -> Tensor<2> {
        #[cfg(feature = "device")]
        if crate::is_on_card(&rows) {
            return self.sum_on_card(rows, dim);
        }
        let [count, width] = rows.dims();
        let (batch, values) = (self.offsets.len() - 1, to_vec(rows.clone()));
        let output = add_up(&values, [width, dim], dim, &self.offsets, &self.entries);
        let pullback = Pullback::new(move |upstream| {
            let (offsets, entries) = self.by_feature(count);
            vec![add_up(upstream, [dim, width], dim, &offsets, &entries)]
        });
        host_op(output, [batch, dim], &[rows], pullback)
    }

    #[cfg(feature = "device")]
    fn sum_on_card(self, rows: Tensor<2>, dim: usize) -> Tensor<2> {
        let ([count, width], batch, device) = (rows.dims(), self.offsets.len() - 1, rows.device());
        let numbers = crate::buffer_of(rows.clone());
        let client = numbers.client().clone();
        let output = lists(&client, &self.offsets, &self.entries).sums(&numbers, [width, dim], dim);
        let output = crate::tensor_of(&output, [batch, dim], &device);
        crate::card_op(output, &[rows], move |upstream| {
            let (offsets, entries) = self.by_feature(count);
            let lists = lists(&client, &offsets, &entries);
            let gradient = lists.sums(&crate::buffer_of(upstream), [dim, width], dim);
            vec![crate::tensor_of(&gradient, [count, width], &device)]
        })
    }

    /// For each distinct feature the points that have it and their values, in the order of the points.
    fn by_feature(&self, count: usize) -> (Vec<usize>, Vec<(u32, f32)>) {
        let mut offsets = vec![0; count + 1];
        self.entries.iter().for_each(|entry| offsets[entry.0 as usize + 1] += 1);
        (0..count).for_each(|at| offsets[at + 1] += offsets[at]);
        let (mut next, mut entries) = (offsets.clone(), vec![(0, 0.0); self.entries.len()]);
        for (point, range) in self.offsets.windows(2).enumerate() {
            for &(feature, value) in &self.entries[range[0]..range[1]] {
                let place = &mut next[feature as usize];
                entries[*place] = (point as u32, value);
                *place += 1;
            }
        }
        (offsets, entries)
    }
}

/// For each list of entries the sum of `value · rows[position]` over the first `dim` of `from` numbers, in the first `dim` of `to`; every
/// sum runs in the order of its list, so the result does not depend on the number of threads.
fn add_up(rows: &[f32], [from, to]: [usize; 2], dim: usize, offsets: &[usize], entries: &[(u32, f32)]) -> Vec<f32> {
    let mut sums = vec![0.0; (offsets.len() - 1) * to];
    sums.par_chunks_mut(to).zip(offsets.par_windows(2)).with_min_len(32).for_each(|(sum, range)| {
        for &(at, value) in &entries[range[0]..range[1]] {
            add_scaled(&mut sum[..dim], value, &rows[at as usize * from..][..dim]);
        }
    });
    sums
}

#[cfg(feature = "device")]
fn lists(client: &rf_device::Client, offsets: &[usize], entries: &[(u32, f32)]) -> rf_device::WeightedLists {
    let starts: Vec<u32> = offsets.iter().map(|&offset| offset as u32).collect();
    let (rows, weights): (Vec<u32>, Vec<f32>) = entries.iter().copied().unzip();
    rf_device::WeightedLists::upload(client, &starts, &rows, &weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn bag() -> Bag {
        Bag::new([(&[3, 8][..], &[2.0, 1.0][..]), (&[], &[]), (&[8], &[-1.0])].into_iter())
    }

    #[test]
    fn rows_are_added_up_by_their_values() {
        let device = Device::flex().autodiff();
        let rows = Tensor::<2>::from_data([[1.0f32, 2.0], [3.0, 4.0]], &device).require_grad();
        assert_eq!((&bag().ids[..], bag().nonzeros()), (&[3, 8][..], 3));
        let output = bag().sum(rows.clone(), 2);
        output.clone().into_data().assert_eq(&TensorData::from([[5.0f32, 8.0], [0.0, 0.0], [-3.0, -4.0]]), true);
        let weights = Tensor::<2>::from_data([[1.0f32, 10.0], [2.0, 20.0], [3.0, 30.0]], &device);
        let gradient = rows.grad(&(output * weights).sum().backward()).unwrap();
        gradient.into_data().assert_eq(&TensorData::from([[2.0f32, 20.0], [-2.0, -20.0]]), true);
    }

    #[test]
    fn a_mask_is_of_entries() {
        let masked = bag().times(&[0.0, 2.0, 3.0]);
        let rows = Tensor::<2>::from_data([[1.0f32], [1.0]], &Device::flex());
        assert_eq!(to_vec(masked.sum(rows, 1)), [2.0, 0.0, -3.0]);
    }

    #[test]
    fn repeated_words_add_their_gradients() {
        let device = Device::flex().autodiff();
        let rows = Tensor::<2>::from_data([[1.0f32, 2.0, 9.0], [3.0, 4.0, 9.0]], &device).require_grad();
        let words = Bag::one_each(&[8, 3, 8]);
        assert_eq!(words.ids, [3, 8]);
        let output = words.sum(rows.clone(), 2);
        output.clone().into_data().assert_eq(&TensorData::from([[3.0f32, 4.0], [1.0, 2.0], [3.0, 4.0]]), true);
        let weights = Tensor::<2>::from_data([[1.0f32, 10.0], [2.0, 20.0], [3.0, 30.0]], &device);
        let gradient = rows.grad(&(output * weights).sum().backward()).unwrap();
        gradient.into_data().assert_eq(&TensorData::from([[2.0f32, 20.0, 0.0], [4.0, 40.0, 0.0]]), true);
    }
}
