//! Prefix sums.

use cubecl::prelude::*;

use crate::Buffer;
use crate::buffer::{cube_dim, grid};

/// Puts the sum of all numbers before it in the place of each number, and returns the sum of all.
///
/// Runs of about `sqrt(len)` numbers are summed, the sums are scanned by one unit, and the runs are written.
pub(crate) fn scan(values: &Buffer<u32>) -> Buffer<u32> {
    let client = values.client();
    let total = Buffer::empty(client, 1);
    let run = (values.len() as f64).sqrt().ceil().max(1.0) as usize;
    let runs = values.len().div_ceil(run);
    let sums = Buffer::<u32>::empty(client, runs);
    let len = values.len();
    sum_runs::launch(client, grid(runs), cube_dim(), values.arg(), sums.arg(), len, run, runs);
    scan_sums::launch(client, grid(1), cube_dim(), sums.arg(), total.arg(), runs);
    write_runs::launch(client, grid(runs), cube_dim(), values.arg(), sums.arg(), len, run, runs);
    total
}

#[cube(launch)]
fn sum_runs(values: &[u32], sums: &mut [u32], len: usize, run: usize, runs: usize) {
    if ABSOLUTE_POS < runs {
        let mut end = (ABSOLUTE_POS + 1) * run;
        if end > len {
            end = len;
        }
        let mut sum = 0u32;
        for at in ABSOLUTE_POS * run..end {
            sum += values[at];
        }
        sums[ABSOLUTE_POS] = sum;
    }
}

#[cube(launch)]
fn scan_sums(sums: &mut [u32], total: &mut [u32], runs: usize) {
    if ABSOLUTE_POS == 0 {
        let mut before = 0u32;
        for at in 0..runs {
            let sum = sums[at];
            sums[at] = before;
            before += sum;
        }
        total[0] = before;
    }
}

#[cube(launch)]
fn write_runs(values: &mut [u32], sums: &[u32], len: usize, run: usize, runs: usize) {
    if ABSOLUTE_POS < runs {
        let mut end = (ABSOLUTE_POS + 1) * run;
        if end > len {
            end = len;
        }
        let mut before = sums[ABSOLUTE_POS];
        for at in ABSOLUTE_POS * run..end {
            let value = values[at];
            values[at] = before;
            before += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::client;

    #[test]
    fn every_number_becomes_the_sum_of_those_before() {
        let Some(client) = client() else { return };
        for len in [1, 2, 63, 64, 65, 1000, 70_001] {
            let values: Vec<u32> = (0..len).map(|i| i * 7 % 5).collect();
            let buffer = Buffer::upload(&client, &values);
            let total = scan(&buffer);
            let mut before = 0;
            let mut want = Vec::new();
            for value in values {
                want.push(before);
                before += value;
            }
            assert_eq!((buffer.download(), total.download()), (want, vec![before]));
        }
    }
}
