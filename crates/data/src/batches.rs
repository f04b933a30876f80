//! Contiguous batches of a token stream, for truncated back-propagation through time.

use rf_sampling::IGNORED;

use crate::Error;

/// A text of N tokens as B parallel streams, cut into windows of T steps.
///
/// Stream `b` takes the tokens `start_b .. start_{b+1}` of the text, in order. Every stream has
/// `floor(N / B)` tokens, and the first `N mod B` streams have one more. Hence each of the N tokens is a
/// target exactly once in a pass over all windows, at every B and T.
///
/// The input at a place is the token just before its target in the text. The first token of the text is
/// predicted from `<eos>`; the first token of a later stream is predicted from the last token of the stream
/// before it. The recurrent state at the start of a stream knows nothing of the tokens before: B − 1 places
/// of the text lose their context, which is why an exact evaluation uses a small B.
///
/// All windows have T steps except the last, which has the steps that remain. Where N is no multiple of B
/// the very last step has no token for the short streams: its target there is [`IGNORED`] and its input `<eos>`.
/// No other window holds an [`IGNORED`].
///
/// Windows are addressed by index, so that a run resumes at `window(i)` without reading the earlier ones.
///
/// # Example
/// ```
/// use rf_data::{Batches, IGNORED};
/// // Seven tokens in two streams: 1 2 3 4 and 5 6 7.
/// let batches = Batches::new(&[1, 2, 3, 4, 5, 6, 7], 0, 2, 3)?;
/// let (first, last) = (batches.window(0), batches.window(1));
/// assert_eq!((first.inputs, first.targets), (vec![0, 4, 1, 5, 2, 6], vec![1, 5, 2, 6, 3, 7]));
/// assert_eq!((last.inputs, last.targets), (vec![3, 0], vec![4, IGNORED]));
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Batches<'a> {
    tokens: &'a [u32],
    eos: u32,
    batch: usize,
    steps: usize,
}

/// One window: `steps` tokens of every stream, time-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// `[steps * batch]`; the place of step `t` of stream `b` is `t * batch + b`.
    pub inputs: Vec<u32>,
    /// `[steps * batch]`, in the same order; [`IGNORED`] where a stream has no token.
    pub targets: Vec<u32>,
    /// Steps in this window: T, or fewer in the last.
    pub steps: usize,
    /// Streams, B.
    pub batch: usize,
    /// Targets that are tokens: `steps * batch` less the ignored ones.
    pub scored: usize,
}

impl<'a> Batches<'a> {
    /// Lays out `tokens` in `batch` streams and windows of `steps`; `eos` stands before the first token.
    ///
    /// # Errors
    /// [`Error::Config`] if `batch` or `steps` is 0, or if there are fewer tokens than streams.
    pub fn new(tokens: &'a [u32], eos: u32, batch: usize, steps: usize) -> Result<Self, Error> {
        check_sizes(batch, steps)?;
        if batch > tokens.len() {
            return Err(Error::config("batch size", batch, format!("the text has only {} tokens", tokens.len())));
        }
        Ok(Self { tokens, eos, batch, steps })
    }

    /// Windows in one pass over the text: `ceil(ceil(N / B) / T)`.
    #[expect(clippy::len_without_is_empty, reason = "there is always one window")]
    pub fn len(&self) -> usize {
        self.rows().div_ceil(self.steps)
    }

    /// Targets in one pass: N.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Window `index` of a pass.
    ///
    /// # Panics
    /// If `index >= self.len()`.
    pub fn window(&self, index: usize) -> Window {
        assert!(index < self.len(), "window {index} of {}", self.len());
        let from = index * self.steps;
        let to = (from + self.steps).min(self.rows());
        let size = (to - from) * self.batch;
        let (mut inputs, mut targets) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for t in from..to {
            for b in 0..self.batch {
                let (input, target) = self.place(t, b);
                inputs.push(input);
                targets.push(target);
            }
        }
        let scored = targets.iter().filter(|&&target| target != IGNORED).count();
        Window { inputs, targets, steps: to - from, batch: self.batch, scored }
    }

    /// Every window of a pass, in order.
    pub fn iter(&self) -> impl Iterator<Item = Window> + '_ {
        (0..self.len()).map(|index| self.window(index))
    }

    /// Tokens of the longest stream.
    fn rows(&self) -> usize {
        self.tokens.len().div_ceil(self.batch)
    }

    /// Input and target at step `t` of stream `b`.
    fn place(&self, t: usize, b: usize) -> (u32, u32) {
        let (floor, longer) = (self.tokens.len() / self.batch, self.tokens.len() % self.batch);
        if t == floor && b >= longer {
            return (self.eos, IGNORED);
        }
        let at = b * floor + b.min(longer) + t;
        let input = if at == 0 { self.eos } else { self.tokens[at - 1] };
        (input, self.tokens[at])
    }
}

/// Refuses a window without places.
pub(crate) fn check_sizes(batch: usize, steps: usize) -> Result<(), Error> {
    match (batch, steps) {
        (0, _) => Err(Error::config("batch size", batch, "must be at least 1")),
        (_, 0) => Err(Error::config("steps per window", steps, "must be at least 1")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_a_target_once_and_follows_its_input() {
        for (n, batch, steps) in [(1, 1, 1), (10, 4, 2), (9, 4, 5), (97, 8, 3), (100, 10, 10), (7, 7, 2)] {
            let tokens: Vec<u32> = (1..=n).collect();
            let batches = Batches::new(&tokens, 0, batch, steps).unwrap();
            let mut seen = Vec::new();
            for window in batches.iter() {
                assert_eq!(window.targets.len(), window.steps * batch);
                for (&input, &target) in window.inputs.iter().zip(&window.targets) {
                    if target == IGNORED {
                        assert_eq!(input, 0);
                    } else {
                        assert_eq!(input + 1, target);
                        seen.push(target);
                    }
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, tokens, "n = {n}, B = {batch}, T = {steps}");
        }
    }

    #[test]
    fn a_stream_runs_on_from_window_to_window() {
        let tokens: Vec<u32> = (1..=23).collect();
        let batches = Batches::new(&tokens, 0, 3, 4).unwrap();
        let mut streams = vec![Vec::new(); 3];
        for window in batches.iter() {
            for (place, &target) in window.targets.iter().enumerate() {
                streams[place % 3].push(target);
            }
        }
        assert_eq!(streams[0], (1..=8).collect::<Vec<_>>());
        assert_eq!(streams[1], (9..=16).collect::<Vec<_>>());
        assert_eq!(streams[2], (17..=23).chain([IGNORED]).collect::<Vec<_>>());
    }

    #[test]
    fn only_the_last_window_is_short_or_padded() {
        let tokens = vec![5; 1003];
        let batches = Batches::new(&tokens, 0, 20, 7).unwrap();
        assert_eq!(batches.len(), 8);
        for index in 0..7 {
            assert_eq!((batches.window(index).steps, batches.window(index).scored), (7, 140));
        }
        assert_eq!((batches.window(7).steps, batches.window(7).scored), (2, 23));
    }

    #[test]
    fn impossible_layouts_are_refused() {
        assert!(Batches::new(&[1, 2], 0, 0, 1).is_err());
        assert!(Batches::new(&[1, 2], 0, 1, 0).is_err());
        let error = Batches::new(&[1, 2], 0, 3, 1).unwrap_err();
        assert_eq!(error.to_string(), "batch size = 3: the text has only 2 tokens");
    }

    #[test]
    #[should_panic(expected = "window 2 of 2")]
    fn a_window_past_the_end_panics() {
        Batches::new(&[1, 2, 3], 0, 1, 2).unwrap().window(2);
    }
}
