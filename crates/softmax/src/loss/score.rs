//! From logits to what the softmax exponentiates.

/// How a logit, bias included, enters the softmax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Score {
    /// As it is, `p ∝ exp(o)`.
    Plain,
    /// By its size, `p ∝ exp(|o|)`: the absolute softmax (Blanc & Rendle 2018, section 3.3).
    Absolute,
}

impl Score {
    /// The score of a logit.
    pub fn of(self, logit: f32) -> f32 {
        match self {
            Self::Plain => logit,
            Self::Absolute => logit.abs(),
        }
    }

    /// The derivative of the score; at zero, where `|o|` has none, one of its two sides.
    pub fn slope(self, logit: f32) -> f32 {
        match self {
            Self::Plain => 1.0,
            Self::Absolute => 1.0f32.copysign(logit),
        }
    }

    /// Turns a row of logits into scores, and returns the slopes, which turn gradients of scores into those of logits.
    pub fn apply(self, logits: &mut [f32]) -> Slopes {
        if self == Self::Plain {
            return Slopes { signs: Vec::new() };
        }
        let signs = logits.chunks(32).map(sign_bits).collect();
        logits.iter_mut().for_each(|logit| *logit = logit.abs());
        Slopes { signs }
    }
}

/// The slopes of a row: the sign of each logit, a bit each, 32 in a word; empty if all are one.
pub(crate) struct Slopes {
    signs: Vec<u32>,
}

impl Slopes {
    /// Multiplies each gradient with its slope.
    pub fn apply(&self, gradients: &mut [f32]) {
        for (gradients, signs) in gradients.chunks_mut(32).zip(&self.signs) {
            let signed = gradients.iter_mut().enumerate();
            signed.for_each(|(at, gradient)| *gradient = f32::from_bits(gradient.to_bits() ^ (signs >> at & 1) << 31));
        }
    }
}

fn sign_bits(logits: &[f32]) -> u32 {
    logits.iter().enumerate().fold(0, |bits, (at, logit)| bits | (logit.to_bits() >> 31) << at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_scored_and_sloped_as_its_logits_are_one_by_one() {
        let logits: Vec<f32> = (0..70).map(|i| (i as f32 * 1.7).sin() * 5.0).collect();
        for score in [Score::Plain, Score::Absolute] {
            let mut row = logits.clone();
            let slopes = score.apply(&mut row);
            assert_eq!(row, logits.iter().map(|&logit| score.of(logit)).collect::<Vec<_>>());
            let mut gradients: Vec<f32> = (0..70).map(|i| i as f32 - 30.0).collect();
            let want: Vec<f32> = gradients.iter().zip(&logits).map(|(g, &logit)| g * score.slope(logit)).collect();
            slopes.apply(&mut gradients);
            assert_eq!(gradients, want);
        }
    }
}
