//! Walker's alias table.

use rand::{Rng, RngExt};

use crate::ClassId;

/// Draws from a fixed law over `n` classes with one column and one coin (Walker 1977).
///
/// Column `i` holds class `i` up to `keep` and its alias above, out of the total weight; with integers the law of the
/// draws is exactly the weights over their sum. `16 n` bytes.
#[derive(Clone, Debug)]
pub(super) struct AliasTable {
    columns: Vec<Column>,
    total: u64,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    keep: u64,
    alias: ClassId,
}

impl AliasTable {
    /// Fills the columns in O(n) (Vose 1991): each column that a small class leaves room in is topped up by a large one.
    pub fn new(weights: &[u64]) -> Self {
        let n = weights.len() as u128;
        let total: u64 = weights.iter().sum();
        let height = u128::from(total);
        let mut columns: Vec<Column> =
            (0..weights.len()).map(|i| Column { keep: total, alias: i as ClassId }).collect();
        // Every class has n times its weight to place, and every column holds the total.
        let mut left: Vec<u128> = weights.iter().map(|&weight| u128::from(weight) * n).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|&i| left[i] < height);
        while let (Some(low), Some(&high)) = (small.pop(), large.last()) {
            columns[low] = Column { keep: left[low] as u64, alias: high as ClassId };
            left[high] -= height - left[low];
            if left[high] < height {
                large.pop();
                small.push(high);
            }
        }
        Self { columns, total }
    }

    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        let column = rng.random_range(0..self.columns.len());
        let Column { keep, alias } = self.columns[column];
        if rng.random_range(0..self.total) < keep { column as ClassId } else { alias }
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.columns.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_hold_the_weights_exactly() {
        for weights in [vec![1], vec![5, 5, 5], vec![1, 1 << 51, 7, 0, 123_456_789, 42], (1..1_000).collect()] {
            let table = AliasTable::new(&weights);
            let total: u64 = weights.iter().sum();
            let mut placed = vec![0u128; weights.len()];
            for (class, column) in table.columns.iter().enumerate() {
                placed[class] += u128::from(column.keep);
                placed[column.alias as usize] += u128::from(total - column.keep);
            }
            let want: Vec<u128> = weights.iter().map(|&weight| u128::from(weight) * weights.len() as u128).collect();
            assert_eq!(placed, want);
        }
    }
}
