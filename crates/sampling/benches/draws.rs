//! Feature map and draws of a batch: `cargo bench -p rf-sampling --bench draws`.
//!
//! d = 64, B = 10 fresh queries each time. `rfs bench draws` shows the same in parts, beside other samplers.

use divan::Bencher;
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{
    BatchRequest, Classes, ExactSoftmax, LeafLaw, Points, Purpose, RffConfig, Sampler, draw_batch, stream,
};

const DIM: usize = 64;
const BATCH: usize = 10;

fn main() {
    divan::main();
}

fn normals(rows: usize, place: u64) -> Vec<f32> {
    let mut rng = stream(1, Purpose::Data, 0, place);
    (0..rows * DIM).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// Times what is done with batches of queries, each a new one.
fn over_batches<T>(bencher: Bencher<'_, '_>, mut work: impl FnMut(&[f32]) -> T) {
    let mut place = 0;
    let next = || {
        place += 1;
        normals(BATCH, place)
    };
    bencher.with_inputs(next).bench_local_refs(|queries| work(queries));
}

fn draw(bencher: Bencher<'_, '_>, sampler: &impl Sampler, classes: Classes<'_>) {
    over_batches(bencher, |queries| {
        let request = BatchRequest { queries, draws: 10, points: Points::Independent, seed: 1, step: 0 };
        draw_batch(sampler, classes, request, |_| Some(&[0])).map(|draws| draws.len())
    });
}

#[divan::bench(args = [256, 1024])]
fn features(bencher: Bencher<'_, '_>, frequencies: usize) {
    let rows = normals(100, 0);
    let classes = Classes::new(&rows, DIM).normalized();
    let config = RffConfig { features: frequencies, leaf_law: LeafLaw::Gauss, ..RffConfig::default() };
    let tree = config.build(classes, &[], 1).expect("a small tree");
    over_batches(bencher, |queries| tree.features(queries, classes));
}

#[divan::bench(args = [10_000, 100_000], sample_count = 50)]
fn rff_gauss_256(bencher: Bencher<'_, '_>, n: usize) {
    let rows = normals(n, 0);
    let classes = Classes::new(&rows, DIM).normalized();
    let config = RffConfig { features: 256, leaf_law: LeafLaw::Gauss, ..RffConfig::default() };
    draw(bencher, &config.build(classes, &[], 1).expect("it fits the memory"), classes);
}

#[divan::bench(args = [10_000, 100_000], sample_count = 50)]
fn exp(bencher: Bencher<'_, '_>, n: usize) {
    let rows = normals(n, 0);
    draw(bencher, &ExactSoftmax, Classes::new(&rows, DIM).normalized());
}
