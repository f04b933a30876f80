//! Times a draw from the proposals that know no query: one at a time, and by inversion at sorted points, 100 a query.
//!
//! `cargo run --release -p rf-sampling --example static_draws`

use std::hint::black_box;
use std::time::Instant;

use rand::distr::Distribution;
use rf_sampling::{Classes, Error, Law, Points, Purpose, Sampler, SamplerConfig, UnigramConfig, stream};

const QUERIES: usize = 2_000;
const DRAWS: usize = 100;
const REPETITIONS: usize = 7;

fn main() -> Result<(), Error> {
    println!(
        "nanoseconds a draw, fastest of {REPETITIONS} | sample | draw_at | draw_at, target excluded | points alone"
    );
    for n in [10_000, 1_000_000, 10_000_000] {
        // Zipf's counts, in an order that has nothing to do with frequency.
        let counts: Vec<u64> = (0..n as u64).map(|i| 10_000_000 / (1 + i * 7_919 % n as u64)).collect();
        let rows = vec![0.0; n];
        let classes = Classes::new(&rows, 1);
        let unigram = SamplerConfig::Unigram(UnigramConfig::default());
        for config in [SamplerConfig::Uniform {}, SamplerConfig::LogUniform {}, unigram] {
            let sampler = config.build(classes, &counts, 1)?;
            let law = sampler.at(&[1.0], classes)?;
            let excluded = [(n / 2) as u32];
            let single = time(|query| {
                let mut rng = stream(1, Purpose::Draws, 0, query);
                for _ in 0..DRAWS {
                    black_box(law.sample(&mut rng));
                }
            });
            let at_points = |excluded: &[u32]| {
                time(|query| {
                    let points = Points::Independent.choose(DRAWS, &mut stream(1, Purpose::Draws, 0, query));
                    let mut out = Vec::with_capacity(DRAWS);
                    law.draw_at(&points, excluded, &mut out).expect("something is left");
                    black_box(out);
                })
            };
            let points = time(|query| {
                black_box(Points::Independent.choose(DRAWS, &mut stream(1, Purpose::Draws, 0, query)));
            });
            let (all, without) = (at_points(&[]), at_points(&excluded));
            println!("n = {n}, {}: {single:.1} | {all:.1} | {without:.1} | {points:.1}", config.name());
        }
    }
    Ok(())
}

/// Nanoseconds a draw when `query` is done for every query.
fn time(query: impl Fn(u64)) -> f64 {
    let run = || {
        let began = Instant::now();
        (0..QUERIES as u64).for_each(&query);
        began.elapsed().as_secs_f64() * 1e9 / (QUERIES * DRAWS) as f64
    };
    (0..REPETITIONS).map(|_| run()).fold(f64::INFINITY, f64::min)
}
