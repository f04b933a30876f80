//! Elementary functions over slices, written so that the compiler vectorises them.

use multiversion::multiversion;

use crate::half::{Half, Number};

/// `x ← eˣ` for every element. Relative error below 2e-7 × max(1, |x|); below -87 the result is 0, above 88 infinite.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn exp_in_place(xs: &mut [f32]) {
    for x in xs {
        // Cody and Waite: x = k ln 2 + r with |r| <= ln 2 / 2, then a polynomial in r and the exponent bits of k.
        let clamped = x.clamp(-87.0, 88.0);
        let biased = clamped * std::f32::consts::LOG2_E + ROUND;
        let k = biased - ROUND;
        let r = clamped - k * 0.693_359_4 + k * 2.121_944_4e-4;
        let tail = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r
            + 1.666_666_5e-1)
            * r
            + 0.5;
        let mantissa = tail * r * r + r + 1.0;
        let power = f32::from_bits(integer(biased).wrapping_add(127) << 23);
        let value = mantissa * power;
        let value = if *x < -87.0 { 0.0 } else { value };
        let value = if *x > 88.0 { f32::INFINITY } else { value };
        *x = if x.is_nan() { f32::NAN } else { value };
    }
}

/// Adding and subtracting `1.5 · 2²³` rounds a small float to the nearest integer on every processor.
const ROUND: f32 = 12_582_912.0;

/// The integer `k` of a float `k + ROUND`, modulo 2³²: it stands in the low bits. A cast would saturate, which the
/// compiler does one number at a time.
#[inline(always)]
fn integer(biased: f32) -> u32 {
    biased.to_bits().wrapping_sub(ROUND.to_bits())
}

/// `cos ← scale · cos x`, `sin ← scale · sin x` for every element. Absolute error below 2e-7 × scale while |x| < 1,000.
///
/// # Panics
/// If the three slices differ in length.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn cos_sin(xs: &[f32], scale: f32, cos: &mut [f32], sin: &mut [f32]) {
    assert!(xs.len() == cos.len() && xs.len() == sin.len());
    for ((x, c), s) in xs.iter().zip(cos).zip(sin) {
        // x = k π/2 + r in three parts of π/2, then polynomials on |r| <= π/4 and the quadrant's signs.
        let biased = x * std::f32::consts::FRAC_2_PI + ROUND;
        let k = biased - ROUND;
        let r = ((x - k * 1.570_312_5) - k * 4.837_513e-4) - k * 7.549_79e-8;
        let r2 = r * r;
        let sine = ((-1.951_529_6e-4 * r2 + 8.332_161e-3) * r2 - 1.666_665_5e-1) * r2 * r + r;
        let cosine = ((2.443_315_7e-5 * r2 - 1.388_731_6e-3) * r2 + 4.166_664_6e-2) * r2 * r2 - 0.5 * r2 + 1.0;
        let quadrant = integer(biased);
        let swap = quadrant & 1 != 0;
        let (base_sin, base_cos) = (if swap { cosine } else { sine }, if swap { sine } else { cosine });
        let sin_sign = if quadrant & 2 != 0 { -scale } else { scale };
        let cos_sign = if quadrant.wrapping_add(1) & 2 != 0 { -scale } else { scale };
        *s = base_sin * sin_sign;
        *c = base_cos * cos_sign;
    }
}

/// [`add_scaled`] of numbers of either width.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn add_scaled_of<T: Number>(to: &mut [f32], scale: f32, from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += scale * from.widen());
}

/// `to += scale * from`, over the shorter of the two.
pub fn add_scaled(to: &mut [f32], scale: f32, from: &[f32]) {
    add_scaled_of(to, scale, from);
}

/// `to ← from`, each number rounded to 16 bits.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn narrow(from: &[f32], to: &mut [Half]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = Half::nearest(*from));
}

/// The sum of rows that lie side by side, added up in 32 bits.
///
/// # Shapes
/// - rows: `[k, sum.len()]`
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn sum_rows<T: Number>(rows: &[T], sum: &mut [T]) {
    let width = sum.len();
    for (block, sum) in sum.chunks_mut(SUMMED).enumerate() {
        let mut total = [0.0; SUMMED];
        for row in rows.chunks_exact(width) {
            total.iter_mut().zip(&row[block * SUMMED..]).for_each(|(total, x)| *total += x.widen());
        }
        sum.iter_mut().zip(total).for_each(|(sum, total)| *sum = T::nearest(total));
    }
}

/// Numbers of a row that are added up at a time: two AVX-512 registers.
const SUMMED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_library() {
        let xs: Vec<f32> = (-8_600..8_700).map(|i| i as f32 * 0.01).collect();
        let mut got = xs.clone();
        exp_in_place(&mut got);
        for (x, y) in xs.iter().zip(&got) {
            let want = f64::from(*x).exp();
            assert!((f64::from(*y) - want).abs() <= 2e-7 * want * f64::from(x.abs().max(1.0)), "exp({x}) = {y}");
        }
    }

    #[test]
    fn exp_keeps_its_limits() {
        let mut xs = [f32::NEG_INFINITY, -1e9, 0.0, 1e9, f32::INFINITY, f32::NAN];
        exp_in_place(&mut xs);
        assert_eq!(xs[..5], [0.0, 0.0, 1.0, f32::INFINITY, f32::INFINITY]);
        assert!(xs[5].is_nan());
    }

    #[test]
    fn cos_sin_agree_with_the_library() {
        let xs: Vec<f32> = (-100_000..100_000).map(|i| i as f32 * 0.01).collect();
        let (mut cos, mut sin) = (vec![0.0; xs.len()], vec![0.0; xs.len()]);
        cos_sin(&xs, 0.5, &mut cos, &mut sin);
        for ((x, c), s) in xs.iter().zip(&cos).zip(&sin) {
            let (want_sin, want_cos) = f64::from(*x).sin_cos();
            assert!((f64::from(*c) - 0.5 * want_cos).abs() < 1e-7, "cos({x})");
            assert!((f64::from(*s) - 0.5 * want_sin).abs() < 1e-7, "sin({x})");
        }
    }
}
