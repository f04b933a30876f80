//! The `[data]` table of an experiment.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::census::{Census, check_cap};
use crate::text::LONGEST_LINE;
use crate::{Corpus, Error, Known, Shards, Source, Split, Synthetic, SyntheticConfig, TrainText, Vocabulary};

/// Where the text comes from.
///
/// `kind = "text"` reads files, `kind = "synthetic"` generates. An unknown key is an error that names the
/// allowed ones.
///
/// # Example
/// ```
/// use rf_data::DataConfig;
/// let config: DataConfig = toml::from_str(r#"kind = "synthetic""#).unwrap();
/// assert_eq!(config, DataConfig::default());
/// let error = toml::from_str::<DataConfig>("kind = 'synthetic'\ntopic = 3").unwrap_err();
/// assert!(error.to_string().contains("unknown field `topic`, expected one of `topics`"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataConfig {
    /// Text files.
    Text(TextConfig),
    /// Generated text.
    Synthetic(SyntheticConfig),
}

/// Text files: one sentence a line, words between white space, plain or gzip.
///
/// Each text is a file, a folder of shards, or a list of these. A training text that is a folder or a list is read as
/// a stream ([`Shards`]): memory does not grow with its size. The other texts are held in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Training text, from which the vocabulary is made.
    pub train: Source,
    /// Validation text.
    pub valid: Source,
    /// Test text.
    pub test: Source,
    /// Most classes, `<eos>` and `<unk>` included; absent for all words of the training text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<usize>,
    /// Whether the training text is read as a stream; absent for: if it is a folder or a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
}

impl Default for DataConfig {
    /// The embedded synthetic text.
    fn default() -> Self {
        Self::Synthetic(SyntheticConfig::default())
    }
}

impl DataConfig {
    /// Loads all three texts with the vocabulary of the training text.
    ///
    /// Paths are relative to `root`; absolute paths stay. `seed` fixes generated text.
    ///
    /// # Errors
    /// Those of the files and of the generator's numbers.
    pub fn load(&self, root: &Path, seed: u64) -> Result<Corpus, Error> {
        self.load_with(self.count(root, seed, &|_| ())?, root, seed)
    }

    /// Makes the vocabulary of the training text; `tell` is told of every file that is counted, from any thread.
    ///
    /// # Errors
    /// Those of the training text; [`Error::Open`] for any of the three texts that is not there, before anything is
    /// counted.
    pub fn count(&self, root: &Path, seed: u64, tell: &(dyn Fn(&Path) + Sync)) -> Result<Vocabulary, Error> {
        match self {
            Self::Text(text) => text.count(root, tell),
            Self::Synthetic(config) => {
                let language = Synthetic::new(config, seed)?;
                Ok(language.vocabulary(&language.generate(Split::Train, config.train_tokens)))
            }
        }
    }

    /// Loads all three texts in the ids of a given vocabulary, such as one saved with a run.
    ///
    /// The counts of the vocabulary must be those of the training text: a stream takes its length from them.
    ///
    /// # Errors
    /// Those of [`split`](Self::split).
    pub fn load_with(&self, vocabulary: Vocabulary, root: &Path, seed: u64) -> Result<Corpus, Error> {
        let read = |split| self.split(split, &vocabulary, root, seed);
        let train = match self {
            Self::Text(text) if text.is_stream(root) => {
                TrainText::Shards(Shards::new(text.train.below(root).files()?, vocabulary.counts().iter().sum())?)
            }
            _ => TrainText::Whole(read(Split::Train)?),
        };
        let (valid, test) = (read(Split::Valid)?, read(Split::Test)?);
        Ok(Corpus { vocabulary, train, valid, test, known: self.known()? })
    }

    /// Loads one text in the ids of a given vocabulary, as a whole.
    ///
    /// # Errors
    /// Those of the files or of the generator's numbers; [`Error::UnknownWord`]; [`Error::OtherLanguage`] where
    /// the text is synthetic and the vocabulary is not its own.
    pub fn split(&self, split: Split, vocabulary: &Vocabulary, root: &Path, seed: u64) -> Result<Vec<u32>, Error> {
        match self {
            Self::Text(text) => {
                let mut tokens = Vec::new();
                for path in text.source(split).below(root).files()? {
                    tokens.extend(vocabulary.encode(&path)?);
                }
                Ok(tokens)
            }
            Self::Synthetic(config) => {
                let language = Synthetic::new(config, seed)?;
                language.check(vocabulary)?;
                Ok(language.generate(split, config.tokens(split)))
            }
        }
    }

    /// What the best models reach, for synthetic text.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that make no language.
    pub fn known(&self) -> Result<Option<Known>, Error> {
        match self {
            Self::Text(_) => Ok(None),
            Self::Synthetic(config) => Ok(Some(Synthetic::new(config, 0)?.known())),
        }
    }
}

impl TextConfig {
    /// Whether the training text is read as a stream, its relative paths being below `root`.
    pub fn is_stream(&self, root: &Path) -> bool {
        self.stream.unwrap_or_else(|| self.train.below(root).is_sharded())
    }

    fn count(&self, root: &Path, tell: &(dyn Fn(&Path) + Sync)) -> Result<Vocabulary, Error> {
        check_cap(self.vocabulary)?;
        for source in [&self.train, &self.valid, &self.test] {
            source.below(root).files()?;
        }
        let longest = if self.is_stream(root) { LONGEST_LINE } else { u64::MAX };
        Census::with_lines_below(longest, &self.train.below(root).files()?, tell)?.elect(self.vocabulary)
    }

    fn source(&self, split: Split) -> &Source {
        match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        }
    }
}

/// The folder that data paths are relative to: the environment variable `RFS_DATA` if set, else `datasets`.
pub fn data_root() -> PathBuf {
    std::env::var_os("RFS_DATA").filter(|path| !path.is_empty()).map_or_else(|| "datasets".into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DataConfig, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    fn small() -> DataConfig {
        let counts = SyntheticConfig { train_tokens: 5_000, valid_tokens: 300, test_tokens: 400, ..Default::default() };
        DataConfig::Synthetic(counts)
    }

    #[test]
    fn a_config_survives_its_own_toml() {
        let text = "kind = \"text\"\ntrain = \"a\"\nvalid = \"b\"\ntest = \"/c\"\n";
        let config = parse(text).unwrap();
        assert_eq!(toml::to_string(&config).unwrap(), text);
        for config in [config, small()] {
            assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
        }
    }

    #[test]
    fn unknown_and_missing_keys_are_named() {
        let error = parse("kind = 'text'\ntrain = 'a'\nvalid = 'b'\ntest = 'c'\nvocab = 3").unwrap_err();
        assert!(
            error.contains("unknown field `vocab`, expected one of `train`, `valid`, `test`, `vocabulary`, `stream`"),
            "{error}"
        );
        assert!(parse("kind = 'text'\ntrain = 'a'").unwrap_err().contains("missing field `valid`"));
        assert!(parse("kind = 'words'").unwrap_err().contains("expected `text` or `synthetic`"));
        assert!(parse("train = 'a'").unwrap_err().contains("missing field `kind`"));
    }

    #[test]
    fn a_key_left_out_takes_its_default() {
        let expected = SyntheticConfig { sharing: 4, mean_words: 8.0, ..Default::default() };
        assert_eq!(parse("kind = 'synthetic'\nsharing = 4\nmean_words = 8").unwrap(), DataConfig::Synthetic(expected));
    }

    #[test]
    fn a_text_corpus_is_read_below_its_root() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("train", "a b a\n"), ("valid", "b c\n"), ("test", "a\n")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let config = parse("kind = 'text'\ntrain = 'train'\nvalid = 'valid'\ntest = 'test'").unwrap();
        let corpus = config.load(folder.path(), 1).unwrap();
        let train = TrainText::Whole(vec![0, 2, 0, 1]);
        assert_eq!((corpus.train, corpus.valid, corpus.test), (train, vec![2, 3, 1], vec![0, 1]));
        assert_eq!(corpus.known, None);
    }

    #[test]
    fn a_folder_or_a_list_is_a_stream_unless_said_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("shards")).unwrap();
        for (name, text) in [("shards/1", "a b a\n"), ("shards/2", "c\n"), ("valid", "b c\n"), ("test", "a\n")] {
            std::fs::write(path(name), text).unwrap();
        }
        let load = |train: &str| {
            let text = format!("kind = 'text'\nvalid = 'valid'\ntest = ['test', 'valid']\ntrain = {train}");
            parse(&text).unwrap().load(folder.path(), 1).unwrap()
        };
        let stream = load("'shards'");
        assert!(matches!(&stream.train, TrainText::Shards(shards) if shards.files().len() == 2));
        assert_eq!((stream.train.tokens(), stream.test), (6, vec![1, 0, 2, 3, 0]));
        let listed = load("['shards/1', 'shards/2']");
        assert_eq!((listed.vocabulary, listed.train), (stream.vocabulary, stream.train));
        assert!(matches!(load("'shards/1'\nstream = true").train, TrainText::Shards(_)));
        assert_eq!(load("'shards'\nstream = false").train, TrainText::Whole(vec![1, 2, 1, 0, 3, 0]));
    }

    #[test]
    fn a_missing_text_is_found_out_before_the_words_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train"), "a b a\n").unwrap();
        let config = parse("kind = 'text'\ntrain = 'train'\nvalid = 'valid'\ntest = 'test'").unwrap();
        let error = config.count(folder.path(), 1, &|_| panic!("counted")).unwrap_err();
        assert!(matches!(&error, Error::Open { path, .. } if path.ends_with("valid")), "{error}");
    }

    #[test]
    fn a_saved_vocabulary_gives_the_same_corpus() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = small().load(folder.path(), 9).unwrap();
        let path = folder.path().join("vocabulary.txt");
        corpus.vocabulary.save(&path).unwrap();
        let again = small().load_with(Vocabulary::load(&path).unwrap(), folder.path(), 9).unwrap();
        assert_eq!(again, corpus);
        assert_eq!((corpus.train.tokens(), corpus.valid.len(), corpus.test.len()), (5_000, 300, 400));
    }

    #[test]
    fn a_vocabulary_of_another_language_is_refused() {
        let other = Vocabulary::new(vec![("<eos>".into(), 1), ("a".into(), 1)]).unwrap();
        let error = small().load_with(other, Path::new(""), 9).unwrap_err();
        assert!(matches!(&error, Error::OtherLanguage { id: 1, found, .. } if found == "a"), "{error}");
    }
}
