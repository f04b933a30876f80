//! Three texts, and the windows that a model is trained on.

use crate::batches::Batches;
use crate::shards::{ShardPlace, ShardWindows, Shards};
use crate::{Error, Known, Vocabulary, Window};

/// One of the three texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What a model learns from.
    Train = 0,
    /// What choices are made on.
    Valid = 1,
    /// What is reported.
    Test = 2,
}

/// A vocabulary and three texts in its ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Corpus {
    /// The classes.
    pub vocabulary: Vocabulary,
    /// The text to train on.
    pub train: TrainText,
    /// Validation tokens.
    pub valid: Vec<u32>,
    /// Test tokens.
    pub test: Vec<u32>,
    /// What the best models reach, where the law of the text is known.
    pub known: Option<Known>,
}

/// A text to train on.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainText {
    /// Its tokens, in memory.
    Whole(Vec<u32>),
    /// Files that are read as they are needed.
    Shards(Shards),
}

/// The windows of a training text, one after another, over as many epochs as are asked for.
///
/// # Example
/// ```
/// use rf_data::{DataConfig, SyntheticConfig};
/// let config = DataConfig::Synthetic(SyntheticConfig { train_tokens: 10_000, ..Default::default() });
/// let corpus = config.load(&rf_data::data_root(), 1)?;
/// let mut windows = corpus.windows(20, 35)?;
/// assert_eq!(windows.per_epoch(), 15);
/// let first = windows.next_window()?;
/// // A run that stopped after one step goes on with the second.
/// let place = windows.place();
/// let mut again = corpus.windows(20, 35)?;
/// again.go_to(1, place.as_ref())?;
/// assert_eq!(again.next_window()?, windows.next_window()?);
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Debug)]
pub enum Windows<'a> {
    /// Windows over a text in memory: addressed by the step.
    Whole {
        /// The windows of an epoch.
        batches: Batches<'a>,
        /// Windows that were given so far.
        given: u64,
    },
    /// Windows over a stream.
    Shards(ShardWindows<'a>),
}

impl TrainText {
    /// Tokens of the text, one `<eos>` a line among them: N.
    pub fn tokens(&self) -> u64 {
        match self {
            Self::Whole(tokens) => tokens.len() as u64,
            Self::Shards(shards) => shards.tokens(),
        }
    }
}

impl Corpus {
    /// The training windows of `batch` streams and `steps` tokens, from the first on.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that do not fit the text; those of the first file of a stream.
    pub fn windows(&self, batch: usize, steps: usize) -> Result<Windows<'_>, Error> {
        match &self.train {
            TrainText::Whole(tokens) => {
                let batches = Batches::new(tokens, self.vocabulary.eos(), batch, steps)?;
                Ok(Windows::Whole { batches, given: 0 })
            }
            TrainText::Shards(shards) => Ok(Windows::Shards(shards.windows(&self.vocabulary, batch, steps)?)),
        }
    }
}

impl Windows<'_> {
    /// Windows of an epoch.
    pub fn per_epoch(&self) -> u64 {
        match self {
            Self::Whole { batches, .. } => batches.len() as u64,
            Self::Shards(windows) => windows.per_epoch(),
        }
    }

    /// Whether the next window starts the text anew: what came before is no context of it.
    ///
    /// A stream starts once. In later epochs its lanes go on in the middle of their sentences.
    pub fn start_anew(&self) -> bool {
        match self {
            Self::Whole { batches, given } => given.is_multiple_of(batches.len() as u64),
            Self::Shards(_) => false,
        }
    }

    /// The next window.
    ///
    /// # Errors
    /// Those of the files of a stream.
    pub fn next_window(&mut self) -> Result<Window, Error> {
        match self {
            Self::Whole { batches, given } => {
                let window = batches.window((*given % batches.len() as u64) as usize);
                *given += 1;
                Ok(window)
            }
            Self::Shards(windows) => windows.next_window(),
        }
    }

    /// What is to be kept to go on here; nothing where the step says it all.
    pub fn place(&self) -> Option<ShardPlace> {
        match self {
            Self::Whole { .. } => None,
            Self::Shards(windows) => Some(windows.place()),
        }
    }

    /// Goes on after `step` windows, of which [`place`](Self::place) was kept.
    ///
    /// # Errors
    /// [`Error::OtherText`] if the place is none in this text; those of the files of a stream.
    pub fn go_to(&mut self, step: u64, place: Option<&ShardPlace>) -> Result<(), Error> {
        match (self, place) {
            (Self::Whole { given, .. }, None) => *given = step,
            (Self::Shards(windows), Some(place)) => windows.go_to(place)?,
            (Self::Shards(_), None) => return Err(other("in memory then, a stream now")),
            (Self::Whole { .. }, Some(_)) => return Err(other("a stream then, in memory now")),
        }
        Ok(())
    }
}

fn other(problem: &str) -> Error {
    Error::OtherText { problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(train: TrainText) -> Corpus {
        let vocabulary = Vocabulary::new(vec![("<eos>".into(), 1), ("a".into(), 1)]).unwrap();
        Corpus { vocabulary, train, valid: vec![], test: vec![], known: None }
    }

    #[test]
    fn a_text_in_memory_starts_anew_every_epoch() {
        let corpus = corpus(TrainText::Whole((0..11).collect()));
        let batches = Batches::new(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0, 2, 3).unwrap();
        let mut windows = corpus.windows(2, 3).unwrap();
        for step in 0..5 {
            assert_eq!(windows.start_anew(), step % 2 == 0);
            assert_eq!(windows.next_window().unwrap(), batches.window(step % 2));
        }
        windows.go_to(3, None).unwrap();
        assert!(!windows.start_anew());
        assert_eq!(windows.next_window().unwrap(), batches.window(1));
    }

    #[test]
    fn a_place_of_the_other_kind_of_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard");
        std::fs::write(&path, "a a a a a\n").unwrap();
        let stream = corpus(TrainText::Shards(Shards::new(vec![path], 6).unwrap()));
        let whole = corpus(TrainText::Whole(vec![1; 6]));
        let (mut stream, mut whole) = (stream.windows(1, 2).unwrap(), whole.windows(1, 2).unwrap());
        assert!(matches!(stream.go_to(1, None), Err(Error::OtherText { .. })));
        assert!(matches!(whole.go_to(1, stream.place().as_ref()), Err(Error::OtherText { .. })));
    }
}
