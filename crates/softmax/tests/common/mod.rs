//! The small problem that the tests of the sampled losses share.

use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{Purpose, stream};

pub const N: usize = 40;
pub const D: usize = 8;
pub const B: usize = 6;
pub const TARGETS: [u32; B] = [3, 17, 0, 39, 3, 8];

pub fn normals(count: usize, place: u64) -> Vec<f32> {
    let mut rng = stream(1, Purpose::Init, 9, place);
    (0..count).map(|_| StandardNormal.sample(&mut rng)).collect()
}
