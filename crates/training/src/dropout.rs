use rand::Rng;
use rf_sampling::{Purpose, stream};

/// A mask of dropout: 0 with `probability`, else what keeps the mean.
///
/// It is a function of its arguments; burn's own dropout draws from a generator of the whole process, which no resumed
/// run could repeat. `place` tells apart the masks of a step. The probability is rounded to a multiple of 1/65,536, and
/// is at most 65,535/65,536, so that what is kept has a finite scale.
///
/// # Shapes
/// - output: `[len]`
///
/// # Example
/// ```
/// use rf_training::dropout_mask;
/// let mask = dropout_mask(0.5, 1_000, 1, 4, 0);
/// assert!(mask.iter().all(|&factor| factor == 0.0 || factor == 2.0));
/// assert_eq!(mask, dropout_mask(0.5, 1_000, 1, 4, 0));
/// ```
pub fn dropout_mask(probability: f64, len: usize, seed: u64, step: u64, place: u64) -> Vec<f32> {
    let mut bytes = vec![0; 2 * len];
    stream(seed, Purpose::Dropout, step, place).fill_bytes(&mut bytes);
    // 65,535 at most, so that something is kept.
    let threshold = ((probability * 65_536.0).round() as u32).min(65_535);
    let keep = 65_536.0 / (65_536 - threshold) as f32;
    let kept = |pair: &[u8]| u32::from(u16::from_le_bytes([pair[0], pair[1]])) >= threshold;
    bytes.chunks_exact(2).map(|pair| if kept(pair) { keep } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_differ_by_seed_step_and_place_and_repeat() {
        let masks = [(1, 4, 0), (2, 4, 0), (1, 5, 0), (1, 4, 1)].map(|(s, t, p)| dropout_mask(0.3, 400, s, t, p));
        assert!((1..4).all(|other| masks[0] != masks[other]));
        assert_eq!(masks[0], dropout_mask(0.3, 400, 1, 4, 0));
    }

    #[test]
    fn the_share_dropped_is_the_probability_and_the_mean_is_kept() {
        let mask = dropout_mask(0.3, 100_000, 1, 4, 0);
        let dropped = mask.iter().filter(|x| **x == 0.0).count() as f64 / 1e5;
        let mean = mask.iter().sum::<f32>() / 1e5;
        assert!((dropped - 0.3).abs() < 0.006 && (mean - 1.0).abs() < 0.01, "{dropped}, {mean}");
    }

    #[test]
    fn nearly_certain_dropout_still_has_a_finite_scale() {
        let mask = dropout_mask(1.0 - 1e-9, 200_000, 1, 4, 0);
        assert!(mask.iter().all(|&factor| factor == 0.0 || factor == 65_536.0));
        assert!(dropout_mask(0.0, 1_000, 1, 4, 0).iter().all(|&factor| factor == 1.0));
    }
}
