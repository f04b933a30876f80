const EPS: f32 = 1e-10;

pub(super) fn step(row: &mut [f32], gradient: &[f32], sums: &mut [f32], rate: f32) {
    for ((x, g), sum) in row.iter_mut().zip(gradient).zip(sums) {
        *sum += g * g;
        *x -= rate * g / (sum.sqrt() + EPS);
    }
}
