//! The fast Walsh–Hadamard transform.

/// Stages that rotate the index, one for each of its bits that lies within a vector register.
const ROTATIONS: u32 = 4;

/// `x ← R H x` with `H` the Walsh–Hadamard matrix, `H_ij = (-1)^popcount(i & j)`, and `R` a fixed permutation. O(p log
/// p).
///
/// `R` rotates the bits of the index by four. It lets every stage work on whole registers: the first four write sums
/// and differences side by side, which moves the highest bit of the index to the lowest place, so that the bits still
/// to be done all stand above those of a register. `R` commutes with `H`, as any permutation of bits does.
///
/// Inlined, so that it is compiled for the processor that its caller is compiled for.
///
/// # Shapes
/// - x, other: `[p]`, p a power of two; `other` is workspace
#[inline(always)]
pub(super) fn rotated_hadamard(x: &mut [f32], other: &mut [f32]) {
    let stages = x.len().ilog2();
    // Two stages with each copy, so that the result ends where it began.
    for stage in 0..ROTATIONS.min(stages) {
        if stage % 2 == 0 { rotate(x, other) } else { rotate(other, x) }
    }
    if ROTATIONS.min(stages) % 2 == 1 {
        x.copy_from_slice(other);
    }
    let mut stride = 1 << ROTATIONS;
    while 4 * stride <= x.len() {
        x.chunks_exact_mut(4 * stride).for_each(|group| two_stages(group, stride));
        stride *= 4;
    }
    if 2 * stride <= x.len() {
        x.chunks_exact_mut(2 * stride).for_each(|group| {
            let (low, high) = group.split_at_mut(stride);
            low.iter_mut().zip(high).for_each(|(a, b)| (*a, *b) = (*a + *b, *a - *b));
        });
    }
}

/// The stage of the highest bit, which becomes the lowest.
#[inline(always)]
fn rotate(from: &[f32], to: &mut [f32]) {
    let (low, high) = from.split_at(from.len() / 2);
    let pairs = to.as_chunks_mut::<2>().0;
    pairs.iter_mut().zip(low.iter().zip(high)).for_each(|(pair, (a, b))| *pair = [a + b, a - b]);
}

/// The stages of `stride` and `2 stride` in one pass over `4 stride` numbers.
#[inline(always)]
fn two_stages(group: &mut [f32], stride: usize) {
    let (low, high) = group.split_at_mut(2 * stride);
    let ((a, b), (c, d)) = (low.split_at_mut(stride), high.split_at_mut(stride));
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        let (sum, difference) = (*a + *b, *a - *b);
        let (high_sum, high_difference) = (*c + *d, *c - *d);
        (*a, *b, *c, *d) = (sum + high_sum, difference + high_difference, sum - high_sum, difference - high_difference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_is_the_matrix_up_to_a_rotation_of_the_index() {
        for stages in 0..11u32 {
            let p = 1 << stages;
            let x: Vec<f32> = (0..p).map(|i| (i as f32 * 0.7).sin()).collect();
            let (mut got, mut other) = (x.clone(), vec![f32::NAN; p]);
            rotated_hadamard(&mut got, &mut other);
            for row in 0..p {
                let sign = |column: usize| if (row & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
                let want: f64 = x.iter().enumerate().map(|(column, &x)| sign(column) * f64::from(x)).sum();
                let turns = ROTATIONS.min(stages);
                let place = (row << turns | row >> (stages - turns)) & (p - 1);
                assert!((f64::from(got[place]) - want).abs() < 1e-4, "p = {p}, row {row}: {} for {want}", got[place]);
            }
        }
    }
}
