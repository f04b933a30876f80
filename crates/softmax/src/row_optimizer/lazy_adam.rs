use multiversion::multiversion;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPS: f32 = 1e-8;

/// Learning rate with both bias corrections, the same for all rows of a step.
pub(crate) struct Factors {
    rate: f32,
    inverse_root: f32,
}

impl Factors {
    pub(crate) fn new(rate: f32, step: u64) -> Self {
        let step = step.min(i32::MAX as u64) as i32;
        let correction = |beta: f32| 1.0 - f64::from(beta).powi(step);
        Self {
            rate: (f64::from(rate) / correction(BETA_1)) as f32,
            inverse_root: (1.0 / correction(BETA_2).sqrt()) as f32,
        }
    }

    /// The rate, and one over the root of the correction of the second moment.
    #[cfg(feature = "device")]
    pub(crate) fn parts(&self) -> (f32, f32) {
        (self.rate, self.inverse_root)
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn step(row: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], factors: &Factors) {
    for (((x, g), m), v) in row.iter_mut().zip(gradient).zip(first).zip(second) {
        *m = BETA_1 * *m + (1.0 - BETA_1) * g;
        *v = BETA_2 * *v + (1.0 - BETA_2) * g * g;
        *x -= factors.rate * *m / (v.sqrt() * factors.inverse_root + EPS);
    }
}
