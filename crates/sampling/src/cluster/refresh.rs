//! Keeping the moments true: touched rows after a step, a few whole leaves in turn, and everything at the start.

use rayon::prelude::*;

use super::ClusterSampler;
use super::shape::Shape;
use crate::grouping::Touched;
use crate::rows::split_rows;
use crate::tree::{LARGEST_BIAS, REBUILT_LEAVES};
use crate::{ClassId, Classes, Error, Leaves, Work};

/// Leaves that one parallel task brings up to date.
const LEAVES_A_TASK: usize = 16;

/// The touched rows of a refresh.
struct Change<'a> {
    ids: &'a [ClassId],
    /// By slot.
    touched: Vec<Touched>,
    before: &'a [f32],
    classes: Classes<'a>,
    /// Scale and weight of the rows before.
    old: Vec<(f32, f32)>,
}

impl ClusterSampler {
    /// Sums every leaf anew. O(n d).
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a row is not finite; the sampler then keeps its old state.
    pub fn rebuild(&mut self, classes: Classes<'_>) -> Result<(), Error> {
        let ids: Vec<ClassId> = (0..classes.len() as ClassId).collect();
        let new = self.scales(&ids, classes)?;
        self.exchange(&ids, &new);
        self.sum_all(classes);
        Ok(())
    }

    pub(super) fn refresh_rows(&mut self, ids: &[ClassId], before: &[f32], classes: Classes<'_>) -> Result<(), Error> {
        assert_eq!(classes.len(), self.len(), "the table has another number of classes than the sampler");
        assert!(before.len() >= ids.len() * classes.width(), "one row before the step for each changed class");
        let every = self.config.regroup_every;
        if self.regroups() && every > 0 && (self.steps + 1).is_multiple_of(every) {
            self.regroup(classes)?;
            self.steps += 1;
            return Ok(());
        }
        let new = self.scales(ids, classes)?;
        let old = self.exchange(ids, &new);
        self.steps += 1;
        let touched = self.shape.leaves.touched(ids);
        self.update(&Change { ids, touched, before, classes, old });
        self.next_rebuild = (self.next_rebuild + REBUILT_LEAVES) % self.shape.leaves.leaves();
        Ok(())
    }

    /// Groups the classes anew by the rows as they are now, and sums everything. O(n d log n).
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a row is not finite; the sampler then keeps its old state.
    pub fn regroup(&mut self, classes: Classes<'_>) -> Result<(), Error> {
        let leaves = self.config.plan(self.len()).arrange(classes, &self.counts, self.seed)?;
        self.rebuild_over(leaves, classes)
    }

    /// Sums everything over other leaves of the same sizes.
    pub(super) fn rebuild_over(&mut self, leaves: Leaves, classes: Classes<'_>) -> Result<(), Error> {
        let kept = std::mem::replace(&mut self.shape.leaves, leaves);
        if let Err(error) = self.rebuild(classes) {
            self.shape.leaves = kept;
            return Err(error);
        }
        self.frequencies = frequencies(&self.shape, &self.counts);
        Ok(())
    }

    /// Scale and weight of the rows of some classes.
    fn scales(&self, ids: &[ClassId], classes: Classes<'_>) -> Result<Vec<(f32, f32)>, Error> {
        let scales = |&id: &ClassId| {
            let class = id as usize;
            classes.check(class, id)?;
            let scale = if classes.is_normalized() { classes.inverse_norm(class) } else { 1.0 };
            Ok((scale, classes.bias(class).clamp(-LARGEST_BIAS, LARGEST_BIAS).exp()))
        };
        ids.par_iter().with_min_len(256).map(scales).collect()
    }

    /// Puts new scales and weights in the place of the old ones, which it returns.
    fn exchange(&mut self, ids: &[ClassId], new: &[(f32, f32)]) -> Vec<(f32, f32)> {
        let put = |table: &mut Vec<f32>, class: usize, new: f32| match table.get_mut(class) {
            Some(old) => std::mem::replace(old, new),
            None => 1.0,
        };
        let exchange = |(&id, &(scale, weight)): (&ClassId, &(f32, f32))| {
            let class = id as usize;
            (put(&mut self.inverse_norms, class, scale), put(&mut self.weights, class, weight))
        };
        ids.iter().zip(new).map(exchange).collect()
    }

    fn sum_all(&mut self, classes: Classes<'_>) {
        let change = Change { ids: &[], touched: Vec::new(), before: &[], classes, old: Vec::new() };
        let leaves: Vec<u32> = (0..self.shape.leaves.leaves() as u32).collect();
        self.sum_leaves(&leaves, &change, |_| true);
        (0..self.shape.groups()).for_each(|group| self.sum_group(group));
    }

    fn update(&mut self, change: &Change<'_>) {
        let leaves = self.shape.leaves.leaves();
        let mut ids: Vec<u32> =
            change.touched.iter().map(|touched| self.shape.leaves.leaf_of(touched.slot as usize) as u32).collect();
        let next = self.next_rebuild;
        let turn = move |leaf: u32| (leaf as usize + leaves - next) % leaves < REBUILT_LEAVES;
        ids.extend((0..REBUILT_LEAVES.min(leaves)).map(|k| ((next + k) % leaves) as u32));
        ids.sort_unstable();
        ids.dedup();
        let deltas = self.sum_leaves(&ids, change, turn);
        let groups = self.update_groups(&ids, &deltas);
        self.work.add(Work { nodes_refreshed: (ids.len() + groups) as u64, ..Work::default() });
    }

    /// Brings the given leaves up to date, and those that `anew` names from all their classes. Under three levels returns
    /// by how much their sums moved.
    fn sum_leaves(&mut self, ids: &[u32], change: &Change<'_>, anew: impl Fn(u32) -> bool + Sync) -> Vec<f32> {
        let three = self.shape.groups() > 0;
        let (sum_width, width) = (self.moments.sum_width(), self.moments.operand_width());
        let (mut sums, mut operands) =
            (std::mem::take(&mut self.moments.sums), std::mem::take(&mut self.moments.operands));
        let pieces = split_rows(&mut sums, sum_width, ids, LEAVES_A_TASK).into_par_iter();
        let operands_of = split_rows(&mut operands, width, ids, LEAVES_A_TASK);
        let parts = pieces.zip(operands_of).map(|(mut sums, mut operands)| {
            let (mut ln_weights, mut deltas) = (Vec::new(), Vec::new());
            for (k, &leaf) in sums.ids.iter().enumerate() {
                let sum = sums.row(k);
                let from = deltas.len();
                deltas.extend(sum.iter().take(if three { sum_width } else { 0 }).map(|old| -old));
                self.sum_leaf(leaf as usize, anew(leaf), change, sum);
                deltas[from..].iter_mut().zip(&*sum).for_each(|(delta, new)| *delta += new);
                ln_weights.push(self.moments.derive(sum, operands.row(k)));
            }
            (ln_weights, deltas)
        });
        let parts: Vec<(Vec<f32>, Vec<f32>)> = parts.collect();
        (self.moments.sums, self.moments.operands) = (sums, operands);
        let (ln_weights, deltas): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        ids.iter().zip(ln_weights.concat()).for_each(|(&leaf, ln)| self.moments.ln_weights[leaf as usize] = ln);
        deltas.concat()
    }

    fn sum_leaf(&self, leaf: usize, anew: bool, change: &Change<'_>, sum: &mut [f32]) {
        let slots = self.shape.leaves.slots(leaf);
        let touched = Touched::within(&change.touched, slots.clone());
        let moments = &self.moments;
        let add = |class: usize, sum: &mut [f32]| {
            moments.add(sum, change.classes.embedding(class), self.scale_of(class), self.weight_of(class));
        };
        if anew || 2 * touched.len() >= slots.len() {
            sum.fill(0.0);
            self.classes_of(leaf).for_each(|class| add(class, sum));
            return;
        }
        for touched in touched {
            let (at, (scale, weight)) = (touched.at as usize, change.old[touched.at as usize]);
            let (width, dim) = (change.classes.width(), change.classes.dim());
            moments.add(sum, &change.before[at * width..][..dim], scale, -weight);
            add(change.ids[at] as usize, sum);
        }
    }

    /// Moves the sums of the groups above some leaves, and sums one group in turn anew. Returns how many moved.
    fn update_groups(&mut self, leaves: &[u32], deltas: &[f32]) -> usize {
        let groups = self.shape.groups();
        if groups == 0 {
            return 0;
        }
        let width = self.moments.sum_width();
        let mut touched = Vec::new();
        for (&leaf, delta) in leaves.iter().zip(deltas.chunks_exact(width)) {
            let row = self.shape.group_row(leaf as usize).expect("there are groups");
            let sum = &mut self.moments.sums[row * width..][..width];
            sum.iter_mut().zip(delta).for_each(|(sum, delta)| *sum += delta);
            touched.push(row);
        }
        touched.dedup();
        touched.iter().for_each(|&row| self.derive_row(row));
        self.sum_group((self.next_rebuild / REBUILT_LEAVES) % groups);
        touched.len()
    }

    /// Sums a group from its leaves.
    fn sum_group(&mut self, group: usize) {
        let (leaves, width) = (self.shape.children(1, group), self.moments.sum_width());
        let row = self.shape.leaves.leaves() + group;
        let (below, above) = self.moments.sums.split_at_mut(row * width);
        let sum = &mut above[..width];
        sum.fill(0.0);
        for leaf in below[leaves.start * width..leaves.end * width].chunks_exact(width) {
            sum.iter_mut().zip(leaf).for_each(|(sum, leaf)| *sum += leaf);
        }
        self.derive_row(row);
    }

    /// Makes what queries are multiplied with from the sums of a node.
    pub(super) fn derive_row(&mut self, row: usize) {
        let (sum_width, width) = (self.moments.sum_width(), self.moments.operand_width());
        let mut operand = std::mem::take(&mut self.moments.operands);
        let sum = &self.moments.sums[row * sum_width..][..sum_width];
        let ln_weight = self.moments.derive(sum, &mut operand[row * width..][..width]);
        self.moments.operands = operand;
        self.moments.ln_weights[row] = ln_weight;
    }
}

/// The share of every node in the law of frequencies, `count + 1` over the sum; all classes alike if counts are unknown.
pub(super) fn frequencies(shape: &Shape, counts: &[u64]) -> Vec<f32> {
    let count = |slot| counts.get(shape.leaves.class_at(slot) as usize).map_or(1, |count| count + 1);
    let leaf = |leaf| shape.leaves.slots(leaf).map(count).sum::<u64>();
    let leaves: Vec<u64> = (0..shape.leaves.leaves()).into_par_iter().map(leaf).collect();
    let total = leaves.iter().sum::<u64>() as f64;
    let shares: Vec<f32> = leaves.iter().map(|&count| (count as f64 / total) as f32).collect();
    let groups = (0..shape.groups()).map(|group| shape.children(1, group).map(|leaf| shares[leaf]).sum());
    shares.iter().copied().chain(groups).collect()
}
