//! From a law to counted draws: points of the unit interval, one query, a whole batch.

use std::borrow::Cow;
use std::ops::Range;

use rand::{Rng, RngExt};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ClassId, Classes, Error, Law, Purpose, Sampler, stream};

/// A drawn class, how often it was drawn, and the logarithm of its probability under the law it was drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// The class.
    pub class: ClassId,
    /// How many of the draws fell on it, at least 1.
    pub count: u32,
    /// `ln q'(class)`, in nats, of the law without the excluded classes.
    pub ln_prob: f32,
}

/// How the `m` points of the unit interval are chosen. Both give `E[count_i] = m q_i` exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Points {
    /// Independent draws with replacement, as published.
    #[default]
    Independent,
    /// One random offset for all points, `(k + u) / m`: counts differ from `m q_i` by less than one, so their variance
    /// is never above that of independent draws.
    Systematic,
}

impl Points {
    /// `m` ascending points in `[0, 1)`.
    pub fn choose(self, m: usize, rng: &mut impl Rng) -> Vec<f64> {
        let mut points: Vec<f64> = match self {
            Self::Independent => (0..m).map(|_| rng.random()).collect(),
            Self::Systematic => {
                let offset: f64 = rng.random();
                (0..m).map(|k| (k as f64 + offset) / m as f64).collect()
            }
        };
        points.sort_unstable_by(f64::total_cmp);
        points
    }
}

/// One draw from a law, for its `rand::distr::Distribution`.
pub(crate) fn sample_one<R: Rng + ?Sized>(law: &impl Law, rng: &mut R) -> ClassId {
    let mut out = Vec::with_capacity(1);
    law.draw_at(&[rng.random()], &[], &mut out).expect("nothing is excluded, so something is left");
    out[0].class
}

/// Collects the points that fall on each class of a law over `first, first + 1, …` with masses laid end to end on `span`.
pub(crate) fn scan(masses: &[f32], total: f64, first: usize, span: Span, points: &[f64], out: &mut Vec<Draw>) {
    share_out(masses, total, span, points, |i, span, taken| {
        let (class, count) = ((first + i) as ClassId, taken.len() as u32);
        out.push(Draw { class, count, ln_prob: span.mass.ln() as f32 });
    });
}

/// Lays masses end to end on a span and gives the points that fall on each to `sink`: the number of the mass, its own
/// span, the range of its points.
///
/// Mass `i` has the share `masses[i] / total` of the span. Masses of zero never get a point: points that rounding pushes
/// past the end go to the last positive mass.
pub(crate) fn share_out<M: Copy + Into<f64>>(
    masses: &[M],
    total: f64,
    span: Span,
    points: &[f64],
    mut sink: impl FnMut(usize, Span, Range<usize>),
) {
    let Some(last) = masses.iter().rposition(|&mass| mass.into() > 0.0) else { return };
    // Points are brought to the unit of the masses: one product each, where a division for each mass would stand.
    let scale = total / span.mass;
    let (mut cumulative, mut from) = (0.0, 0);
    for (i, mass) in masses[..=last].iter().map(|&mass| mass.into()).enumerate().filter(|(_, mass)| *mass > 0.0) {
        let before = cumulative;
        cumulative += mass;
        let below = |point: &&f64| i == last || (**point - span.start) * scale < cumulative;
        let to = from + points[from..].iter().take_while(below).count();
        if to > from {
            let start = span.start + span.mass * (before / total);
            sink(i, Span { start, mass: span.mass * (mass / total) }, from..to);
            from = to;
        }
        if from == points.len() {
            return;
        }
    }
}

/// A stretch of the unit interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub start: f64,
    pub mass: f64,
}

impl Span {
    pub const WHOLE: Self = Self { start: 0.0, mass: 1.0 };
}

/// Queries that draw together, the unit of parallel work: they share the nodes that they read, so a block holds up to 64,
/// but a small batch is cut in two. A function of the batch alone, so that results do not depend on the number of threads.
fn queries_a_block(batch: usize) -> usize {
    batch.div_ceil(2).clamp(4, 64)
}

/// What to draw for a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchRequest<'a> {
    /// Queries as they enter the logits, `[B, d]`.
    pub queries: &'a [f32],
    /// Draws per query `m`, or of the whole batch `M` where it shares them.
    pub draws: usize,
    /// How the points are chosen.
    pub points: Points,
    /// Seed of the run.
    pub seed: u64,
    /// Step of the run: with the seed and the query's number it fixes the random numbers.
    pub step: u64,
}

/// Draws for every query of a batch, in parallel over queries. `excluded(b)` are the classes (ascending) that query `b`
/// must not draw; `None` skips the query.
///
/// The result is a function of the request alone, whatever the number of threads.
///
/// # Errors
/// The first error in the order of queries.
pub fn draw_batch<'e, S: Sampler>(
    sampler: &S,
    classes: Classes<'_>,
    request: BatchRequest<'_>,
    excluded: impl Fn(usize) -> Option<&'e [ClassId]> + Sync,
) -> Result<Vec<Vec<Draw>>, Error> {
    let dim = classes.dim();
    let size = queries_a_block(request.queries.len() / dim);
    let blocks: Vec<Result<Vec<Vec<Draw>>, Error>> = request
        .queries
        .par_chunks(size * dim)
        .enumerate()
        .map(|(block, queries)| draw_block(sampler, classes, request, block * size, queries, &excluded))
        .collect();
    let mut draws = Vec::with_capacity(request.queries.len() / dim);
    for block in blocks {
        draws.extend(block?);
    }
    Ok(draws)
}

/// Points of a shared law that one parallel task follows.
const POINTS_A_TASK: usize = 256;

/// Place of the random numbers of a batch that shares its draws. No query has it.
const BATCH_PLACE: u64 = u64::MAX;

/// Draws once for a whole batch: `M` draws from its [shared law](Sampler::shared_law), and that law, which knows the
/// probability of any class. Nothing is excluded: each query leaves its own target out of what it compares.
///
/// The result is a function of the request alone, whatever the number of threads.
///
/// # Errors
/// Those of [`shared_law`](Sampler::shared_law).
pub fn draw_shared<'a, S: Sampler>(
    sampler: &'a S,
    classes: Classes<'a>,
    request: BatchRequest<'_>,
) -> Result<(Vec<Draw>, S::Law<'a>), Error> {
    let law = sampler.shared_law(request.queries, classes)?;
    let mut rng = stream(request.seed, Purpose::Draws, request.step, BATCH_PLACE);
    let points = request.points.choose(request.draws, &mut rng);
    let drawn: Result<Vec<Vec<Draw>>, Error> = points
        .par_chunks(POINTS_A_TASK)
        .map(|points| {
            let mut draws = Vec::with_capacity(points.len());
            law.draw_at(points, &[], &mut draws).map(|()| draws)
        })
        .collect();
    Ok((join(drawn?), law))
}

/// Draws at consecutive stretches of points, as one: where two stretches part the points of a class, its counts are added.
fn join(stretches: Vec<Vec<Draw>>) -> Vec<Draw> {
    let mut joined: Vec<Draw> = Vec::with_capacity(stretches.iter().map(Vec::len).sum());
    for mut draws in stretches {
        match (joined.last_mut(), draws.first()) {
            (Some(last), Some(first)) if last.class == first.class => {
                last.count += first.count;
                joined.extend(draws.drain(1..));
            }
            _ => joined.append(&mut draws),
        }
    }
    joined
}

/// `ln q(class | h)` of the classes that `asked` names for each query of a batch, one query after the other, in parallel
/// over queries.
///
/// # Shapes
/// - queries: `[B, d]`
/// - output: as many as are asked for
///
/// # Errors
/// [`Error::BadQuery`] if a query is not finite.
pub fn ln_prob_batch<'c, S: Sampler>(
    sampler: &S,
    classes: Classes<'_>,
    queries: &[f32],
    asked: impl Fn(usize) -> &'c [ClassId] + Sync,
) -> Result<Vec<f32>, Error> {
    let dim = classes.dim();
    let size = queries_a_block(queries.len() / dim);
    let block = |(number, queries): (usize, &[f32])| -> Result<Vec<f32>, Error> {
        let features = sampler.features(queries, classes);
        let (first, count) = (number * size, queries.len() / dim);
        let width = features.len() / count;
        let mut ln_probs = Vec::new();
        for place in (0..count).filter(|place| !asked(first + place).is_empty()) {
            let features = Cow::Borrowed(&features[place * width..][..width]);
            let law = sampler.law(&queries[place * dim..][..dim], features, classes)?;
            ln_probs.extend(asked(first + place).iter().map(|&class| law.ln_prob(class)));
        }
        Ok(ln_probs)
    };
    let blocks: Result<Vec<Vec<f32>>, Error> = queries.par_chunks(size * dim).enumerate().map(block).collect();
    Ok(blocks?.concat())
}

fn draw_block<'e, S: Sampler>(
    sampler: &S,
    classes: Classes<'_>,
    request: BatchRequest<'_>,
    first: usize,
    queries: &[f32],
    excluded: &impl Fn(usize) -> Option<&'e [ClassId]>,
) -> Result<Vec<Vec<Draw>>, Error> {
    let features = sampler.features(queries, classes);
    let count = queries.len() / classes.dim();
    let task = |place: usize| {
        let mut rng = stream(request.seed, Purpose::Draws, request.step, (first + place) as u64);
        let points = request.points.choose(request.draws, &mut rng);
        Some(Task { place, points, excluded: excluded(first + place)? })
    };
    let tasks: Vec<Task<'_>> = (0..count).filter_map(task).collect();
    let block = Block { queries, features: &features, count, classes, tasks };
    let mut draws = vec![Vec::new(); count];
    for (task, drawn) in block.tasks.iter().zip(sampler.draw_block(&block)?) {
        draws[task.place] = drawn;
    }
    Ok(draws)
}

/// Queries that draw together.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// `[count, d]`.
    pub queries: &'a [f32],
    /// Their features, `[count, width]` for a width of the sampler's own.
    pub features: &'a [f32],
    /// Number of queries.
    pub count: usize,
    /// The class table.
    pub classes: Classes<'a>,
    /// Who draws what.
    pub tasks: Vec<Task<'a>>,
}

/// The draws of one query of a [`Block`].
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// The query's place in the block.
    pub place: usize,
    /// Points of the cumulative distribution, ascending.
    pub points: Vec<f64>,
    /// Classes that must not be drawn, ascending.
    pub excluded: &'a [ClassId],
}

impl<'a> Block<'a> {
    /// The query of a task and its features.
    pub fn query(&self, task: &Task<'_>) -> (&'a [f32], &'a [f32]) {
        let row = |all: &'a [f32]| &all[task.place * (all.len() / self.count)..][..all.len() / self.count];
        (row(self.queries), row(self.features))
    }
}
