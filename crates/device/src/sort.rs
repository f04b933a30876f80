//! A stable sort by key.

use cubecl::prelude::*;

use crate::Buffer;
use crate::buffer::{cube_dim, grid};
use crate::scan::scan;

/// Keys that one unit counts and moves.
const RUN: usize = 64;

/// Bits of a digit, and its values.
const BITS: u32 = 4;
const DIGITS: usize = 1 << BITS;

/// Sorts the keys, and the values with them; equal keys stay in their order. All keys are below `bound`.
///
/// A radix sort from the lowest digit on: each unit counts the digits of a run of keys, the counts are scanned, each unit moves its
/// run. `bound` fixes the number of passes.
pub(crate) fn sort(keys: Buffer<u32>, values: Buffer<u32>, bound: usize) -> (Buffer<u32>, Buffer<u32>) {
    let client = keys.client().clone();
    let len = keys.len();
    let runs = len.div_ceil(RUN);
    let bits = usize::BITS - bound.saturating_sub(1).leading_zeros();
    let counts = Buffer::<u32>::empty(&client, runs * DIGITS);
    let (mut keys, mut values) = (keys, values);
    let (mut next_keys, mut next_values) = (Buffer::empty(&client, len), Buffer::empty(&client, len));
    for pass in 0..bits.div_ceil(BITS) {
        let shift = pass * BITS;
        count_digits::launch(&client, grid(runs), cube_dim(), keys.arg(), counts.arg(), len, runs, shift);
        scan(&counts);
        let (from, to) = ((keys.arg(), values.arg()), (next_keys.arg(), next_values.arg()));
        move_digits::launch(
            &client,
            grid(runs),
            cube_dim(),
            from.0,
            from.1,
            counts.arg(),
            to.0,
            to.1,
            len,
            runs,
            shift,
        );
        std::mem::swap(&mut keys, &mut next_keys);
        std::mem::swap(&mut values, &mut next_values);
    }
    (keys, values)
}

/// Counts the digits of each run; `counts[digit][run]`.
#[cube(launch)]
fn count_digits(keys: &[u32], counts: &mut [u32], len: usize, runs: usize, shift: u32) {
    if ABSOLUTE_POS < runs {
        let mut found = Array::<u32>::new(DIGITS);
        for digit in 0..DIGITS {
            found[digit] = 0u32;
        }
        let mut end = (ABSOLUTE_POS + 1) * RUN;
        if end > len {
            end = len;
        }
        for at in ABSOLUTE_POS * RUN..end {
            let digit = ((keys[at] >> shift) & 15u32) as usize;
            found[digit] += 1u32;
        }
        for digit in 0..DIGITS {
            counts[digit * runs + ABSOLUTE_POS] = found[digit];
        }
    }
}

/// Moves the keys of each run to where the scanned counts say.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn move_digits(
    keys: &[u32],
    values: &[u32],
    counts: &[u32],
    next_keys: &mut [u32],
    next_values: &mut [u32],
    len: usize,
    runs: usize,
    shift: u32,
) {
    if ABSOLUTE_POS < runs {
        let mut place = Array::<u32>::new(DIGITS);
        for digit in 0..DIGITS {
            place[digit] = counts[digit * runs + ABSOLUTE_POS];
        }
        let mut end = (ABSOLUTE_POS + 1) * RUN;
        if end > len {
            end = len;
        }
        for at in ABSOLUTE_POS * RUN..end {
            let key = keys[at];
            let digit = ((key >> shift) & 15u32) as usize;
            let to = place[digit] as usize;
            place[digit] += 1u32;
            next_keys[to] = key;
            next_values[to] = values[at];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::client;

    #[test]
    fn keys_ascend_and_equal_keys_stay_in_order() {
        let Some(client) = client() else { return };
        for (len, bound) in [(1, 1), (5, 2), (64, 17), (1000, 1000), (5_003, 1 << 20)] {
            let keys: Vec<u32> = (0..len as u32).map(|i| i.wrapping_mul(2_654_435_761) % bound as u32).collect();
            let values: Vec<u32> = (0..len as u32).collect();
            let (sorted, places) = sort(Buffer::upload(&client, &keys), Buffer::upload(&client, &values), bound);
            let mut want: Vec<(u32, u32)> = keys.into_iter().zip(values).collect();
            want.sort_by_key(|pair| pair.0);
            let got: Vec<(u32, u32)> = sorted.download().into_iter().zip(places.download()).collect();
            assert_eq!(got, want, "{len} keys below {bound}");
        }
    }
}
