//! Repetitions, their parts, and what is kept of them.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use rf_sampling::Work;

use crate::args::Bench;

/// A row that nobody asked a number of repetitions for ends after this time …
const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// … but not before this many.
const AT_LEAST: usize = 5;

/// How often something is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Repetitions before those that count: caches, thread pools and the allocator settle.
    pub warm_up: usize,
    /// Repetitions that count, at most.
    repeats: usize,
    /// Time after which no more begin.
    limit: Option<Duration>,
}

impl Pace {
    /// As many as were asked for, or as many as usual and as time allows.
    pub fn new(bench: Bench, repeat: Option<NonZeroUsize>) -> Self {
        let usual = match bench {
            Bench::Draws => 101,
            Bench::Step => 21,
        };
        let limit = if repeat.is_some() { None } else { Some(LONG_ENOUGH) };
        Self { warm_up: 3, repeats: repeat.map_or(usual, NonZeroUsize::get), limit }
    }

    /// Repeats `once`, which is given the number of the repetition.
    pub fn run(self, mut once: impl FnMut(u64) -> anyhow::Result<Lap>) -> anyhow::Result<Laps> {
        let mut laps = Vec::new();
        for number in 0..self.warm_up {
            once(number as u64)?;
        }
        let began = Instant::now();
        while laps.len() < self.repeats {
            laps.push(once((self.warm_up + laps.len()) as u64)?);
            if laps.len() >= AT_LEAST && self.limit.is_some_and(|limit| began.elapsed() > limit) {
                break;
            }
        }
        Ok(Laps(laps))
    }
}

/// One repetition.
#[derive(Clone, Debug, Default)]
pub struct Lap {
    /// Milliseconds of each part.
    pub parts: Vec<(&'static str, f64)>,
    /// What was done in it.
    pub counts: Counts,
}

/// What a repetition did, or the mean over several.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Distinct class rows that the loss read.
    pub distinct_rows: f64,
    /// Pairs of a query and a row that were scored in the loss.
    pub pairs: f64,
    /// Masses of tree nodes estimated in draws.
    pub node_masses: f64,
    /// Masses of single classes computed in draws.
    pub class_masses: f64,
    /// Nodes brought up to date by the refresh.
    pub nodes_refreshed: f64,
}

impl Counts {
    /// Of one repetition.
    pub fn new(distinct_rows: usize, pairs: usize, work: Work) -> Self {
        Self {
            distinct_rows: distinct_rows as f64,
            pairs: pairs as f64,
            node_masses: work.node_masses as f64,
            class_masses: work.class_masses as f64,
            nodes_refreshed: work.nodes_refreshed as f64,
        }
    }
}

/// Cuts a stretch of time into parts.
#[derive(Debug)]
pub struct Stopwatch {
    last: Instant,
    parts: Vec<(&'static str, f64)>,
}

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Self {
        Self { last: Instant::now(), parts: Vec::with_capacity(8) }
    }

    /// Ends a part, and begins the next.
    pub fn lap(&mut self, part: &'static str) {
        let now = Instant::now();
        self.parts.push((part, milliseconds(now - self.last)));
        self.last = now;
    }

    /// Leaves what was done since the last part out of all parts.
    pub fn skip(&mut self) {
        self.last = Instant::now();
    }

    /// The parts so far.
    pub fn parts(self) -> Vec<(&'static str, f64)> {
        self.parts
    }
}

/// A duration in milliseconds.
pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// All repetitions that count, at least one.
#[derive(Clone, Debug)]
pub struct Laps(Vec<Lap>);

/// Median and range of a time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Half of the repetitions took less.
    pub median: f64,
    /// The fastest.
    pub min: f64,
    /// The slowest.
    pub max: f64,
}

impl Laps {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The sum of the given parts in each repetition, over all of them.
    pub fn times(&self, parts: &[&str]) -> Times {
        let sum = |lap: &Lap| lap.parts.iter().filter(|part| parts.contains(&part.0)).map(|part| part.1).sum();
        let mut times: Vec<f64> = self.0.iter().map(sum).collect();
        times.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| tenth_of_a_microsecond(times[place]);
        Times { median: at(times.len() / 2), min: at(0), max: at(times.len() - 1) }
    }

    /// Median of every part by itself.
    pub fn medians(&self) -> BTreeMap<&'static str, f64> {
        let names = self.0[0].parts.iter().map(|part| part.0);
        names.map(|name| (name, self.times(&[name]).median)).collect()
    }

    /// Mean of the counts.
    pub fn counts(&self) -> Counts {
        let mean = |field: fn(&Counts) -> f64| {
            let mean = self.0.iter().map(|lap| field(&lap.counts)).sum::<f64>() / self.len() as f64;
            (mean * 10.0).round() / 10.0
        };
        Counts {
            distinct_rows: mean(|counts| counts.distinct_rows),
            pairs: mean(|counts| counts.pairs),
            node_masses: mean(|counts| counts.node_masses),
            class_masses: mean(|counts| counts.class_masses),
            nodes_refreshed: mean(|counts| counts.nodes_refreshed),
        }
    }
}

fn tenth_of_a_microsecond(milliseconds: f64) -> f64 {
    (milliseconds * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lap(first: f64, second: f64) -> Lap {
        Lap { parts: vec![("first", first), ("second", second)], counts: Counts { pairs: first, ..Counts::default() } }
    }

    #[test]
    fn warm_up_does_not_count_and_the_number_asked_for_is_kept() {
        let pace = Pace::new(Bench::Step, NonZeroUsize::new(4));
        let mut seen = Vec::new();
        let laps = pace.run(|number| {
            seen.push(number);
            Ok(lap(number as f64, 0.0))
        });
        let laps = laps.unwrap();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((laps.len(), laps.times(&["first"]).min), (4, 3.0));
    }

    #[test]
    fn slow_repetitions_are_cut_short_but_not_below_five() {
        let pace = Pace { warm_up: 0, repeats: 100, limit: Some(Duration::ZERO) };
        assert_eq!(pace.run(|_| Ok(lap(1.0, 1.0))).unwrap().len(), AT_LEAST);
    }

    #[test]
    fn what_is_skipped_belongs_to_no_part() {
        let long = Duration::from_secs(60);
        for (skips, wanted) in [(true, 0.0..3e4), (false, 6e4..f64::INFINITY)] {
            let mut watch = Stopwatch { last: Instant::now() - long, parts: Vec::new() };
            if skips {
                watch.skip();
            }
            watch.lap("part");
            assert!(wanted.contains(&watch.parts()[0].1), "{skips}");
        }
    }

    #[test]
    fn a_median_of_sums_is_taken_over_repetitions() {
        let laps = Laps(vec![lap(1.0, 9.0), lap(2.0, 2.0), lap(3.0, 4.0)]);
        assert_eq!(laps.times(&["first", "second"]), Times { median: 7.0, min: 4.0, max: 10.0 });
        assert_eq!(laps.medians(), BTreeMap::from([("first", 2.0), ("second", 4.0)]));
        assert_eq!(laps.counts().pairs, 2.0);
    }
}
