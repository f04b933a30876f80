//! Refresh of a tree after a step: `cargo bench -p rf-sampling --bench refresh`.
//!
//! 1,000 touched rows of d = 64, evenly spread; D = 256, leaves of 128. `rfs bench step` shows it within a whole step.

use divan::Bencher;
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{ClassId, Classes, LeafLaw, Purpose, RffConfig, Sampler, stream};

const DIM: usize = 64;
const TOUCHED: usize = 1_000;

fn main() {
    divan::main();
}

#[divan::bench(args = [10_000, 100_000], sample_count = 50)]
fn gauss_256(bencher: Bencher<'_, '_>, n: usize) {
    let mut rng = stream(1, Purpose::Data, 0, 0);
    let rows: Vec<f32> = (0..n * DIM).map(|_| StandardNormal.sample(&mut rng)).collect();
    let classes = Classes::new(&rows, DIM).normalized();
    let config = RffConfig { features: 256, leaf_law: LeafLaw::Gauss, ..RffConfig::default() };
    let mut tree = config.build(classes, &[], 1).expect("it fits the memory");
    let mut turn = 0;
    let next = || {
        turn += 1;
        let ids: Vec<ClassId> = (0..TOUCHED).map(|k| (k * (n / TOUCHED) + turn % (n / TOUCHED)) as ClassId).collect();
        let before: Vec<f32> = ids.iter().flat_map(|&id| classes.embedding(id as usize)).copied().collect();
        (ids, before)
    };
    bencher.with_inputs(next).bench_local_refs(|(ids, before)| tree.refresh(ids, before, classes));
}
