//! Classes ordered so that those of a leaf lie near each other: balanced 2-means, again and again.

use std::ops::Range;

use rand::{Rng, RngExt};
use rayon::prelude::*;

use super::leaves::Leaves;
use crate::memory::prefetch;
use crate::vector::add_scaled;
use crate::{ClassId, Classes, Error, Purpose, dot, stream};

/// Most passes of one 2-means. Forty gain less than one per cent of the squares on trained class tables.
const PASSES: usize = 12;

/// A 2-means stands once a pass moves fewer than one row in this many.
const STILL: usize = 200;

/// Rows that one parallel task takes: fixed, as sums depend on it.
const ROWS_A_TASK: usize = 1024;

/// Rows that are asked for ahead of their use.
const AHEAD: usize = 4;

/// Numbers that are copied side by side, 2 MiB: from here on every pass reads a cache, not the table.
const GATHERED: usize = 1 << 19;

/// The classes slot by slot, those of each leaf ascending.
///
/// # Shapes
/// - weights: `[n]`, or none where all are one
///
/// # Errors
/// [`Error::NotFinite`] if a row is not finite.
pub(super) fn order(classes: Classes<'_>, weights: &[f32], leaves: &Leaves, seed: u64) -> Result<Vec<ClassId>, Error> {
    let mut order: Vec<ClassId> = (0..classes.len() as ClassId).collect();
    let flaw = |&class: &ClassId| classes.check(class as usize, class).err();
    order.par_iter().find_map_first(flaw).map_or(Ok(()), Err)?;
    let scale = |&class: &ClassId| if classes.is_normalized() { classes.inverse_norm(class as usize) } else { 1.0 };
    let scales: Vec<f32> = order.par_iter().map(scale).collect();
    let points = Points { rows: classes.rows(), stride: classes.width(), dim: classes.dim(), scales: &scales, weights };
    Bisection { leaves, seed }.divide(points, points.sum(&order), 0..leaves.leaves(), &mut order);
    for leaf in 0..leaves.leaves() {
        order[leaves.slots(leaf)].sort_unstable();
    }
    Ok(order)
}

/// Rows to be grouped, by number.
#[derive(Clone, Copy)]
struct Points<'a> {
    rows: &'a [f32],
    stride: usize,
    dim: usize,
    /// What each row is multiplied by; none where the rows are taken as they are.
    scales: &'a [f32],
    /// None where all are one.
    weights: &'a [f32],
}

/// Sum of some weighted rows, and of their weights.
#[derive(Clone)]
struct Sum {
    rows: Vec<f64>,
    weight: f64,
}

/// A row on its way to one of two halves.
#[derive(Clone, Copy)]
struct Candidate {
    /// `w (|x - left|² - |x - right|²)`: the smaller, the further left.
    key: f32,
    row: u32,
    was_left: bool,
}

struct Bisection<'a> {
    leaves: &'a Leaves,
    seed: u64,
}

impl Bisection<'_> {
    /// Orders the rows of a range of leaves, whose sum is `total`.
    fn divide(&self, points: Points<'_>, total: Sum, leaves: Range<usize>, rows: &mut [u32]) {
        if leaves.len() == 1 {
            return;
        }
        if !points.scales.is_empty() && rows.len() * points.dim <= GATHERED {
            return self.divide_gathered(points, leaves, rows);
        }
        let middle = middle_of(&leaves);
        let count = self.leaves.start(middle) - self.leaves.start(leaves.start);
        let mut rng = stream(self.seed, Purpose::Grouping, leaves.len() as u64, leaves.start as u64);
        let left = points.bisect(&total, rows, count, &mut rng);
        let right = total.minus(&left);
        let (left_rows, right_rows) = rows.split_at_mut(count);
        rayon::join(
            || self.divide(points, left, leaves.start..middle, left_rows),
            || self.divide(points, right, middle..leaves.end, right_rows),
        );
    }

    /// The same on a copy of the rows.
    fn divide_gathered(&self, points: Points<'_>, leaves: Range<usize>, rows: &mut [u32]) {
        let (copy, weights) = points.gather(rows);
        let points = Points { rows: &copy, stride: points.dim, dim: points.dim, scales: &[], weights: &weights };
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        self.divide(points, points.sum(&order), leaves, &mut order);
        let before = rows.to_vec();
        rows.iter_mut().zip(order).for_each(|(row, at)| *row = before[at as usize]);
    }
}

/// Where a range of leaves is split: a multiple of the largest power of two that is no more than half of them, nearest to
/// the middle. No part is smaller than half of the other, and a node of a tree over `2^k` neighbouring leaves is not torn.
fn middle_of(leaves: &Range<usize>) -> usize {
    let power = 1 << (leaves.len() / 2).ilog2();
    leaves.start + (leaves.len() + power) / (2 * power) * power
}

impl Points<'_> {
    fn row(&self, row: u32) -> &[f32] {
        &self.rows[row as usize * self.stride..][..self.dim]
    }

    fn scale(&self, row: u32) -> f32 {
        self.scales.get(row as usize).copied().unwrap_or(1.0)
    }

    fn weight(&self, row: u32) -> f32 {
        self.weights.get(row as usize).copied().unwrap_or(1.0)
    }

    /// Some rows side by side as they count, and their weights.
    fn gather(&self, rows: &[u32]) -> (Vec<f32>, Vec<f32>) {
        let mut copy = Vec::with_capacity(rows.len() * self.dim);
        rows.iter().for_each(|&row| copy.extend(self.row(row).iter().map(|x| x * self.scale(row))));
        let weights = if self.weights.is_empty() { &[] } else { rows };
        (copy, weights.iter().map(|&row| self.weight(row)).collect())
    }

    fn sum(&self, rows: &[u32]) -> Sum {
        self.sum_signed(rows, |&row| (row, 1.0))
    }

    /// Sum of rows, each times the sign that comes with it.
    fn sum_signed<T: Sync>(&self, items: &[T], signed: impl Fn(&T) -> (u32, f32) + Sync) -> Sum {
        let partial = |items: &[T]| {
            let (mut rows, mut weight) = (vec![0.0; self.dim], 0.0);
            for (row, sign) in items.iter().map(&signed) {
                let signed_weight = sign * self.weight(row);
                add_scaled(&mut rows, signed_weight * self.scale(row), self.row(row));
                weight += f64::from(signed_weight);
            }
            (rows, weight)
        };
        let partials: Vec<(Vec<f32>, f64)> = items.par_chunks(ROWS_A_TASK).map(partial).collect();
        let mut sum = Sum { rows: vec![0.0; self.dim], weight: 0.0 };
        for (rows, weight) in partials {
            sum.rows.iter_mut().zip(rows).for_each(|(sum, x)| *sum += f64::from(x));
            sum.weight += weight;
        }
        sum
    }

    /// Puts `count` of the rows, whose sum is `total`, before the others, so that the weighted squares within the two
    /// parts are small; returns the sum of the first part. The squares fall from pass to pass: with the means fixed, the
    /// best halves of these sizes are the smallest keys and the rest.
    fn bisect(&self, total: &Sum, rows: &mut [u32], count: usize, rng: &mut impl Rng) -> Sum {
        let mut means = [0, 1].map(|_| self.mean_of_one(rows[rng.random_range(0..rows.len())]));
        let mut left = Sum { rows: vec![0.0; self.dim], weight: 0.0 };
        let mut candidates: Vec<Candidate> =
            rows.iter().map(|&row| Candidate { key: 0.0, row, was_left: false }).collect();
        for _ in 0..PASSES {
            self.set_keys(&means, &mut candidates);
            let order = |a: &Candidate, b: &Candidate| a.key.total_cmp(&b.key).then(a.row.cmp(&b.row));
            candidates.select_nth_unstable_by(count, order);
            let moved = exchange(&mut candidates, count);
            left.add(&self.sum_signed(&moved, |&moved| moved));
            if moved.len() * STILL < rows.len() {
                break;
            }
            means = [left.mean(), total.minus(&left).mean()];
        }
        rows.iter_mut().zip(&candidates).for_each(|(row, candidate)| *row = candidate.row);
        left
    }

    fn mean_of_one(&self, row: u32) -> Vec<f64> {
        self.row(row).iter().map(|&x| f64::from(x * self.scale(row))).collect()
    }

    fn set_keys(&self, [left, right]: &[Vec<f64>; 2], candidates: &mut [Candidate]) {
        let direction: Vec<f32> = left.iter().zip(right).map(|(l, r)| 2.0 * (r - l) as f32).collect();
        let offset = left.iter().zip(right).map(|(l, r)| l * l - r * r).sum::<f64>() as f32;
        candidates.par_chunks_mut(ROWS_A_TASK).for_each(|candidates| {
            for at in 0..candidates.len() {
                if let Some(ahead) = candidates.get(at + AHEAD) {
                    prefetch(self.row(ahead.row));
                }
                let row = candidates[at].row;
                let difference = dot(&direction, self.row(row)) * self.scale(row) + offset;
                candidates[at].key = self.weight(row) * difference;
            }
        });
    }
}

/// Notes which half each candidate is in now, the first `count` being the left one, and returns those that changed, with
/// a sign for entering or leaving the left.
fn exchange(candidates: &mut [Candidate], count: usize) -> Vec<(u32, f32)> {
    let mut moved = Vec::new();
    for (at, candidate) in candidates.iter_mut().enumerate() {
        let is_left = at < count;
        if is_left != candidate.was_left {
            moved.push((candidate.row, if is_left { 1.0 } else { -1.0 }));
            candidate.was_left = is_left;
        }
    }
    moved
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.rows.iter_mut().zip(&other.rows).for_each(|(sum, x)| *sum += x);
        self.weight += other.weight;
    }

    fn minus(&self, other: &Self) -> Self {
        let rows = self.rows.iter().zip(&other.rows).map(|(all, part)| all - part).collect();
        Self { rows, weight: self.weight - other.weight }
    }

    fn mean(&self) -> Vec<f64> {
        self.rows.iter().map(|x| x / self.weight).collect()
    }
}
