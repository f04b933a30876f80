//! The `[data]` table of an experiment, and what it loads into.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Known, Synthetic, SyntheticConfig, Vocabulary};

/// Where the text comes from.
///
/// `kind = "text"` reads three files, `kind = "synthetic"` generates. An unknown key is an error that names the
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Training text, from which the vocabulary is made.
    pub train: PathBuf,
    /// Validation text.
    pub valid: PathBuf,
    /// Test text.
    pub test: PathBuf,
    /// Most classes, `<eos>` and `<unk>` included; absent for all words of the training text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<usize>,
}

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
    /// Training tokens.
    pub train: Vec<u32>,
    /// Validation tokens.
    pub valid: Vec<u32>,
    /// Test tokens.
    pub test: Vec<u32>,
    /// What the best models reach, where the law of the text is known.
    pub known: Option<Known>,
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
        let vocabulary = match self {
            Self::Text(text) => Vocabulary::from_file(&root.join(&text.train), text.vocabulary)?,
            Self::Synthetic(config) => {
                let language = Synthetic::new(config, seed)?;
                language.vocabulary(&language.generate(Split::Train, config.train_tokens))
            }
        };
        self.load_with(vocabulary, root, seed)
    }

    /// Loads all three texts in the ids of a given vocabulary, such as one saved with a run.
    ///
    /// # Errors
    /// Those of [`split`](Self::split).
    pub fn load_with(&self, vocabulary: Vocabulary, root: &Path, seed: u64) -> Result<Corpus, Error> {
        let read = |split| self.split(split, &vocabulary, root, seed);
        let (train, valid, test) = (read(Split::Train)?, read(Split::Valid)?, read(Split::Test)?);
        Ok(Corpus { vocabulary, train, valid, test, known: self.known()? })
    }

    /// Loads one text in the ids of a given vocabulary.
    ///
    /// # Errors
    /// Those of the file or of the generator's numbers; [`Error::UnknownWord`]; [`Error::OtherLanguage`] where
    /// the text is synthetic and the vocabulary is not its own.
    pub fn split(&self, split: Split, vocabulary: &Vocabulary, root: &Path, seed: u64) -> Result<Vec<u32>, Error> {
        match self {
            Self::Text(text) => vocabulary.encode(&root.join(text.path(split))),
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
    fn path(&self, split: Split) -> &Path {
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
            error.contains("unknown field `vocab`, expected one of `train`, `valid`, `test`, `vocabulary`"),
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
        assert_eq!((corpus.train, corpus.valid, corpus.test), (vec![0, 2, 0, 1], vec![2, 3, 1], vec![0, 1]));
        assert_eq!(corpus.known, None);
    }

    #[test]
    fn a_saved_vocabulary_gives_the_same_corpus() {
        let folder = tempfile::tempdir().unwrap();
        let corpus = small().load(folder.path(), 9).unwrap();
        let path = folder.path().join("vocabulary.txt");
        corpus.vocabulary.save(&path).unwrap();
        let again = small().load_with(Vocabulary::load(&path).unwrap(), folder.path(), 9).unwrap();
        assert_eq!(again, corpus);
        assert_eq!((corpus.train.len(), corpus.valid.len(), corpus.test.len()), (5_000, 300, 400));
    }

    #[test]
    fn a_vocabulary_of_another_language_is_refused() {
        let other = Vocabulary::new(vec![("<eos>".into(), 1), ("a".into(), 1)]).unwrap();
        let error = small().load_with(other, Path::new(""), 9).unwrap_err();
        assert!(matches!(&error, Error::OtherLanguage { id: 1, found, .. } if found == "a"), "{error}");
    }
}
