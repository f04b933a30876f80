//! How near MIDX comes to the softmax, by quantiser and codewords, and what a quantisation takes.
//!
//! `cargo run --release -p rf-sampling --example midx_quality [CLASSES]`
//!
//! Class directions of d = 64 around 100 centres, 64 queries near a class of theirs, tau = 11.1.

use std::time::Instant;

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{
    BatchRequest, Classes, Error, Midx, MidxConfig, Points, Purpose, Quantizer, Sampler, Uniform, draw_batch, quality,
    stream,
};

const DIM: usize = 64;
const CENTRES: usize = 100;
const QUERIES: usize = 64;
const TAU: f32 = 11.1;
const NOISE: f32 = 0.9;
const DRAWS: usize = 100;

fn main() -> Result<(), Error> {
    let n = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let (rows, queries) = mixture(n);
    let classes = Classes::new(&rows, DIM).normalized();
    let (kl, chi) = mean(&Uniform, &queries, classes)?;
    println!("n = {n}, d = {DIM}; uniform: KL {kl:.3}, chi-squared {chi:.1}");
    println!("quantizer, K | KL | chi-squared | error | buckets | build, ms | quantisation, ms | a query, µs");
    for quantizer in [Quantizer::Pq, Quantizer::Rq] {
        for codewords in [16, 32, 64, 128, 256] {
            let config = MidxConfig { quantizer, codewords, refresh_every: 1, ..Default::default() };
            let began = Instant::now();
            let mut midx = config.build(classes, &[], 1)?;
            let build = began.elapsed().as_secs_f64() * 1e3;
            let (kl, chi) = mean(&midx, &queries, classes)?;
            let error = midx.quantization_error(classes);
            let quantisation = moved(&mut midx, &rows)?;
            let query = draw(&midx, classes, &queries)?;
            let buckets = midx.buckets();
            println!(
                "{quantizer:?}, {codewords} | {kl:.3} | {chi:.2} | {error:.3} | {buckets} | {build:.0} | \
                 {quantisation:.0} | {query:.1}"
            );
        }
    }
    Ok(())
}

/// Rows and queries.
fn mixture(n: usize) -> (Vec<f32>, Vec<f32>) {
    let mut rng = stream(1, Purpose::Data, 0, 0);
    let centres: Vec<Vec<f32>> = (0..CENTRES).map(|_| direction(&[0.0; DIM], 1.0, &mut rng)).collect();
    let rows: Vec<f32> = (0..n).flat_map(|i| direction(&centres[i % CENTRES], NOISE, &mut rng)).collect();
    let query = |i: usize| direction(&rows[(i * 37 % n) * DIM..][..DIM], NOISE, &mut rng);
    let queries = (0..QUERIES).flat_map(query).map(|x| TAU * x).collect();
    (rows, queries)
}

/// A random direction near a centre: noise of the given length is added.
fn direction(centre: &[f32], noise: f32, rng: &mut impl Rng) -> Vec<f32> {
    let scale = noise / (DIM as f32).sqrt();
    let mut near = || -> f32 { StandardNormal.sample(rng) };
    let point: Vec<f32> = centre.iter().map(|x| x + scale * near()).collect();
    let norm = point.iter().map(|x| x * x).sum::<f32>().sqrt();
    point.into_iter().map(|x| x / norm).collect()
}

/// Mean KL and chi-squared over the queries.
fn mean<S: Sampler>(sampler: &S, queries: &[f32], classes: Classes<'_>) -> Result<(f64, f64), Error> {
    let mut sum = (0.0, 0.0);
    for query in queries.chunks_exact(DIM) {
        let quality = quality(sampler, query, classes)?;
        sum = (sum.0 + quality.kl / QUERIES as f64, sum.1 + quality.chi_squared / QUERIES as f64);
    }
    Ok(sum)
}

/// Milliseconds of a quantisation of rows that have moved a little.
fn moved(midx: &mut Midx, rows: &[f32]) -> Result<f64, Error> {
    let mut rng = stream(2, Purpose::Data, 0, 0);
    let mut noise = || -> f32 { StandardNormal.sample(&mut rng) };
    let rows: Vec<f32> = rows.iter().map(|x| x + 0.02 * noise()).collect();
    let began = Instant::now();
    midx.refresh(&[], &[], Classes::new(&rows, DIM).normalized())?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// Microseconds of 100 draws for a query of a batch, the fastest of several.
fn draw(midx: &Midx, classes: Classes<'_>, queries: &[f32]) -> Result<f64, Error> {
    let mut fastest = f64::INFINITY;
    for step in 0..20 {
        let request = BatchRequest { queries, draws: DRAWS, points: Points::Independent, seed: 1, step };
        let began = Instant::now();
        draw_batch(midx, classes, request, |_| Some(&[]))?;
        fastest = fastest.min(began.elapsed().as_secs_f64() * 1e6 / QUERIES as f64);
    }
    Ok(fastest)
}
