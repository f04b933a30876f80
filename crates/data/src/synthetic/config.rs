//! The numbers of a synthetic language.

use serde::{Deserialize, Serialize};

use crate::{Error, Split};

/// The numbers of a synthetic language and the sizes of its texts.
///
/// The defaults are the embedded data set: n = 2,025 classes, perplexity 43.2 at best, 77.0 for the best bigram and
/// 767.9 for the best unigram. See [`Synthetic`](crate::Synthetic) for the law.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticConfig {
    /// Topics, K. Every sentence has one, and its first word tells which.
    pub topics: usize,
    /// One entry per word class, in the order of the cycle: how many words the class offers in a topic.
    pub choices: Vec<usize>,
    /// In how many topics each word occurs, r. The larger, the less the word before tells of the next.
    pub sharing: usize,
    /// Mean number of words between the first word of a sentence and its `<eos>`.
    pub mean_words: f64,
    /// Training tokens.
    pub train_tokens: usize,
    /// Validation tokens.
    pub valid_tokens: usize,
    /// Test tokens.
    pub test_tokens: usize,
}

impl Default for SyntheticConfig {
    /// Small classes next to large ones: word frequencies span a factor of 35, while each single choice stays
    /// uniform and easy to learn.
    fn default() -> Self {
        Self {
            topics: 8,
            choices: vec![12, 24, 48, 96, 324],
            sharing: 2,
            mean_words: 16.0,
            train_tokens: 1_000_000,
            valid_tokens: 50_000,
            test_tokens: 50_000,
        }
    }
}

impl SyntheticConfig {
    /// Tokens of a text.
    pub fn tokens(&self, split: Split) -> usize {
        match split {
            Split::Train => self.train_tokens,
            Split::Valid => self.valid_tokens,
            Split::Test => self.test_tokens,
        }
    }

    /// Refuses numbers that make no language.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.topics < 2 {
            return Err(Error::config("topics", self.topics, "must be at least 2"));
        }
        if !(1..=self.topics).contains(&self.sharing) {
            return Err(Error::config("sharing", self.sharing, format!("must be 1 to topics = {}", self.topics)));
        }
        if !(1.0..=1e6).contains(&self.mean_words) {
            return Err(Error::config("mean_words", self.mean_words, "must be 1 to 1000000"));
        }
        self.check_choices()?;
        for (field, tokens) in [
            ("train_tokens", self.train_tokens),
            ("valid_tokens", self.valid_tokens),
            ("test_tokens", self.test_tokens),
        ] {
            if !(1..=MOST_TOKENS).contains(&tokens) {
                return Err(Error::config(field, tokens, format!("must be 1 to {MOST_TOKENS}")));
            }
        }
        Ok(())
    }

    fn check_choices(&self) -> Result<(), Error> {
        if self.choices.is_empty() {
            return Err(Error::config("choices", "[]", "must have at least one entry"));
        }
        for (class, &choices) in self.choices.iter().enumerate() {
            if choices == 0 || choices % self.sharing != 0 {
                let rule = format!("must be a positive multiple of sharing = {}", self.sharing);
                return Err(Error::config(format!("choices[{class}]"), choices, rule));
            }
        }
        // Ids are u32; the bound also keeps the word list within memory.
        let words = self.choices.iter().try_fold(0usize, |sum, &m| sum.checked_add(m / self.sharing));
        let classes = words.and_then(|words| words.checked_add(1)?.checked_mul(self.topics));
        if classes.is_none_or(|n| n > MOST_CLASSES) {
            return Err(Error::config(
                "choices",
                format!("{:?}", self.choices),
                format!("more than {MOST_CLASSES} words"),
            ));
        }
        Ok(())
    }
}

/// Largest language.
const MOST_CLASSES: usize = 100_000_000;

/// Longest text: 16 GB of ids.
const MOST_TOKENS: usize = 4_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_make_no_language_are_refused_by_name() {
        let base = SyntheticConfig::default;
        for (config, message) in [
            (SyntheticConfig { topics: 1, ..base() }, "topics = 1: must be at least 2"),
            (SyntheticConfig { sharing: 0, ..base() }, "sharing = 0: must be 1 to topics = 8"),
            (SyntheticConfig { sharing: 9, ..base() }, "sharing = 9: must be 1 to topics = 8"),
            (SyntheticConfig { choices: vec![], ..base() }, "choices = []: must have at least one entry"),
            (
                SyntheticConfig { choices: vec![4, 3], ..base() },
                "choices[1] = 3: must be a positive multiple of sharing = 2",
            ),
            (
                SyntheticConfig { choices: vec![0], ..base() },
                "choices[0] = 0: must be a positive multiple of sharing = 2",
            ),
            (SyntheticConfig { choices: vec![usize::MAX - 1], ..base() }, "more than 100000000 words"),
            (SyntheticConfig { mean_words: 0.5, ..base() }, "mean_words = 0.5: must be 1 to 1000000"),
            (SyntheticConfig { mean_words: f64::NAN, ..base() }, "mean_words = NaN: must be 1 to 1000000"),
            (SyntheticConfig { test_tokens: 0, ..base() }, "test_tokens = 0: must be 1 to 4000000000"),
        ] {
            assert!(config.check().unwrap_err().to_string().contains(message), "{message}");
        }
        base().check().unwrap();
    }
}
