//! Draws by the inverse of the distribution function, block by block.

use rayon::prelude::*;
use rf_sampling::{ClassId, Classes, Draw, Error};

use super::{BLOCK, ExactInBlocks, Query, total};

pub(super) fn draw(
    sampler: &ExactInBlocks,
    classes: Classes<'_>,
    queries: &[Query<'_>],
    points: &[&[f64]],
) -> Result<Vec<Vec<Draw>>, Error> {
    // Sums `[blocks, queries]`: all that is kept of the first time that the classes are scored.
    let sums = |masses: &mut Vec<f32>, block: usize| -> Vec<f64> {
        sampler.score(classes, queries, block, masses);
        masses.chunks_exact(masses.len() / queries.len()).map(total).collect()
    };
    let sums: Vec<Vec<f64>> = (0..sampler.blocks()).into_par_iter().map_init(Vec::new, sums).collect();
    let pick = |(place, points): (usize, &&[f64])| {
        let sums: Vec<f64> = sums.iter().map(|sums| sums[place]).collect();
        pick(sampler, classes, &queries[place], &sums, points)
    };
    points.par_iter().enumerate().map(pick).collect()
}

/// Draws for one query: points find their block, and in it their class.
fn pick(
    sampler: &ExactInBlocks,
    classes: Classes<'_>,
    query: &Query<'_>,
    sums: &[f64],
    mut points: &[f64],
) -> Result<Vec<Draw>, Error> {
    let whole: f64 = sums.iter().sum();
    let last = sums.iter().rposition(|sum| *sum > 0.0).ok_or(Error::NothingLeft)?;
    let (mut start, mut masses, mut out) = (0.0, Vec::new(), Vec::new());
    for (block, sum) in sums[..=last].iter().enumerate() {
        let count = if block == last { points.len() } else { points.partition_point(|p| p * whole < start + sum) };
        if count > 0 {
            sampler.score(classes, std::slice::from_ref(query), block, &mut masses);
            scan(&masses, block * BLOCK, start, whole, &points[..count], &mut out);
        }
        (points, start) = (&points[count..], start + sum);
    }
    Ok(out)
}

/// Points within a block; those that rounding pushes past its end go to its last class with any mass.
fn scan(masses: &[f32], first: usize, mut start: f64, whole: f64, mut points: &[f64], out: &mut Vec<Draw>) {
    let Some(last) = masses.iter().rposition(|mass| *mass > 0.0) else { return };
    for (place, mass) in masses[..=last].iter().copied().map(f64::from).enumerate().filter(|(_, mass)| *mass > 0.0) {
        start += mass;
        let count = if place == last { points.len() } else { points.partition_point(|p| p * whole < start) };
        if count > 0 {
            let ln_prob = (mass / whole).ln() as f32;
            out.push(Draw { class: (first + place) as ClassId, count: count as u32, ln_prob });
            points = &points[count..];
        }
        if points.is_empty() {
            return;
        }
    }
}
