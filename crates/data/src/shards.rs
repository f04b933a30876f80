//! A training text in shards, read as a stream.

use std::collections::VecDeque;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::text::{LONGEST_LINE, Lines, Place};
use crate::{Error, Vocabulary, Window};

/// The files of a training text that is never in memory as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    files: Vec<PathBuf>,
    tokens: u64,
    bytes: u64,
}

/// Windows over shards: B lanes, to which sentences are dealt as they run empty.
///
/// One reader goes through the shards in their order, round and round. A sentence is a line and its `<eos>`. A window
/// is filled step by step, lane by lane; a lane that has no token left takes the next sentence. The first token of a
/// sentence is predicted from `<eos>`. So each lane reads whole sentences one after another, but not neighbours
/// of the text: its recurrent state goes on over sentences that do not follow each other. In a shuffled text, such as
/// the 1-billion-word benchmark, no sentence follows the one before it anyway.
///
/// An epoch is `floor(N / (B T))` windows of N tokens. Nothing is dropped at its end: what is in the lanes
/// then, and what was not dealt yet, comes first in the next one.
///
/// # Memory
/// One block of the file being read, one line, and the rest of one sentence a lane; lines are limited to 1 MiB. No
/// figure depends on the number or the size of the shards.
///
/// Reading does not run ahead in a thread of its own: reading and encoding a token takes less than 0.1 µs, and a
/// training step ten or more.
#[derive(Debug)]
pub struct ShardWindows<'a> {
    shards: &'a Shards,
    vocabulary: &'a Vocabulary,
    steps: usize,
    /// Index of the shard being read.
    file: usize,
    lines: Lines,
    lanes: Vec<Lane>,
}

/// One of the B streams of a batch: the sentence it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lane {
    /// Token before the rest.
    previous: u32,
    /// Tokens still to come.
    rest: VecDeque<u32>,
}

/// Where [`ShardWindows`] stand, to be kept in a checkpoint.
///
/// The sizes of the text are kept with it, to refuse another text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPlace {
    files: usize,
    bytes: u64,
    file: usize,
    line: usize,
    byte: u64,
    lanes: Vec<Lane>,
}

impl Shards {
    /// The text of `files`, which has `tokens` tokens with one `<eos>` a line.
    ///
    /// # Errors
    /// [`Error::Open`] for a file that is not there; [`Error::NoFiles`] for no file.
    pub fn new(files: Vec<PathBuf>, tokens: u64) -> Result<Self, Error> {
        if files.is_empty() {
            return Err(Error::NoFiles { path: PathBuf::new() });
        }
        let size = |path: &PathBuf| {
            let about = std::fs::metadata(path).map_err(|source| Error::Open { path: path.clone(), source })?;
            Ok(about.len())
        };
        let bytes = files.iter().map(size).sum::<Result<_, _>>()?;
        Ok(Self { files, tokens, bytes })
    }

    /// The files in reading order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Tokens of a pass, N.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Bytes of all files, as they lie on the disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Windows of `batch` lanes and `steps` tokens, from the first sentence on, in the ids of `vocabulary`.
    ///
    /// # Errors
    /// [`Error::Config`] if `batch` or `steps` is 0 or the text has no whole window; those of the first file.
    pub fn windows<'a>(
        &'a self,
        vocabulary: &'a Vocabulary,
        batch: usize,
        steps: usize,
    ) -> Result<ShardWindows<'a>, Error> {
        crate::batches::check_sizes(batch, steps)?;
        let (size, tokens) = (batch.saturating_mul(steps) as u64, self.tokens);
        if tokens < size {
            let problem = format!("a window of {steps} steps has {size} tokens, but the text only {tokens}");
            return Err(Error::config("batch size", batch, problem));
        }
        let lane = Lane { previous: vocabulary.eos(), rest: VecDeque::new() };
        let lines = self.open(0, Place::default())?;
        Ok(ShardWindows { shards: self, vocabulary, steps, file: 0, lines, lanes: vec![lane; batch] })
    }

    fn open(&self, file: usize, place: Place) -> Result<Lines, Error> {
        Ok(Lines::open_at(&self.files[file], place)?.no_longer_than(LONGEST_LINE))
    }
}

impl ShardWindows<'_> {
    /// Windows of an epoch.
    pub fn per_epoch(&self) -> u64 {
        self.shards.tokens / (self.lanes.len() * self.steps) as u64
    }

    /// The next window; it has T steps and no ignored target.
    ///
    /// # Errors
    /// Those of the files.
    pub fn next_window(&mut self) -> Result<Window, Error> {
        let batch = self.lanes.len();
        let size = self.steps * batch;
        let (mut inputs, mut targets) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for place in 0..size {
            let lane = place % batch;
            let target = loop {
                match self.lanes[lane].rest.pop_front() {
                    Some(target) => break target,
                    None => self.deal(lane)?,
                }
            };
            inputs.push(std::mem::replace(&mut self.lanes[lane].previous, target));
            targets.push(target);
        }
        Ok(Window { inputs, targets, steps: self.steps, batch, scored: size })
    }

    /// Where the windows stand: those after it follow from this alone.
    pub fn place(&self) -> ShardPlace {
        let Shards { files, bytes, .. } = self.shards;
        let Place { line, byte } = self.lines.place();
        ShardPlace { files: files.len(), bytes: *bytes, file: self.file, line, byte, lanes: self.lanes.clone() }
    }

    /// Goes to a place that was kept.
    ///
    /// # Errors
    /// [`Error::OtherText`] if the shards have other sizes, or the batch other lanes, than when it was kept; those of
    /// the file.
    pub fn go_to(&mut self, place: &ShardPlace) -> Result<(), Error> {
        self.check(place).map_err(|problem| Error::OtherText { problem })?;
        self.lines = self.shards.open(place.file, Place { line: place.line, byte: place.byte })?;
        self.file = place.file;
        self.lanes.clone_from(&place.lanes);
        Ok(())
    }

    fn check(&self, place: &ShardPlace) -> Result<(), String> {
        let here = (self.shards.files.len(), self.shards.bytes);
        if (place.files, place.bytes) != here {
            let size = |(files, bytes)| format!("{files} files of together {bytes} bytes");
            return Err(format!("{} then, {} now", size((place.files, place.bytes)), size(here)));
        }
        if place.lanes.len() != self.lanes.len() {
            return Err(format!("{} streams then, {} now", place.lanes.len(), self.lanes.len()));
        }
        let n = self.vocabulary.len();
        let ids = place.lanes.iter().flat_map(|lane| lane.rest.iter().chain([&lane.previous]));
        match ids.copied().find(|&id| id as usize >= n) {
            Some(id) => Err(format!("class {id} then, {n} classes now")),
            None if place.file >= place.files => Err(format!("file {} of {}", place.file, place.files)),
            None => Ok(()),
        }
    }

    /// Gives the next sentence to a lane; after the last of a file, moves on to the next file.
    fn deal(&mut self, lane: usize) -> Result<(), Error> {
        let path = &self.shards.files[self.file];
        let Some((line, text)) = self.lines.next_line()? else {
            if self.lines.place().line == 0 {
                return Err(Error::Empty { path: path.clone() });
            }
            self.file = (self.file + 1) % self.shards.files.len();
            self.lines = self.shards.open(self.file, Place::default())?;
            return Ok(());
        };
        let rest = &mut self.lanes[lane].rest;
        for word in text.split_ascii_whitespace() {
            rest.push_back(self.vocabulary.encode_word(word, path, line)?);
        }
        rest.push_back(self.vocabulary.eos());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Census;

    /// Shards with sentences of 0 to 6 words, some packed, and their vocabulary.
    fn shards(files: usize, lines: usize) -> (tempfile::TempDir, Shards, Vocabulary) {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for file in 0..files {
            let line = |line: usize| (0..(line * 5 + file) % 7).map(|word| format!("w{} ", line * word % 11)).collect();
            let text: Vec<String> = (0..lines).map(line).collect();
            let path = folder.path().join(format!("shard-{file:02}"));
            write(&path, &text.join("\n"), file % 2 == 1);
            paths.push(path);
        }
        let census = Census::of(&paths, &|_| ()).unwrap();
        (folder, Shards::new(paths, census.tokens()).unwrap(), census.elect(None).unwrap())
    }

    fn write(path: &std::path::Path, text: &str, packed: bool) {
        let file = std::fs::File::create(path).unwrap();
        let (mut plain, mut gzip);
        let out: &mut dyn std::io::Write = if packed {
            gzip = flate2::write::GzEncoder::new(file, flate2::Compression::default());
            &mut gzip
        } else {
            plain = file;
            &mut plain
        };
        out.write_all(text.as_bytes()).unwrap();
    }

    /// The sentences of a text in its order, each with its `<eos>`.
    fn sentences(shards: &Shards, vocabulary: &Vocabulary) -> Vec<Vec<u32>> {
        let tokens: Vec<u32> = shards.files.iter().flat_map(|path| vocabulary.encode(path).unwrap()).collect();
        tokens.split_inclusive(|&token| token == vocabulary.eos()).map(<[u32]>::to_vec).collect()
    }

    #[test]
    fn lanes_take_the_next_sentence_of_the_text_as_they_run_empty() {
        let (_folder, shards, vocabulary) = shards(3, 20);
        let sentences = sentences(&shards, &vocabulary);
        let mut windows = shards.windows(&vocabulary, 4, 6).unwrap();
        // The same dealing, from the sentences in memory: lane by lane within a step.
        let mut lanes = vec![VecDeque::new(); 4];
        let mut dealt = sentences.iter().cycle();
        for _ in 0..3 * windows.per_epoch() {
            let window = windows.next_window().unwrap();
            assert_eq!((window.steps, window.batch, window.scored), (6, 4, 24));
            for (place, &target) in window.targets.iter().enumerate() {
                let lane = &mut lanes[place % 4];
                if lane.is_empty() {
                    lane.extend(dealt.next().unwrap());
                }
                assert_eq!(lane.pop_front(), Some(target));
            }
        }
    }

    #[test]
    fn an_input_is_the_token_before_its_target_in_the_lane() {
        let (_folder, shards, vocabulary) = shards(2, 20);
        let mut windows = shards.windows(&vocabulary, 3, 5).unwrap();
        let mut before = [vocabulary.eos(); 3];
        for _ in 0..2 * windows.per_epoch() {
            let window = windows.next_window().unwrap();
            for (place, (&input, &target)) in window.inputs.iter().zip(&window.targets).enumerate() {
                assert_eq!(std::mem::replace(&mut before[place % 3], target), input);
            }
        }
    }

    #[test]
    fn windows_do_not_depend_on_where_a_text_is_cut_into_shards() {
        let (folder, shards, vocabulary) = shards(5, 13);
        let text: Vec<String> = sentences(&shards, &vocabulary)
            .iter()
            .map(|sentence| {
                sentence[..sentence.len() - 1].iter().map(|&id| format!("{} ", vocabulary.word(id))).collect()
            })
            .collect();
        let path = folder.path().join("whole");
        write(&path, &text.join("\n"), true);
        let whole = Shards::new(vec![path], shards.tokens).unwrap();
        let (mut a, mut b) = (shards.windows(&vocabulary, 4, 6).unwrap(), whole.windows(&vocabulary, 4, 6).unwrap());
        for _ in 0..2 * a.per_epoch() + 3 {
            assert_eq!(a.next_window().unwrap(), b.next_window().unwrap());
        }
    }

    #[test]
    fn windows_go_on_from_any_kept_place() {
        let (_folder, shards, vocabulary) = shards(3, 20);
        let mut windows = shards.windows(&vocabulary, 4, 6).unwrap();
        let total = 2 * windows.per_epoch() + 1;
        let mut places = Vec::new();
        let mut all = Vec::new();
        for _ in 0..total {
            places.push(toml::to_string(&windows.place()).unwrap());
            all.push(windows.next_window().unwrap());
        }
        for (done, place) in places.iter().enumerate() {
            let mut again = shards.windows(&vocabulary, 4, 6).unwrap();
            again.go_to(&toml::from_str(place).unwrap()).unwrap();
            for window in &all[done..] {
                assert_eq!(&again.next_window().unwrap(), window);
            }
        }
    }

    #[test]
    fn a_place_in_another_text_or_batch_is_refused() {
        let (_folder, shards, vocabulary) = shards(3, 20);
        let place = shards.windows(&vocabulary, 4, 6).unwrap().place();
        let fewer = Shards::new(shards.files[..2].to_vec(), shards.tokens).unwrap();
        for (shards, batch, change, problem) in [
            (&fewer, 4, place.clone(), "3 files of together"),
            (&shards, 5, place.clone(), "4 streams then, 5 now"),
            (&shards, 4, ShardPlace { file: 3, ..place.clone() }, "file 3 of 3"),
            (
                &shards,
                4,
                ShardPlace { lanes: vec![Lane { previous: 99, rest: VecDeque::new() }; 4], ..place },
                "class 99 then",
            ),
        ] {
            let error = shards.windows(&vocabulary, batch, 6).unwrap().go_to(&change).unwrap_err();
            assert!(matches!(error, Error::OtherText { .. }) && error.to_string().contains(problem), "{error}");
        }
    }

    #[test]
    fn what_is_held_in_memory_does_not_grow_with_the_text() {
        let held = |lines: usize| {
            let (_folder, shards, vocabulary) = shards(4, lines);
            let mut windows = shards.windows(&vocabulary, 4, 6).unwrap();
            let most = (0..2 * windows.per_epoch()).map(|_| {
                windows.next_window().unwrap();
                windows.lines.capacity() + windows.lanes.iter().map(|lane| lane.rest.capacity()).sum::<usize>()
            });
            most.max().unwrap()
        };
        assert_eq!(held(20), held(2_000));
    }

    #[test]
    fn a_shard_that_fails_is_named_with_its_line() {
        let (folder, shards, vocabulary) = shards(2, 20);
        let message = |shards: &Shards| {
            let mut windows = shards.windows(&vocabulary, 4, 6).unwrap();
            (0..2 * windows.per_epoch()).find_map(|_| windows.next_window().err()).unwrap().to_string()
        };
        let broken = folder.path().join("broken");
        let with = |content: &[u8]| {
            std::fs::write(&broken, content).unwrap();
            message(&Shards { files: vec![shards.files[0].clone(), broken.clone()], ..shards.clone() })
        };
        assert!(with(b"w1\nw1 \xff\n").ends_with("broken, line 2, byte 4: invalid UTF-8"));
        assert!(with(b"").ends_with("broken: the file is empty"));
        let long = "a ".repeat(LONGEST_LINE as usize);
        assert!(with(long.as_bytes()).contains("broken, line 1: the line has more than 1048576 bytes"));
        let whole = std::fs::read(&shards.files[1]).unwrap();
        assert!(with(&whole[..whole.len() - 9]).contains("broken, line "));
        std::fs::remove_file(&broken).unwrap();
        let lost = Shards { files: vec![shards.files[0].clone(), broken.clone()], ..shards.clone() };
        assert!(message(&lost).ends_with("broken: cannot open the file"));
    }

    #[test]
    fn a_text_without_a_whole_window_is_refused() {
        let (_folder, shards, vocabulary) = shards(1, 3);
        let error = shards.windows(&vocabulary, 40, 6).unwrap_err().to_string();
        assert!(
            error.starts_with("batch size = 40: a window of 6 steps has 240 tokens, but the text only "),
            "{error}"
        );
        assert!(shards.windows(&vocabulary, 0, 6).is_err() && shards.windows(&vocabulary, 1, 0).is_err());
    }
}
