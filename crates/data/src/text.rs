//! Text files, line by line: plain or gzip, UTF-8.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::Error;

/// The first two bytes of every gzip file.
pub(crate) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes that are read from a file at a time.
const BLOCK: usize = 1 << 16;

/// Most bytes of a line where memory is bounded.
pub(crate) const LONGEST_LINE: u64 = 1 << 20;

/// Reads a text file one line at a time, with its place for error messages.
///
/// A file that starts with the two magic bytes of gzip is unpacked, whatever its name. One line is held in
/// memory, never the file.
pub(crate) struct Lines {
    path: PathBuf,
    source: Box<dyn BufRead + Send>,
    gzip: bool,
    place: Place,
    longest: u64,
    buffer: Vec<u8>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("path", &self.path).field("place", &self.place).finish_non_exhaustive()
    }
}

/// A place between two lines of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Lines before it.
    pub line: usize,
    /// Bytes of text before it, unpacked.
    pub byte: u64,
}

impl Lines {
    /// Opens `path` and looks at its first bytes.
    ///
    /// # Errors
    /// [`Error::Open`], or [`Error::Read`] for a folder.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Self::open_at(path, Place::default())
    }

    /// Opens `path` to read on from `place`. A packed file is unpacked from its start, a plain one is not read.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Gzip`] where the part before `place` is broken.
    pub(crate) fn open_at(path: &Path, place: Place) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Open { path: path.into(), source })?;
        let read = |source| Error::Read { path: path.into(), line: place.line + 1, source };
        let mut plain = BufReader::with_capacity(BLOCK, file);
        let gzip = plain.fill_buf().map_err(read)?.starts_with(&GZIP);
        let source: Box<dyn BufRead + Send> = if gzip {
            let mut unpacked = BufReader::with_capacity(BLOCK, MultiGzDecoder::new(plain));
            let skipped = io::copy(&mut (&mut unpacked).take(place.byte), &mut io::sink());
            skipped.map_err(|source| Error::Gzip { path: path.into(), line: place.line + 1, source })?;
            Box::new(unpacked)
        } else {
            plain.seek(SeekFrom::Start(place.byte)).map_err(read)?;
            Box::new(plain)
        };
        Ok(Self { path: path.into(), source, gzip, place, longest: u64::MAX, buffer: Vec::new() })
    }

    /// Refuses lines of more than `bytes` bytes, of which it would otherwise hold any number in memory.
    pub(crate) fn no_longer_than(self, bytes: u64) -> Self {
        Self { longest: bytes, ..self }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of memory taken for a line.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// The place behind the last line that was read.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The next line without its end (`\n` or `\r\n`), and its number from 1; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Gzip`], [`Error::LongLine`] or [`Error::Utf8`], with the line.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, &str)>, Error> {
        self.buffer.clear();
        let line = self.place.line + 1;
        // One byte more than allowed tells a line that is too long from one that just fits.
        let most = self.longest.saturating_add(1);
        match (&mut self.source).take(most).read_until(b'\n', &mut self.buffer) {
            Ok(0) => return Ok(None),
            Ok(bytes) if bytes as u64 > self.longest => {
                return Err(Error::LongLine { path: self.path.clone(), line, longest: self.longest });
            }
            Ok(bytes) => self.place = Place { line, byte: self.place.byte + bytes as u64 },
            Err(source) => return Err(self.broken(source)),
        }
        let text = std::str::from_utf8(&self.buffer).map_err(|e| Error::Utf8 {
            path: self.path.clone(),
            line,
            column: e.valid_up_to() + 1,
        })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        Ok(Some((line, text.strip_suffix('\r').unwrap_or(text))))
    }

    fn broken(&self, source: io::Error) -> Error {
        let (path, line) = (self.path.clone(), self.place.line + 1);
        let format =
            matches!(source.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput);
        if self.gzip && format { Error::Gzip { path, line, source } } else { Error::Read { path, line, source } }
    }
}

/// Calls `each(line, word)` for every token of a text, in order, and returns the place of its end.
///
/// A line is a sentence. Its tokens are the runs of characters between ASCII white space, followed by one
/// [`EOS`](crate::EOS) for the end of the line. An empty line is a sentence of no words, hence one `<eos>`; that is
/// what the usual readers of the Penn Treebank and WikiText files do. A last line without a line feed
/// counts as a line. A literal `<eos>` inside a line is the same token.
///
/// # Errors
/// Those of the file; [`Error::Empty`] if it holds no word; whatever `each` returns.
pub(crate) fn for_each_token(
    mut lines: Lines,
    mut each: impl FnMut(usize, &str) -> Result<(), Error>,
) -> Result<Place, Error> {
    let mut words = 0;
    while let Some((line, text)) = lines.next_line()? {
        for word in text.split_ascii_whitespace() {
            each(line, word)?;
            words += 1;
        }
        each(line, crate::EOS)?;
    }
    if words == 0 { Err(Error::Empty { path: lines.path }) } else { Ok(lines.place) }
}

#[cfg(test)]
mod tests {
    use tempfile::NamedTempFile;

    use super::*;
    use crate::scratch::{file, gzip};

    fn tokens(file: &NamedTempFile) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        for_each_token(Lines::open(file.path())?, |_, word| {
            all.push(word.to_owned());
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn every_line_ends_with_eos() {
        let text = file(b" a  b\t\r\n\nc");
        assert_eq!(tokens(&text).unwrap(), ["a", "b", "<eos>", "<eos>", "c", "<eos>"]);
    }

    #[test]
    fn gzip_is_told_by_its_bytes_and_may_have_several_members() {
        let text = file(&[gzip(b"a b\n"), gzip(b"c\n")].concat());
        assert_eq!(tokens(&text).unwrap(), ["a", "b", "<eos>", "c", "<eos>"]);
    }

    #[test]
    fn a_missing_file_is_refused_by_name() {
        let error = Lines::open(Path::new("no/such/file")).err().unwrap();
        assert!(matches!(error, Error::Open { .. }));
        assert_eq!(error.to_string(), "no/such/file: cannot open the file");
    }

    #[test]
    fn a_folder_is_refused() {
        assert!(matches!(Lines::open(&std::env::temp_dir()), Err(Error::Open { .. } | Error::Read { .. })));
    }

    #[test]
    fn invalid_utf8_is_refused_with_line_and_byte() {
        let text = file(b"fine\nab \xff\n");
        assert!(matches!(tokens(&text), Err(Error::Utf8 { line: 2, column: 4, .. })));
    }

    #[test]
    fn reading_goes_on_at_any_place_of_a_plain_and_of_a_packed_file() {
        let text = "a b\r\n\nc d e\nf".as_bytes();
        for file in [file(text), file(&gzip(text))] {
            let mut lines = Lines::open(file.path()).unwrap();
            let mut rest = Vec::new();
            loop {
                let mut again = Lines::open_at(file.path(), lines.place()).unwrap();
                rest.push(
                    std::iter::from_fn(|| again.next_line().unwrap().map(|(n, text)| (n, text.to_owned()))).collect(),
                );
                if lines.next_line().unwrap().is_none() {
                    break;
                }
            }
            let all: &Vec<(usize, String)> = &rest[0];
            assert_eq!(
                all.iter().map(|(n, text)| (*n, text.as_str())).collect::<Vec<_>>(),
                [(1, "a b"), (2, ""), (3, "c d e"), (4, "f")]
            );
            for (index, rest) in rest.iter().enumerate() {
                assert_eq!(rest, &all[index..]);
            }
        }
    }

    #[test]
    fn a_line_longer_than_allowed_is_refused_before_it_is_read() {
        let text = file(b"a b\nlonger line\n");
        let mut lines = Lines::open(text.path()).unwrap().no_longer_than(12);
        assert!(lines.next_line().is_ok() && lines.next_line().is_ok_and(|line| line.is_some()));
        let mut lines = Lines::open(text.path()).unwrap().no_longer_than(4);
        assert_eq!(lines.next_line().unwrap(), Some((1, "a b")));
        assert!(matches!(lines.next_line(), Err(Error::LongLine { line: 2, longest: 4, .. })));
        assert!(lines.buffer.len() <= 5);
    }

    #[test]
    fn a_truncated_gzip_is_refused() {
        let whole = gzip(b"a b c\nd e f\n");
        for kept in [3, whole.len() / 2, whole.len() - 1] {
            assert!(matches!(tokens(&file(&whole[..kept])), Err(Error::Gzip { .. })), "{kept} bytes");
        }
    }

    #[test]
    fn a_corrupt_gzip_is_refused() {
        let mut bytes = gzip("some words that take a few bytes\n".repeat(50).as_bytes());
        let checksum = bytes.len() - 8;
        bytes[checksum] ^= 1;
        assert!(matches!(tokens(&file(&bytes)), Err(Error::Gzip { .. })));
        assert!(matches!(tokens(&file(&[gzip(b"a\n"), b"tail".to_vec()].concat())), Err(Error::Gzip { .. })));
    }

    #[test]
    fn a_text_without_words_is_refused() {
        assert!(matches!(tokens(&file(b"")), Err(Error::Empty { .. })));
        assert!(matches!(tokens(&file(b"\n \n")), Err(Error::Empty { .. })));
        assert!(matches!(tokens(&file(&gzip(b""))), Err(Error::Empty { .. })));
    }
}
