//! Maps of vectors to features, on one thread: `cargo bench -p rf-sampling --bench feature_maps`.
//!
//! A full block of 32 vectors and a single one, with the maps that differ in cost (`orthogonal` costs what `fourier`
//! does).

use divan::Bencher;
use divan::counter::ItemsCount;
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{FeatureMapKind, Purpose, stream};

const DIMS: [usize; 4] = [64, 128, 256, 512];

fn main() {
    divan::main();
}

fn map(bencher: Bencher<'_, '_>, kind: FeatureMapKind, dim: usize, frequencies: usize, vectors: usize) {
    let map = kind.build(dim, frequencies, 4.0, 1);
    let mut rng = stream(1, Purpose::Data, 0, 0);
    let rows: Vec<f32> = (0..vectors * dim).map(|_| StandardNormal.sample(&mut rng)).collect();
    let scale = 1.0 / (dim as f32).sqrt();
    bencher.counter(ItemsCount::new(vectors)).bench_local(|| {
        let mut sum = 0.0;
        map.map(vectors, |i| (&rows[i * dim..][..dim], scale), |_, phi| sum += phi[0]);
        sum
    });
}

/// Frequencies as a constant, components as an argument, so that a table has a row for each of them.
macro_rules! maps {
    ($($module:ident: $vectors:literal),*) => {$(
        mod $module {
            use super::*;

            #[divan::bench(args = DIMS, consts = [256, 1024, 4096])]
            fn fourier<const D: usize>(bencher: Bencher<'_, '_>, dim: usize) {
                map(bencher, FeatureMapKind::Fourier, dim, D, $vectors);
            }

            #[divan::bench(args = DIMS, consts = [256, 1024, 4096])]
            fn structured<const D: usize>(bencher: Bencher<'_, '_>, dim: usize) {
                map(bencher, FeatureMapKind::Structured, dim, D, $vectors);
            }

            #[divan::bench(args = DIMS, consts = [256, 1024, 4096])]
            fn positive<const D: usize>(bencher: Bencher<'_, '_>, dim: usize) {
                map(bencher, FeatureMapKind::Positive, dim, D, $vectors);
            }
        }
    )*};
}

maps!(block: 32, single: 1);
