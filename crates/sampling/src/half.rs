//! Numbers of 16 bits.

use bytemuck::{Pod, Zeroable};

/// The upper half of an `f32` (bfloat16): its range, with 8 bits of precision.
///
/// Features of classes, and their sums, are kept in this form. Rounding moves a kernel estimate by less than a hundredth of the error that
/// the estimate has anyway, and halves what a draw reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Half(u16);

/// A number as it is kept in a table.
pub(crate) trait Number: Copy {
    fn widen(self) -> f32;

    /// The nearest one to a finite number.
    fn nearest(x: f32) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn nearest(x: f32) -> Self {
        x
    }
}

impl Number for Half {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// Of two, the even one.
    #[inline(always)]
    fn nearest(x: f32) -> Self {
        let bits = x.to_bits();
        Self(((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_errs_by_at_most_half_a_step_and_keeps_what_fits() {
        for x in (-1000..1000).map(|i| i as f32 * 0.001_234_5) {
            let error = (Half::nearest(x).widen() - x).abs();
            assert!(error <= x.abs() / 256.0, "{x}: {error}");
        }
        for x in [0.0, 1.0, -0.5, 1.5, 2.0f32.powi(-60), 3.0e38f32] {
            let kept = Half::nearest(x).widen();
            assert_eq!(Half::nearest(kept).widen(), kept);
        }
        // Between two halves, to the even one: 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷.
        assert_eq!(Half::nearest(1.0 + 2.0f32.powi(-8)).widen(), 1.0);
        assert_eq!(Half::nearest(1.0 + 3.0 * 2.0f32.powi(-8)).widen(), 1.0 + 2.0f32.powi(-6));
    }
}
