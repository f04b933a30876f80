//! Counting the words of a text.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::text::{Lines, for_each_token};
use crate::{EOS, Error, UNK, Vocabulary};

/// How often each word stands in a text, and how large the text is.
///
/// Files are read side by side, as many as there are threads, and each as a stream: memory holds the words that
/// differ, never the text. The outcome does not depend on the number of threads.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("train.txt");
/// std::fs::write(&path, "the cat saw the dog\nthe dog ran\n").unwrap();
/// let census = rf_data::Census::of(&[path], &|_| ())?;
/// assert_eq!((census.lines(), census.tokens(), census.types()), (2, 10, 5)); // with one <eos> a line
/// let vocabulary = census.elect(Some(4))?;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("valid.txt");
/// std::fs::write(&path, "the cat ran\n").unwrap();
/// assert_eq!(rf_data::Census::of(&[path], &|_| ())?.outside(&vocabulary), 2);
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    words: HashMap<Box<str>, Tally>,
    lines: u64,
    tokens: u64,
    bytes: u64,
    longest: Option<LongestLine>,
}

/// What is known of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    count: u64,
    /// How many other words appeared before it.
    rank: usize,
}

/// The line of a text with the most words, the first of them where there are several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongestLine {
    /// Words in it, without `<eos>`.
    pub words: usize,
    /// Its file.
    pub path: PathBuf,
    /// Its number in the file, from 1.
    pub line: usize,
}

impl Census {
    /// Counts the text of `files`; `tell` is told of every file that is done, from any thread.
    ///
    /// # Errors
    /// Those of the files.
    pub fn of(files: &[PathBuf], tell: &(dyn Fn(&Path) + Sync)) -> Result<Self, Error> {
        Self::with_lines_below(u64::MAX, files, tell)
    }

    /// The same where a line of more than `longest` bytes is an error.
    pub(crate) fn with_lines_below(
        longest: u64,
        files: &[PathBuf],
        tell: &(dyn Fn(&Path) + Sync),
    ) -> Result<Self, Error> {
        let mut whole = Self::default();
        // In groups, so that no more censuses than threads are held at a time.
        for group in files.chunks(rayon::current_num_threads()) {
            let count = |path: &PathBuf| {
                let census = Self::of_file(Lines::open(path)?.no_longer_than(longest));
                tell(path);
                census
            };
            let parts: Vec<_> = group.par_iter().map(count).collect();
            for part in parts {
                whole.add(part?);
            }
        }
        Ok(whole)
    }

    /// Lines of the text.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Words of the text and one `<eos>` a line.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Words that differ, without `<eos>`.
    pub fn types(&self) -> usize {
        self.words.len() - usize::from(self.words.contains_key(EOS))
    }

    /// Bytes of the text, unpacked.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The line with the most words; `None` for no files.
    pub fn longest_line(&self) -> Option<&LongestLine> {
        self.longest.as_ref()
    }

    /// Tokens whose word is no class of `vocabulary`.
    pub fn outside(&self, vocabulary: &Vocabulary) -> u64 {
        self.words.iter().filter(|(word, _)| vocabulary.id(word).is_none()).map(|(_, tally)| tally.count).sum()
    }

    /// The vocabulary of the text with at most `cap` classes, as [`Vocabulary`] says.
    ///
    /// # Errors
    /// [`Error::Config`] for a cap below 3.
    pub fn elect(&self, cap: Option<usize>) -> Result<Vocabulary, Error> {
        check_cap(cap)?;
        let is_kept = |word: &str| word == EOS || word == UNK;
        let mut words: Vec<(&str, Tally)> = self.words.iter().map(|(word, &tally)| (&**word, tally)).collect();
        let absent = [EOS, UNK].into_iter().filter(|&word| !self.words.contains_key(word));
        words.extend(absent.map(|word| (word, Tally { count: 0, rank: usize::MAX })));
        words.sort_unstable_by_key(|&(word, tally)| (!is_kept(word), Reverse(tally.count), tally.rank));
        let cut = words.split_off(words.len().min(cap.unwrap_or(usize::MAX)));
        let lost: u64 = cut.iter().map(|(_, tally)| tally.count).sum();
        for (_, tally) in words.iter_mut().filter(|(word, _)| *word == UNK) {
            tally.count += lost;
        }
        // Among equal counts `<eos>` and `<unk>` stand before the words.
        words.sort_by_key(|&(word, tally)| (Reverse(tally.count), !is_kept(word), tally.rank));
        let entries = words.into_iter().map(|(word, tally)| (word.to_owned(), tally.count)).collect();
        Ok(Vocabulary::new(entries).expect("<eos> was added"))
    }

    fn of_file(lines: Lines) -> Result<Self, Error> {
        let mut census = Self::default();
        let path = lines.path().to_owned();
        let (mut longest, mut here) = ((0, 1), (0, 1));
        let end = for_each_token(lines, |line, word| {
            census.count(word, 1);
            if line != here.1 {
                here = (0, line);
            }
            if here.0 > longest.0 {
                longest = here;
            }
            here.0 += 1;
            Ok(())
        })?;
        (census.lines, census.bytes) = (end.line as u64, end.byte);
        let (words, line) = longest;
        census.longest = Some(LongestLine { words, path, line });
        Ok(census)
    }

    fn count(&mut self, word: &str, times: u64) {
        self.tokens += times;
        if let Some(tally) = self.words.get_mut(word) {
            tally.count += times;
        } else {
            self.words.insert(word.into(), Tally { count: times, rank: self.words.len() });
        }
    }

    /// Adds the census of the text that follows.
    fn add(&mut self, next: Self) {
        let mut words: Vec<_> = next.words.into_iter().collect();
        words.sort_unstable_by_key(|(_, tally)| tally.rank);
        words.into_iter().for_each(|(word, tally)| self.count(&word, tally.count));
        self.lines += next.lines;
        self.bytes += next.bytes;
        let words = |line: &Option<LongestLine>| line.as_ref().map(|line| line.words);
        if words(&next.longest) > words(&self.longest) {
            self.longest = next.longest;
        }
    }
}

/// Refuses a cap that leaves no place for a word.
pub(crate) fn check_cap(cap: Option<usize>) -> Result<(), Error> {
    match cap {
        Some(cap @ 0..3) => Err(Error::config("vocabulary", cap, "must be at least 3: <eos>, <unk> and one word")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of the given texts in a folder.
    fn files(texts: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let write = |(index, text): (usize, &&str)| {
            let path = folder.path().join(format!("part-{index}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let paths = texts.iter().enumerate().map(write).collect();
        (folder, paths)
    }

    fn census(texts: &[&str]) -> Census {
        let (_folder, paths) = files(texts);
        Census::of(&paths, &|_| ()).unwrap()
    }

    #[test]
    fn shards_are_counted_like_the_text_they_make_up() {
        let parts = ["b c a\n\na\n", "d b\n", "e d c c\n", "a f g\n", "f\n"];
        let (whole, shards) = (census(&[&parts.concat()]), census(&parts));
        for cap in [None, Some(3), Some(5)] {
            assert_eq!(shards.elect(cap).unwrap(), whole.elect(cap).unwrap(), "{cap:?}");
        }
        let size = |census: &Census| (census.lines(), census.tokens(), census.types(), census.bytes());
        assert_eq!(size(&shards), (7, 21, 7, 29));
        assert_eq!(size(&whole), size(&shards));
    }

    #[test]
    fn the_longest_line_is_named_with_its_file() {
        let (_folder, paths) = files(&["a\n", "a b c\nd\n", "a\na <eos> b\n"]);
        let census = Census::of(&paths, &|_| ()).unwrap();
        let wanted = LongestLine { words: 3, path: paths[1].clone(), line: 1 };
        assert_eq!(census.longest_line(), Some(&wanted));
    }

    #[test]
    fn words_outside_a_vocabulary_are_counted_as_often_as_they_stand_there() {
        let census = census(&["a a b c c c d\n"]);
        assert_eq!(census.outside(&census.elect(None).unwrap()), 0);
        assert_eq!(census.outside(&census.elect(Some(4)).unwrap()), 2);
    }

    #[test]
    fn the_first_file_that_fails_is_named() {
        let (_folder, mut paths) = files(&["a\n", "", "b\n"]);
        assert!(matches!(Census::of(&paths, &|_| ()), Err(Error::Empty { path }) if path == paths[1]));
        paths[1] = "no/such/file".into();
        assert!(matches!(Census::of(&paths, &|_| ()), Err(Error::Open { .. })));
        let (_folder, paths) = files(&["a\na long line\n"]);
        let error = Census::with_lines_below(5, &paths, &|_| ()).unwrap_err();
        assert!(matches!(error, Error::LongLine { line: 2, .. }), "{error}");
    }

    #[test]
    fn every_file_is_told_of() {
        let (_folder, paths) = files(&["a\n", "b\n", "c\n"]);
        let told = std::sync::Mutex::new(Vec::new());
        Census::of(&paths, &|path| told.lock().unwrap().push(path.to_owned())).unwrap();
        let mut told = told.into_inner().unwrap();
        told.sort();
        assert_eq!(told, paths);
    }
}
