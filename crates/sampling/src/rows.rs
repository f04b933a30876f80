//! Parallel work on a few rows of a large table.

use std::ops::Range;

/// A run of touched rows and the stretch of the table that holds them.
pub struct Piece<'a, T> {
    /// Position of the first of these ids in the whole list.
    pub start: usize,
    /// The touched rows, ascending.
    pub ids: &'a [u32],
    /// The table from row `ids[0]` to the last of `ids`.
    rows: &'a mut [T],
    width: usize,
}

impl<T> Piece<'_, T> {
    /// Row `ids[k]`.
    pub fn row(&mut self, k: usize) -> &mut [T] {
        let at = (self.ids[k] - self.ids[0]) as usize * self.width;
        &mut self.rows[at..][..self.width]
    }
}

/// Cuts the touched rows of a table into pieces of `grain` ids that can be written in parallel. O(ids), whatever the
/// size of the table.
///
/// # Shapes
/// - table: `[rows, width]`
///
/// # Panics
/// If `ids` do not ascend or exceed the table.
pub fn split_rows<'a, T>(table: &'a mut [T], width: usize, ids: &'a [u32], grain: usize) -> Vec<Piece<'a, T>> {
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "row ids must ascend");
    let stretch = |ids: &[u32]| ids[0] as usize * width..(ids[ids.len() - 1] as usize + 1) * width;
    let stretches = split_at(table, ids.chunks(grain).map(stretch));
    let piece = |(number, (rows, ids))| Piece { start: number * grain, ids, rows, width };
    stretches.into_iter().zip(ids.chunks(grain)).enumerate().map(piece).collect()
}

/// Stretches of a table that can be written in parallel.
///
/// # Panics
/// If the ranges do not ascend, overlap or exceed the table.
pub(crate) fn split_at<T>(mut table: &mut [T], ranges: impl Iterator<Item = Range<usize>>) -> Vec<&mut [T]> {
    let mut offset = 0;
    let stretch = |range: Range<usize>| {
        assert!(range.start >= offset, "ranges must ascend");
        let (stretch, rest) = std::mem::take(&mut table)[range.start - offset..].split_at_mut(range.len());
        (table, offset) = (rest, range.end);
        stretch
    };
    ranges.map(stretch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_reach_every_touched_row_and_no_other() {
        let mut table = vec![0; 2 * 10];
        for mut piece in split_rows(&mut table, 2, &[1, 2, 5, 8, 9], 2) {
            for k in 0..piece.ids.len() {
                let value = 1 + piece.start + k;
                piece.row(k).fill(value);
            }
        }
        assert_eq!(table, [0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 4, 4, 5, 5]);
    }

    #[test]
    #[should_panic(expected = "ascend")]
    fn unordered_ids_are_refused() {
        split_rows(&mut [0; 10], 1, &[3, 1], 1);
    }
}
