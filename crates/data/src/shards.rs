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
/// Reading does not run ahead in a thread of its own: reading and encoding a token takes about 0.1 µs, and a
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
mod tests;
