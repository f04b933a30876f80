use rf_sampling::dot;

const EPS: f32 = 1e-8;

pub(super) fn step(row: &mut [f32], gradient: &[f32], sum: &mut [f32], rate: f32) {
    sum[0] += dot(gradient, gradient) / gradient.len() as f32;
    let rate = rate / (sum[0].sqrt() + EPS);
    row.iter_mut().zip(gradient).for_each(|(x, g)| *x -= rate * g);
}
