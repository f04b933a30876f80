//! Sums of weighted rows: a sparse matrix times a dense one.

use cubecl::client::Client;
use cubecl::prelude::*;

use crate::Buffer;
use crate::buffer::{cube_dim, grid};
use crate::table::list_of;

/// Lists of weighted rows, one after the other: a sparse matrix by rows.
#[derive(Clone, Debug)]
pub struct WeightedLists {
    /// First entry of each list, and the end of the last.
    starts: Buffer<u32>,
    rows: Buffer<u32>,
    weights: Buffer<f32>,
}

impl WeightedLists {
    /// Copies lists of the host.
    ///
    /// # Shapes
    /// - starts: `[lists + 1]`
    /// - rows, weights: `[entries]`
    ///
    /// # Panics
    /// If the lengths do not agree.
    pub fn upload(client: &Client, starts: &[u32], rows: &[u32], weights: &[f32]) -> Self {
        let entries = starts.last().map_or(0, |&end| end as usize);
        assert_eq!([rows.len(), weights.len()], [entries; 2], "rows and weights of {entries} entries");
        Self {
            starts: Buffer::upload(client, starts),
            rows: Buffer::upload(client, rows),
            weights: Buffer::upload(client, weights),
        }
    }

    /// `output[l] = sum_e weight(e) row(e)` over the entries of list `l`, in their order, and over the first `dim` numbers of a row;
    /// further numbers are zero.
    ///
    /// # Shapes
    /// - rows: `[any, from]`, `from >= dim`
    /// - output: `[lists, to]`, `to >= dim`
    ///
    /// # Panics
    /// If a row has fewer than `dim` numbers.
    pub fn sums(&self, rows: &Buffer<f32>, [from, to]: [usize; 2], dim: usize) -> Buffer<f32> {
        assert!(from >= dim && to >= dim, "{dim} numbers of rows of {from} and {to}");
        let (client, len) = (rows.client(), (self.starts.len() - 1) * to);
        let sums = Buffer::empty(client, len);
        add_rows::launch(
            client,
            grid(len),
            cube_dim(),
            self.starts.arg(),
            self.rows.arg(),
            self.weights.arg(),
            rows.arg(),
            sums.arg(),
            len,
            from,
            to,
            dim,
        );
        sums
    }
}

/// The list that each of the first `count` elements belongs to, where list `l` begins at `starts[l]`: the last whose start is not above it.
pub(crate) fn find_lists(starts: &Buffer<u32>, elements: &Buffer<u32>, count: usize) -> Buffer<u32> {
    let found = Buffer::<u32>::empty(starts.client(), count);
    let args = (starts.arg(), elements.arg(), found.arg());
    find::launch(starts.client(), grid(count), cube_dim(), args.0, args.1, args.2, count, starts.len() - 1);
    found
}

#[cube(launch)]
fn find(starts: &[u32], elements: &[u32], found: &mut [u32], count: usize, lists: usize) {
    if ABSOLUTE_POS < count {
        found[ABSOLUTE_POS] = list_of(starts, lists, elements[ABSOLUTE_POS]) as u32;
    }
}

/// One number of one sum a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_rows(
    starts: &[u32],
    rows: &[u32],
    weights: &[f32],
    numbers: &[f32],
    sums: &mut [f32],
    len: usize,
    from: usize,
    to: usize,
    dim: usize,
) {
    if ABSOLUTE_POS < len {
        let list = ABSOLUTE_POS / to;
        let column = ABSOLUTE_POS % to;
        let mut sum = 0.0f32;
        if column < dim {
            for entry in starts[list] as usize..starts[list + 1] as usize {
                sum += weights[entry] * numbers[rows[entry] as usize * from + column];
            }
        }
        sums[ABSOLUTE_POS] = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::client;

    #[test]
    fn rows_are_added_up_by_their_weights() {
        let Some(client) = client() else { return };
        let lists = WeightedLists::upload(&client, &[0, 2, 2, 3], &[0, 1, 1], &[2.0, 1.0, -1.0]);
        let rows = Buffer::upload(&client, &[1.0, 2.0, 9.0, 3.0, 4.0, 9.0]);
        assert_eq!(lists.sums(&rows, [3, 2], 2).download(), [5.0, 8.0, 0.0, 0.0, -3.0, -4.0]);
        assert_eq!(lists.sums(&rows, [3, 3], 2).download(), [5.0, 8.0, 0.0, 0.0, 0.0, 0.0, -3.0, -4.0, 0.0]);
    }
}
