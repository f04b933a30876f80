//! The generator: its words, its sentences and their exact probability.

use std::cmp::Reverse;

use rand::RngExt;
use rf_sampling::{Purpose, stream};

use super::{Known, SyntheticConfig};
use crate::{EOS, Error, Split, Vocabulary};

/// A language of sentences about a topic.
///
/// A sentence is made in four steps.
/// 1. A topic `z` is drawn uniformly from K.
/// 2. The first word names the topic: `t0`, `t1`, …
/// 3. The words after it go through the classes 0, 1, …, C − 1, 0, … in a cycle. Class `c` offers `m_c` words in topic
///    `z`, of which one is drawn uniformly: `c0w0`, `c0w1`, …
/// 4. After each of these words the sentence ends in `<eos>` with probability `s = 1 / mean_words`.
///
/// Every word of a class occurs in r of the K topics. A model that remembers the topic knows the law of the next token
/// exactly and reaches the floor. A model that sees one word back is left with r topics, one that sees none
/// knows word frequencies only: [`Known`] has the perplexity of all three.
///
/// The language depends on the config alone, its texts on the seed too. Class ids run by descending expected
/// frequency. There is no `<unk>`.
///
/// # Example
/// ```
/// use rf_data::{Split, Synthetic, SyntheticConfig};
/// let language = Synthetic::new(&SyntheticConfig::default(), 1)?;
/// let text = language.generate(Split::Train, 20_000);
/// let best = language.nats_per_token(&text).exp();
/// assert!((best / language.floor() - 1.0).abs() < 0.05);
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Synthetic {
    config: SyntheticConfig,
    seed: u64,
    /// Every word, in the order of the ids.
    words: Vec<Word>,
    /// Ids by place: `<eos>`, the K first words, class 0, class 1, …
    ids: Vec<u32>,
    /// Place of the first word of each class.
    starts: Vec<usize>,
}

/// What a word is in the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The end of a sentence.
    Eos,
    /// The first word of a sentence on this topic.
    Topic(usize),
    /// Word `index` of a class.
    Body { class: usize, index: usize },
}

impl Synthetic {
    /// The language of `config`; `seed` fixes its texts.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that make no language.
    pub fn new(config: &SyntheticConfig, seed: u64) -> Result<Self, Error> {
        config.check()?;
        let mut places = vec![Word::Eos];
        places.extend((0..config.topics).map(Word::Topic));
        let mut starts = Vec::new();
        for (class, &choices) in config.choices.iter().enumerate() {
            starts.push(places.len());
            let size = config.topics * (choices / config.sharing);
            places.extend((0..size).map(|index| Word::Body { class, index }));
        }
        let mut order: Vec<usize> = (0..places.len()).collect();
        // Frequencies are finite and not negative, so their bits sort as they do.
        order.sort_by_key(|&place| Reverse(config.frequency(places[place]).to_bits()));
        let mut ids = vec![0; places.len()];
        for (&place, id) in order.iter().zip(0..) {
            ids[place] = id;
        }
        let words = order.into_iter().map(|place| places[place]).collect();
        Ok(Self { config: config.clone(), seed, words, ids, starts })
    }

    /// `tokens` tokens of a text. The last sentence may be cut.
    ///
    /// Sentence `i` of a split draws from its own stream, so a longer text starts with the shorter one.
    pub fn generate(&self, split: Split, tokens: usize) -> Vec<u32> {
        let mut text = Vec::with_capacity(tokens + 64);
        for sentence in 0.. {
            if text.len() >= tokens {
                break;
            }
            self.sentence(&mut stream(self.seed, Purpose::Data, split as u64, sentence), &mut text);
        }
        text.truncate(tokens);
        text
    }

    /// Adds one sentence to `text`.
    fn sentence(&self, rng: &mut impl RngExt, text: &mut Vec<u32>) {
        let topic = rng.random_range(0..self.config.topics);
        text.push(self.id(Word::Topic(topic)));
        for class in (0..self.config.choices.len()).cycle() {
            let choice = rng.random_range(0..self.config.choices[class]);
            text.push(self.id(self.config.word(topic, class, choice)));
            if rng.random::<f64>() < self.config.stop() {
                break;
            }
        }
        text.push(self.id(Word::Eos));
    }

    /// Cross-entropy of the true law on `text`, in nats a token: what the best possible model scores on it.
    ///
    /// The text starts at the start of a sentence. The result is infinite if the language cannot produce it.
    ///
    /// # Panics
    /// If a token is not a class of the language, or `text` is empty.
    pub fn nats_per_token(&self, text: &[u32]) -> f64 {
        assert!(!text.is_empty(), "an empty text has no cross-entropy");
        let (mut topic, mut next) = (0, None);
        let mut nats = 0.0;
        for &token in text {
            let word = self.word(token);
            nats -= self.config.ln_prob(topic, next, word);
            (topic, next) = match word {
                Word::Eos => (0, None),
                Word::Topic(z) => (z, Some((0, false))),
                Word::Body { class, .. } => (topic, Some(((class + 1) % self.config.choices.len(), true))),
            };
        }
        nats / text.len() as f64
    }

    /// The words, with their counts in a training text.
    pub fn vocabulary(&self, train: &[u32]) -> Vocabulary {
        let mut counts = vec![0; self.words.len()];
        for &token in train {
            counts[token as usize] += 1;
        }
        let entries = self.words.iter().map(|word| word.name()).zip(counts).collect();
        Vocabulary::new(entries).expect("the language has <eos>")
    }

    /// Refuses a vocabulary with other words or another order.
    pub(crate) fn check(&self, vocabulary: &Vocabulary) -> Result<(), Error> {
        for id in 0..self.words.len().max(vocabulary.len()) {
            let found = if id < vocabulary.len() { vocabulary.word(id as u32) } else { "" };
            let expected = self.words.get(id).map_or_else(String::new, |word| word.name());
            if found != expected {
                return Err(Error::OtherLanguage { id, found: found.into(), expected });
            }
        }
        Ok(())
    }

    /// The three perplexities.
    pub fn known(&self) -> Known {
        self.config.known()
    }

    /// Perplexity of the law itself: `exp` of the entropy rate a token. No model is better in expectation.
    pub fn floor(&self) -> f64 {
        self.known().floor
    }

    /// Perplexity of the best model that sees the previous token only.
    pub fn best_bigram(&self) -> f64 {
        self.known().best_bigram
    }

    /// Perplexity of the best model that sees no token.
    pub fn best_unigram(&self) -> f64 {
        self.known().best_unigram
    }

    /// The grammatical word of a class.
    pub(super) fn word(&self, id: u32) -> Word {
        self.words[id as usize]
    }

    /// The class of a grammatical word.
    pub(super) fn id(&self, word: Word) -> u32 {
        match word {
            Word::Eos => self.ids[0],
            Word::Topic(topic) => self.ids[1 + topic],
            Word::Body { class, index } => self.ids[self.starts[class] + index],
        }
    }
}

impl Word {
    fn name(self) -> String {
        match self {
            Self::Eos => EOS.to_owned(),
            Self::Topic(topic) => format!("t{topic}"),
            Self::Body { class, index } => format!("c{class}w{index}"),
        }
    }
}

impl SyntheticConfig {
    /// Probability that a sentence ends after a word of its body.
    pub(super) fn stop(&self) -> f64 {
        1.0 / self.mean_words
    }

    /// Word `index` of class `c` belongs to the topics `index + shift(c, k) mod K`, `k < r`. The shifts of a class
    /// differ, and neighbouring classes have different ones, so two words in a row seldom leave two topics open.
    pub(super) fn shift(&self, class: usize, k: usize) -> usize {
        if k == 0 { 0 } else { 1 + (class + k - 1) % (self.topics - 1) }
    }

    /// The `choice`-th word that `class` offers in `topic`.
    fn word(&self, topic: usize, class: usize, choice: usize) -> Word {
        let (round, k) = (choice / self.sharing, choice % self.sharing);
        let residue = (topic + self.topics - self.shift(class, k)) % self.topics;
        Word::Body { class, index: round * self.topics + residue }
    }

    /// Whether word `index` of `class` belongs to `topic`.
    pub(super) fn offers(&self, topic: usize, class: usize, index: usize) -> bool {
        (0..self.sharing).any(|k| (index + self.shift(class, k)) % self.topics == topic)
    }

    /// `ln p(word)` in a sentence on `topic`, in nats.
    ///
    /// `next` is the class that comes next and whether the sentence may end before it; `None` at its start.
    fn ln_prob(&self, topic: usize, next: Option<(usize, bool)>, word: Word) -> f64 {
        let probability = match (next, word) {
            (None, Word::Topic(_)) => 1.0 / self.topics as f64,
            (Some((_, true)), Word::Eos) => self.stop(),
            (Some((due, may_end)), Word::Body { class, index }) if due == class && self.offers(topic, class, index) => {
                let goes_on = if may_end { 1.0 - self.stop() } else { 1.0 };
                goes_on / self.choices[class] as f64
            }
            _ => 0.0,
        };
        probability.ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default(seed: u64) -> Synthetic {
        Synthetic::new(&SyntheticConfig::default(), seed).unwrap()
    }

    #[test]
    fn the_embedded_language_has_at_least_two_thousand_classes_by_descending_frequency() {
        let language = default(1);
        let text = language.generate(Split::Train, 400_000);
        let vocabulary = language.vocabulary(&text);
        assert_eq!(vocabulary.len(), 2025);
        assert_eq!((vocabulary.eos(), vocabulary.word(0), vocabulary.unk()), (0, "<eos>", None));
        assert_eq!(vocabulary.counts().iter().sum::<u64>(), 400_000);
        let tenth = |i: usize| vocabulary.counts()[200 * i..200 * (i + 1)].iter().sum::<u64>();
        assert!((0..4).all(|i| tenth(i) > tenth(i + 1)));
    }

    #[test]
    fn each_topic_is_offered_the_stated_number_of_words_and_each_word_has_its_topics() {
        for sharing in 1..=4 {
            let config = SyntheticConfig { topics: 4, sharing, choices: vec![12, 24], ..Default::default() };
            for (class, &choices) in config.choices.iter().enumerate() {
                let size = 4 * choices / sharing;
                for topic in 0..4 {
                    let mut offered: Vec<_> = (0..choices)
                        .map(|choice| match config.word(topic, class, choice) {
                            Word::Body { index, .. } => index,
                            other => panic!("{other:?}"),
                        })
                        .collect();
                    offered.sort_unstable();
                    let members: Vec<_> = (0..size).filter(|&index| config.offers(topic, class, index)).collect();
                    assert_eq!(offered, members, "sharing {sharing}, class {class}, topic {topic}");
                }
                for index in 0..size {
                    assert_eq!((0..4).filter(|&topic| config.offers(topic, class, index)).count(), sharing);
                }
            }
        }
    }

    #[test]
    fn a_text_depends_on_seed_and_split_and_extends_itself() {
        let text = default(3).generate(Split::Train, 1000);
        assert_eq!(text.len(), 1000);
        assert_eq!(default(3).generate(Split::Train, 1500)[..1000], text);
        assert_ne!(default(3).generate(Split::Valid, 1000), text);
        assert_ne!(default(4).generate(Split::Train, 1000), text);
    }

    #[test]
    fn the_first_tokens_of_seed_1_stay_what_they_are() {
        assert_eq!(default(1).generate(Split::Train, 12), FIRST_TOKENS);
    }

    /// Frozen on the first release: texts are part of what a run can be repeated from.
    const FIRST_TOKENS: [u32; 12] = [4, 44, 92, 292, 484, 1092, 19, 84, 313, 604, 967, 0];

    #[test]
    fn a_text_outside_the_language_has_infinite_cross_entropy() {
        let language = default(1);
        let text = language.generate(Split::Test, 100);
        assert!(language.nats_per_token(&text).is_finite());
        let twice = [text[0], text[0]];
        assert_eq!(language.nats_per_token(&twice), f64::INFINITY);
        assert_eq!(language.nats_per_token(&[language.id(Word::Eos)]), f64::INFINITY);
    }
}
