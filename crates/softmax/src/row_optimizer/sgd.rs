pub(super) fn step(row: &mut [f32], gradient: &[f32], rate: f32) {
    row.iter_mut().zip(gradient).for_each(|(x, g)| *x -= rate * g);
}
