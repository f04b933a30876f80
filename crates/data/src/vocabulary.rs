//! Words and their class ids.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::census::check_cap;
use crate::text::{Lines, for_each_token};
use crate::{Census, EOS, Error, UNK};

/// The n classes of a language model: words, their ids `0..n`, and how often each stood in the training text.
///
/// Built by [`from_file`](Self::from_file), ids are frequency ranks: id 0 is the most frequent class. Among equal
/// counts `<eos>` and `<unk>` stand first, then words in the order of their first appearance. Two classes are always there: [`EOS`], the
/// end of a line, and [`UNK`], which stands for every word outside the vocabulary. A text that already
/// holds `<unk>`, as the Penn Treebank files do, gains no class by it.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("train.txt");
/// std::fs::write(&path, "the cat saw the dog\nthe dog ran\n").unwrap();
/// let vocabulary = rf_data::Vocabulary::from_file(&path, Some(4))?;
/// let words: Vec<_> = (0..4).map(|id| vocabulary.word(id)).collect();
/// assert_eq!(words, ["<unk>", "the", "<eos>", "dog"]);
/// assert_eq!(vocabulary.counts(), [3, 3, 2, 2]); // cat, saw and ran became <unk>
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<String>,
    counts: Vec<u64>,
    ids: HashMap<String, u32>,
    eos: u32,
    unk: Option<u32>,
}

impl Vocabulary {
    /// Counts the words of a training text and keeps at most `cap` classes.
    ///
    /// The cap includes `<eos>` and `<unk>`. The other places go to the words with the highest counts, ties to
    /// the word that appears first. The count of `<unk>` includes all words that were cut.
    ///
    /// # Errors
    /// Those of the text file; [`Error::Config`] if the cap leaves no place for a word (it is below 3).
    pub fn from_file(path: &Path, cap: Option<usize>) -> Result<Self, Error> {
        check_cap(cap)?;
        Census::of(&[path.into()], &|_| ())?.elect(cap)
    }

    /// Classes in the order of their ids, given that the words differ and `<eos>` is among them.
    pub(crate) fn new(entries: Vec<(String, u64)>) -> Option<Self> {
        let ids: HashMap<_, _> = entries.iter().zip(0..).map(|((word, _), id)| (word.clone(), id)).collect();
        let (eos, unk) = (*ids.get(EOS)?, ids.get(UNK).copied());
        let (words, counts) = entries.into_iter().unzip();
        Some(Self { words, counts, ids, eos, unk })
    }

    /// Number of classes, n.
    #[expect(clippy::len_without_is_empty, reason = "`<eos>` is always there")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Id of `word`, if it is a class of its own.
    pub fn id(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// Id under which a text with `word` is encoded: its own, else that of `<unk>` where there is one.
    pub fn class_of(&self, word: &str) -> Option<u32> {
        self.id(word).or(self.unk)
    }

    /// Word of class `id`.
    ///
    /// # Panics
    /// If `id >= n`.
    pub fn word(&self, id: u32) -> &str {
        &self.words[id as usize]
    }

    /// Id of `<eos>`.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// Id of `<unk>`, if the vocabulary has it.
    pub fn unk(&self) -> Option<u32> {
        self.unk
    }

    /// Occurrences in the training text, by id.
    ///
    /// # Shapes
    /// `[n]`; the sum is the number of training tokens.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The ids of a text, one `<eos>` after every line; words outside the vocabulary become `<unk>`.
    ///
    /// # Errors
    /// Those of the text file; [`Error::UnknownWord`] for such a word where the vocabulary has no `<unk>`.
    pub fn encode(&self, path: &Path) -> Result<Vec<u32>, Error> {
        let mut tokens = Vec::new();
        for_each_token(Lines::open(path)?, |line, word| {
            tokens.push(self.encode_word(word, path, line)?);
            Ok(())
        })?;
        Ok(tokens)
    }

    /// Id under which `word` of a line of the text at `path` is encoded.
    pub(crate) fn encode_word(&self, word: &str, path: &Path, line: usize) -> Result<u32, Error> {
        self.class_of(word).ok_or_else(|| Error::UnknownWord { path: path.into(), line, word: word.into() })
    }

    /// Writes one line `word<TAB>count` a class, in the order of the ids.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let write = || {
            let mut file = BufWriter::new(File::create(path)?);
            for (word, count) in self.words.iter().zip(&self.counts) {
                writeln!(file, "{word}\t{count}")?;
            }
            file.flush()
        };
        write().map_err(|source| Error::Write { path: path.into(), source })
    }

    /// Reads what [`save`](Self::save) wrote. The order of the lines gives the ids, whatever the counts.
    ///
    /// # Errors
    /// Those of a text file; [`Error::Entry`] for a line that is not a new word, a tab and a count;
    /// [`Error::NoEos`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut lines = Lines::open(path)?;
        let (mut entries, mut seen) = (Vec::new(), HashMap::new());
        while let Some((line, text)) = lines.next_line()? {
            let refuse = |field, problem| Error::Entry { path: path.into(), line, field, problem };
            let (word, count) = entry(text).map_err(|(field, problem)| refuse(field, problem))?;
            if let Some(first) = seen.insert(word.to_owned(), line) {
                return Err(refuse(1, format!("the word `{word}` already stands in line {first}")));
            }
            entries.push((word.to_owned(), count));
        }
        if entries.is_empty() {
            return Err(Error::Empty { path: path.into() });
        }
        Self::new(entries).ok_or_else(|| Error::NoEos { path: path.into() })
    }
}

/// Word and count of a line of a vocabulary file, or the field that is wrong and why.
fn entry(text: &str) -> Result<(&str, u64), (usize, String)> {
    let (word, count) = text.split_once('\t').ok_or((2, "no tab and count after the word".to_owned()))?;
    if word.is_empty() || word.contains(|c: char| c.is_ascii_whitespace()) {
        return Err((1, format!("`{word}` is not a word")));
    }
    let count = count.parse().map_err(|_| (2, format!("`{count}` is not a count")))?;
    Ok((word, count))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn folder(name: &str, text: &str) -> (TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn words(vocabulary: &Vocabulary) -> Vec<&str> {
        (0..vocabulary.len() as u32).map(|id| vocabulary.word(id)).collect()
    }

    #[test]
    fn ids_are_ranks_and_ties_keep_the_order_of_appearance() {
        let (_folder, path) = folder("train.txt", "b c a a\nc b\n");
        let vocabulary = Vocabulary::from_file(&path, None).unwrap();
        assert_eq!(words(&vocabulary), ["<eos>", "b", "c", "a", "<unk>"]);
        assert_eq!(vocabulary.counts(), [2, 2, 2, 2, 0]);
        assert_eq!(vocabulary.encode(&path).unwrap(), [1, 2, 3, 3, 0, 2, 1, 0]);
    }

    #[test]
    fn a_text_with_unk_gains_no_class() {
        let (_folder, path) = folder("train.txt", "a <unk> a\n");
        let vocabulary = Vocabulary::from_file(&path, Some(3)).unwrap();
        assert_eq!(words(&vocabulary), ["a", "<unk>", "<eos>"]);
    }

    #[test]
    fn a_cap_counts_eos_and_unk_and_moves_the_rest_to_unk() {
        let (_folder, path) = folder("train.txt", "a a a b b c d\n");
        let vocabulary = Vocabulary::from_file(&path, Some(4)).unwrap();
        assert_eq!(words(&vocabulary), ["a", "<unk>", "b", "<eos>"]);
        assert_eq!(vocabulary.counts(), [3, 2, 2, 1]);
        assert_eq!(vocabulary.encode(&path).unwrap(), [0, 0, 0, 2, 2, 1, 1, 3]);
        assert!(matches!(Vocabulary::from_file(&path, Some(2)), Err(Error::Config { .. })));
    }

    #[test]
    fn a_saved_vocabulary_is_loaded_back_equal() {
        let (folder, path) = folder("train.txt", "é a a\nb\n");
        let vocabulary = Vocabulary::from_file(&path, None).unwrap();
        let saved = folder.path().join("vocabulary.txt");
        vocabulary.save(&saved).unwrap();
        assert_eq!(std::fs::read_to_string(&saved).unwrap(), "<eos>\t2\na\t2\né\t1\nb\t1\n<unk>\t0\n");
        assert_eq!(Vocabulary::load(&saved).unwrap(), vocabulary);
    }

    #[test]
    fn a_faulty_vocabulary_file_is_refused_with_line_and_field() {
        for (text, place, message) in [
            ("a\t1\nb\n", (2, 2), "no tab"),
            ("a\t1\nb\tx\n", (2, 2), "`x` is not a count"),
            ("a\t-1\n", (1, 2), "`-1` is not a count"),
            ("<eos>\t1\n\t4\n", (2, 1), "`` is not a word"),
            ("a b\t4\n", (1, 1), "`a b` is not a word"),
            ("a\t1\nb\t1\na\t2\n", (3, 1), "already stands in line 1"),
        ] {
            let (_folder, path) = folder("vocabulary.txt", text);
            let error = Vocabulary::load(&path).unwrap_err();
            assert!(matches!(error, Error::Entry { line, field, .. } if (line, field) == place), "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn a_vocabulary_file_without_eos_or_lines_is_refused() {
        let (_folder, path) = folder("vocabulary.txt", "a\t1\n");
        assert!(matches!(Vocabulary::load(&path), Err(Error::NoEos { .. })));
        let (_folder, path) = folder("vocabulary.txt", "");
        assert!(matches!(Vocabulary::load(&path), Err(Error::Empty { .. })));
    }

    #[test]
    fn a_word_outside_a_vocabulary_without_unk_is_refused() {
        let (folder, path) = folder("vocabulary.txt", "<eos>\t1\na\t1\n");
        let vocabulary = Vocabulary::load(&path).unwrap();
        let text = folder.path().join("valid.txt");
        std::fs::write(&text, "a a\na zebra\n").unwrap();
        let error = vocabulary.encode(&text).unwrap_err();
        assert!(matches!(&error, Error::UnknownWord { line: 2, word, .. } if word == "zebra"), "{error}");
    }

    #[test]
    fn a_folder_that_is_missing_cannot_be_written_to() {
        let vocabulary = Vocabulary::new(vec![("<eos>".into(), 1)]).unwrap();
        assert!(matches!(vocabulary.save(Path::new("no/such/folder/v.txt")), Err(Error::Write { .. })));
    }
}
