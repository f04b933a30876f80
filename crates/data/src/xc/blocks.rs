//! Files as blocks of whole lines: plain or gzip, any bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::Error;
use crate::text::GZIP;

/// How much of a file is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes that are read for a block.
    pub(super) block: usize,
    /// Bytes of a block that are parsed in one piece.
    pub(super) piece: usize,
    /// Most bytes of a line, its end included; not below `block`.
    pub(super) longest: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { block: 2 << 20, piece: 128 << 10, longest: 64 << 20 }
    }
}

/// Reads a file in blocks of whole lines. Lines may have any bytes: whoever parses them refuses what is wrong.
///
/// A file that starts with the two magic bytes of gzip is unpacked, whatever its name.
pub(super) struct Blocks {
    path: PathBuf,
    source: Box<dyn Read + Send>,
    gzip: bool,
    sizes: Sizes,
    /// The start of a line that the next block goes on with.
    rest: Vec<u8>,
    /// Whole lines that were given.
    lines: usize,
    ended: bool,
}

impl Blocks {
    /// Opens `path` and looks at its first bytes.
    ///
    /// # Errors
    /// [`Error::Open`], or [`Error::Read`] for a folder.
    pub(super) fn open(path: &Path, sizes: Sizes) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Open { path: path.into(), source })?;
        let mut plain = BufReader::with_capacity(1 << 16, file);
        let start = plain.fill_buf().map_err(|source| Error::Read { path: path.into(), line: 1, source })?;
        let gzip = start.starts_with(&GZIP);
        let source: Box<dyn Read + Send> = if gzip { Box::new(MultiGzDecoder::new(plain)) } else { Box::new(plain) };
        Ok(Self { path: path.into(), source, gzip, sizes, rest: Vec::new(), lines: 0, ended: false })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The first line, without its end, if it has at most `longest` bytes; else its beginning. To be called first.
    ///
    /// # Errors
    /// [`Error::Empty`]; those of [`next`](Self::next).
    pub(super) fn first_line(&mut self, longest: usize) -> Result<Vec<u8>, Error> {
        let mut block = Vec::new();
        self.read(longest as u64 + 1, &mut block)?;
        if block.is_empty() {
            return Err(Error::Empty { path: self.path.clone() });
        }
        let end = end_of_line(&block);
        self.rest = block.split_off(end);
        self.lines = 1;
        block.truncate(without_end(&block).len());
        Ok(block)
    }

    /// Puts the next lines into `block`, which is cleared; `false` after the last.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Gzip`], or [`Error::LongLine`], with the line.
    pub(super) fn next(&mut self, block: &mut Vec<u8>) -> Result<bool, Error> {
        block.clear();
        block.append(&mut self.rest);
        // Bytes of the line that is not ended yet.
        let mut open = block.len() - last_end(block);
        while !self.ended {
            let start = block.len();
            self.read(self.sizes.block as u64, block)?;
            open += end_of_line(&block[start..]);
            if open > self.sizes.longest {
                let (line, longest) = (self.lines + newlines(&block[..start]) + 1, self.sizes.longest as u64);
                return Err(Error::LongLine { path: self.path.clone(), line, longest });
            }
            let end = start + last_end(&block[start..]);
            if end > start && !self.ended {
                self.rest = block.split_off(end);
                break;
            }
        }
        self.lines += newlines(block);
        Ok(!block.is_empty())
    }

    /// Appends up to `most` bytes; fewer only at the end.
    fn read(&mut self, most: u64, block: &mut Vec<u8>) -> Result<(), Error> {
        block.reserve_exact(most as usize);
        match (&mut self.source).take(most).read_to_end(block) {
            Ok(read) => {
                self.ended = (read as u64) < most;
                Ok(())
            }
            Err(source) => Err(self.broken(self.lines + newlines(block) + 1, source)),
        }
    }

    fn broken(&self, line: usize, source: io::Error) -> Error {
        let path = self.path.clone();
        let format =
            matches!(source.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput);
        if self.gzip && format { Error::Gzip { path, line, source } } else { Error::Read { path, line, source } }
    }
}

/// The lines of `text`, without their ends (`\n` or `\r\n`).
pub(super) fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (line, rest) = text.split_at(end_of_line(text));
        text = rest;
        (!line.is_empty()).then(|| without_end(line))
    })
}

/// Cuts `block` into pieces of whole lines, each of about `size` bytes.
pub(super) fn pieces(mut block: &[u8], size: usize) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while block.len() > size {
        let (piece, rest) = block.split_at(size + end_of_line(&block[size..]));
        pieces.push(piece);
        block = rest;
    }
    if !block.is_empty() {
        pieces.push(block);
    }
    pieces
}

/// Bytes up to and with the first line feed; all where there is none.
fn end_of_line(mut text: &[u8]) -> usize {
    // The search for a byte in `std` that is fast.
    text.skip_until(b'\n').expect("memory is read without errors")
}

/// Bytes up to and with the last line feed; none where there is none.
fn last_end(text: &[u8]) -> usize {
    text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1)
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn newlines(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use tempfile::NamedTempFile;

    use super::*;
    use crate::scratch::{file, gzip};

    fn open(file: &NamedTempFile, block: usize, longest: usize) -> Blocks {
        Blocks::open(file.path(), Sizes { block, piece: 1, longest }).unwrap()
    }

    #[test]
    fn blocks_are_whole_lines_and_together_the_file() {
        for text in ["first\na\n\nbc\r\nd", "first\na\n\nbc\r\nd\n", "first\n", "first"] {
            let packed = gzip(text.as_bytes());
            let members = [gzip(&text.as_bytes()[..3]), gzip(&text.as_bytes()[3..])].concat();
            for file in [file(text.as_bytes()), file(&packed), file(&members)] {
                for (block, header) in (1..8).flat_map(|block| [(block, 5), (block, 9), (block, 100)]) {
                    let mut blocks = open(&file, block, 20);
                    assert_eq!(blocks.first_line(header).unwrap(), b"first");
                    let (mut found, mut next) = (b"first\n".to_vec(), Vec::new());
                    while blocks.next(&mut next).unwrap() {
                        assert!(next.ends_with(b"\n") || blocks.ended);
                        found.extend(&next);
                    }
                    assert_eq!(found.strip_suffix(b"\n").unwrap_or(&found), text.trim_end_matches('\n').as_bytes());
                }
            }
        }
    }

    #[test]
    fn pieces_are_whole_lines_and_together_the_block() {
        let block = b"a\nbcd\n\nefghij\nk";
        for size in 1..20 {
            let pieces = pieces(block, size);
            assert_eq!(pieces.concat(), block);
            assert!(pieces[..pieces.len() - 1].iter().all(|piece| piece.len() >= size && piece.ends_with(b"\n")));
        }
        assert_eq!(lines(b"a\r\n\nb").collect::<Vec<_>>(), [&b"a"[..], b"", b"b"]);
    }

    #[test]
    fn a_line_longer_than_allowed_is_refused_before_it_is_read() {
        for (before, line) in [("first\n", 2), ("first\nab\n", 3), ("first\nab\nc\n", 4)] {
            for fits in [true, false] {
                let long = if fits { "1234567\n" } else { "12345678\n" };
                let text = file(format!("{before}{long}{}", "x\n".repeat(100)).as_bytes());
                let (mut blocks, mut block) = (open(&text, 4, 8), Vec::new());
                blocks.first_line(7).unwrap();
                let mut next = || blocks.next(&mut block).map(|more| (more, block.len()));
                let end =
                    std::iter::from_fn(|| next().map(|(more, _)| more.then_some(())).transpose()).find_map(Result::err);
                match end {
                    None => assert!(fits),
                    Some(Error::LongLine { line: found, longest: 8, .. }) => assert!(!fits && found == line),
                    Some(error) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn a_broken_gzip_is_refused_with_the_line() {
        let text: String = (0..100_000_u64).map(|i| format!("{}\n", i * 7_919 % 100_003)).collect();
        let whole = gzip(text.as_bytes());
        let mut flipped = whole.clone();
        flipped[whole.len() - 8] ^= 1;
        for (bytes, least) in
            [(&whole[..whole.len() / 2], 10_000), (&whole[..whole.len() - 1], 99_000), (&flipped, 99_000)]
        {
            let (mut blocks, mut block) = (open(&file(bytes), 1 << 12, 1 << 12), Vec::new());
            blocks.first_line(100).unwrap();
            let error = loop {
                match blocks.next(&mut block) {
                    Ok(more) => assert!(more),
                    Err(error) => break error,
                }
            };
            assert!(matches!(&error, Error::Gzip { line, .. } if *line > least && *line <= 100_001), "{error}");
        }
    }

    #[test]
    fn an_empty_a_missing_file_and_a_folder_are_refused() {
        assert!(matches!(open(&file(b""), 4, 8).first_line(9), Err(Error::Empty { .. })));
        assert!(matches!(open(&file(&gzip(b"")), 4, 8).first_line(9), Err(Error::Empty { .. })));
        assert!(matches!(Blocks::open(Path::new("no/such/file"), Sizes::default()), Err(Error::Open { .. })));
        let folder = Blocks::open(&std::env::temp_dir(), Sizes::default());
        assert!(matches!(folder, Err(Error::Open { .. } | Error::Read { .. })));
    }
}
