//! Draws by Gumbel variables, in one pass and with one random number for each logit.
//!
//! The largest of `o_i + G_i` is one draw, so `m` draws would take `m n` variables. With `G_i = -ln E_i` it is the
//! smallest of the arrival times `E_i / e^{o_i}` of independent Poisson processes, and the first `m` arrivals of all
//! processes together are `m` independent draws. So the `m` smallest first arrivals are kept, and only these classes can
//! arrive again in time: `n + O(m)` variables.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rf_sampling::{ClassId, Classes, Draw, Error};

use super::{BLOCK, ExactInBlocks, Query, total};

pub(super) fn draw(
    sampler: &ExactInBlocks,
    classes: Classes<'_>,
    queries: &[Query<'_>],
    points: &[&[f64]],
) -> Result<Vec<Vec<Draw>>, Error> {
    // The points are random: their first serves as the key of the query's own random numbers.
    let race = |points: &&[f64]| Race::new(points.len(), mix(points.first().map_or(0, |point| point.to_bits())));
    let races = || points.iter().map(race).collect::<Vec<_>>();
    let run = |(mut masses, mut races): (Vec<f32>, Vec<Race>), block: usize| {
        sampler.score(classes, queries, block, &mut masses);
        let rows = masses.chunks_exact(masses.len() / queries.len());
        races.iter_mut().zip(rows).for_each(|(race, row)| race.enter(row, block * BLOCK));
        (masses, races)
    };
    let join = |mut races: Vec<Race>, others: Vec<Race>| {
        races.iter_mut().zip(others).for_each(|(race, other)| race.join(other));
        races
    };
    let blocks = (0..sampler.blocks()).into_par_iter();
    let races = blocks.fold(|| (Vec::new(), races()), run).map(|state| state.1).reduce(races, join);
    races.into_iter().map(Race::finish).collect()
}

/// A class that has arrived.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    time: f64,
    class: ClassId,
    mass: f64,
}

/// The first arrivals of one query.
#[derive(Clone, Debug)]
struct Race {
    draws: usize,
    key: u64,
    /// At most `draws`, by time.
    arrivals: Vec<Arrival>,
    /// Later arrivals do not count.
    limit: f64,
    /// Sum of all masses.
    whole: f64,
}

impl Race {
    fn new(draws: usize, key: u64) -> Self {
        Self { draws, key, arrivals: Vec::with_capacity(draws + 1), limit: f64::INFINITY, whole: 0.0 }
    }

    /// The first arrivals of a block of classes.
    fn enter(&mut self, masses: &[f32], first: usize) {
        self.whole += total(masses);
        for (place, mass) in masses.iter().copied().map(f64::from).enumerate() {
            let class = first + place;
            let uniform = uniform(self.key, class as u64);
            // `-ln(1 - u) >= u`: most classes are out before their logarithm is taken, those of no mass always.
            if uniform < mass * self.limit {
                self.insert(Arrival { time: exponential(uniform) / mass, class: class as ClassId, mass });
            }
        }
    }

    fn insert(&mut self, arrival: Arrival) {
        if arrival.time < self.limit {
            let place = self.arrivals.partition_point(|other| other.time < arrival.time);
            self.arrivals.insert(place, arrival);
            self.arrivals.truncate(self.draws);
            if self.arrivals.len() == self.draws {
                self.limit = self.arrivals.last().map_or(self.limit, |last| last.time);
            }
        }
    }

    fn join(&mut self, other: Self) {
        self.whole += other.whole;
        other.arrivals.into_iter().for_each(|arrival| self.insert(arrival));
    }

    /// The first `draws` arrivals, repeated ones among them.
    fn finish(mut self) -> Result<Vec<Draw>, Error> {
        if self.arrivals.is_empty() {
            return Err(Error::NothingLeft);
        }
        let mut counts: BTreeMap<ClassId, (u32, f64)> = BTreeMap::new();
        self.limit = f64::INFINITY;
        for number in 0..self.draws {
            let arrival = self.arrivals.remove(0);
            counts.entry(arrival.class).or_insert((0, arrival.mass)).0 += 1;
            let pause = exponential(uniform(self.key, u64::MAX - number as u64)) / arrival.mass;
            self.insert(Arrival { time: arrival.time + pause, ..arrival });
        }
        let draw = |(class, (count, mass)): (ClassId, (u32, f64))| Draw {
            class,
            count,
            ln_prob: (mass / self.whole).ln() as f32,
        };
        Ok(counts.into_iter().map(draw).collect())
    }
}

fn exponential(uniform: f64) -> f64 {
    -(-uniform).ln_1p()
}

/// The number of a place in `[0, 1)`.
fn uniform(key: u64, place: u64) -> f64 {
    (mix(key.wrapping_add(place.wrapping_mul(0x9E37_79B9_7F4A_7C15))) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// The output function of SplitMix64 (Steele, Lea & Flood 2014): a draw costs a nanosecond, which for these many matters.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
