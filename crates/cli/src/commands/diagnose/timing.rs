//! What the draws and the refresh of a query cost.

use std::time::{Duration, Instant};

use rf_sampling::{
    AnySampler, BatchRequest, ClassId, Classes, Draw, Error, Points, Probes, Sampler, SamplerConfig, draw_batch,
};

/// Repetitions that count end after so many …
const AT_MOST: usize = 21;

/// … or after this time …
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// … but not before so many.
const AT_LEAST: usize = 3;

/// How much a refresh moves a row: about as much as a training step.
const STEP: f32 = 1e-3;

/// Costs of a query, when all queries draw as one batch and the rows that they touch are refreshed together.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Median of the draws, in milliseconds.
    pub draw: f64,
    /// Median of the refresh, in milliseconds.
    pub refresh: f64,
    /// Class rows scored.
    pub rows_read: f64,
}

/// What all samplers are timed on.
pub struct Clock<'a> {
    pub probes: &'a Probes,
    pub classes: Classes<'a>,
    /// Draws of each query.
    pub draws: usize,
    pub seed: u64,
    /// A copy of the table, whose rows move in refreshes.
    table: Vec<f32>,
}

impl<'a> Clock<'a> {
    /// With the table as it is.
    pub fn new(probes: &'a Probes, classes: Classes<'a>, draws: usize, seed: u64) -> Self {
        Self { probes, classes, draws, seed, table: classes.rows().to_vec() }
    }

    /// Times draws and refreshes of a sampler, which is left with rounding errors of rows that moved there and back.
    pub fn time(&mut self, config: &SamplerConfig, sampler: &mut AnySampler) -> Result<Timing, Error> {
        let (draw, rows_read) = self.time_draws(config, sampler)?;
        let refresh = self.time_refresh(sampler)?;
        Ok(Timing { draw, refresh, rows_read })
    }

    fn time_draws(&self, config: &SamplerConfig, sampler: &AnySampler) -> Result<(f64, f64), Error> {
        let (before, mut batches) = (sampler.work(), 0);
        let time = median(|number| {
            batches += 1;
            let began = Instant::now();
            self.draw(sampler, number)?;
            Ok(began.elapsed())
        })?;
        let masses = (sampler.work() - before).class_masses as f64;
        let rows_read = match config {
            // Its matrix product keeps no count: all rows, for every query.
            SamplerConfig::Exp {} => self.classes.len() as f64,
            _ => masses / (batches * self.probes.len()) as f64,
        };
        Ok((self.per_query(time), rows_read))
    }

    fn draw(&self, sampler: &AnySampler, number: u64) -> Result<Vec<Vec<Draw>>, Error> {
        let (queries, points) = (self.probes.queries(), Points::Independent);
        let request = BatchRequest { queries, draws: self.draws, points, seed: self.seed, step: number };
        draw_batch(sampler, self.classes, request, |query| Some(self.probes.excluded(query)))
    }

    fn time_refresh(&mut self, sampler: &mut AnySampler) -> Result<f64, Error> {
        let ids = self.touched(&self.draw(sampler, 0)?);
        let width = self.classes.width();
        let place = |id: &ClassId| *id as usize * width..(*id as usize + 1) * width;
        let original: Vec<f32> = ids.iter().flat_map(|id| &self.classes.rows()[place(id)]).copied().collect();
        let moved: Vec<f32> = original.iter().map(|x| x + STEP * (1.0 + x.abs())).collect();
        let time = median(|number| {
            let (before, after) = if number % 2 == 0 { (&original, &moved) } else { (&moved, &original) };
            ids.iter().zip(after.chunks_exact(width)).for_each(|(id, row)| self.table[place(id)].copy_from_slice(row));
            let began = Instant::now();
            sampler.refresh(&ids, before, self.classes.with_rows(&self.table))?;
            Ok(began.elapsed())
        });
        ids.iter().for_each(|id| self.table[place(id)].copy_from_slice(&self.classes.rows()[place(id)]));
        Ok(self.per_query(time?))
    }

    /// The distinct classes of a batch: its draws and its targets.
    fn touched(&self, draws: &[Vec<Draw>]) -> Vec<ClassId> {
        let targets = (0..self.probes.len()).map(|query| self.probes.target(query));
        let mut ids: Vec<ClassId> = draws.iter().flatten().map(|draw| draw.class).chain(targets).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn per_query(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e3 / self.probes.len() as f64
    }
}

/// Median time of repetitions, after one of warm-up.
fn median(mut once: impl FnMut(u64) -> Result<Duration, Error>) -> Result<Duration, Error> {
    once(0)?;
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.len() < AT_LEAST || (times.len() < AT_MOST && began.elapsed() < LONG_ENOUGH) {
        times.push(once(1 + times.len() as u64)?);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

#[cfg(test)]
mod tests {
    use rf_sampling::RffConfig;

    use super::*;

    #[test]
    fn the_table_is_as_before_and_the_rows_read_are_counted() {
        let rows: Vec<f32> = (0..60).map(|i| (i as f32 * 0.7).sin()).collect();
        let classes = Classes::new(&rows, 3).normalized();
        let probes = Probes::new(rows[..6].to_vec(), 3, vec![4, 7], vec![vec![4], vec![7]]);
        let mut clock = Clock::new(&probes, classes, 5, 1);
        // One leaf, which every query scores once for its draws and once for the class it leaves out.
        let tree = SamplerConfig::Rff(RffConfig { features: 8, leaf_size: Some(32), ..RffConfig::default() });
        for (config, wanted) in
            [(tree, 20.0..=40.0), (SamplerConfig::Exp {}, 20.0..=20.0), (SamplerConfig::Uniform {}, 0.0..=0.0)]
        {
            let mut sampler = config.build(classes, &[], 1).unwrap();
            let timing = clock.time(&config, &mut sampler).unwrap();
            assert!(wanted.contains(&timing.rows_read) && timing.draw > 0.0, "{config:?}: {timing:?}");
            assert_eq!(clock.table, rows);
        }
    }

    #[test]
    fn warm_up_does_not_count_and_slow_repetitions_are_few() {
        let mut calls = 0;
        let time = median(|number| {
            calls += 1;
            Ok(Duration::from_secs(if number == 0 { 9 } else { 1 }))
        });
        assert_eq!((time, calls), (Ok(Duration::from_secs(1)), 1 + AT_MOST));
    }
}
