//! Text files, line by line: plain or gzip, UTF-8.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::Error;

/// The first two bytes of every gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads a text file one line at a time, with its place for error messages.
///
/// A file that starts with the two magic bytes of gzip is unpacked, whatever its name. One line is held in
/// memory, never the file.
pub(crate) struct Lines {
    path: PathBuf,
    source: Box<dyn BufRead>,
    gzip: bool,
    number: usize,
    buffer: Vec<u8>,
}

impl Lines {
    /// Opens `path` and looks at its first bytes.
    ///
    /// # Errors
    /// [`Error::Open`], or [`Error::Read`] for a folder.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Open { path: path.into(), source })?;
        let mut plain = BufReader::with_capacity(1 << 16, file);
        let start = plain.fill_buf().map_err(|source| Error::Read { path: path.into(), line: 1, source })?;
        let gzip = start.starts_with(&GZIP);
        let source: Box<dyn BufRead> = if gzip {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(plain)))
        } else {
            Box::new(plain)
        };
        Ok(Self { path: path.into(), source, gzip, number: 0, buffer: Vec::new() })
    }

    /// The next line without its end (`\n` or `\r\n`), and its number from 1; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Gzip`] or [`Error::Utf8`], with the line.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, &str)>, Error> {
        self.buffer.clear();
        self.number += 1;
        let line = self.number;
        match self.source.read_until(b'\n', &mut self.buffer) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
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

    fn broken(&self, source: std::io::Error) -> Error {
        let (path, line) = (self.path.clone(), self.number);
        let format =
            matches!(source.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput);
        if self.gzip && format { Error::Gzip { path, line, source } } else { Error::Read { path, line, source } }
    }
}

/// Calls `each(line, word)` for every token of a text, in order.
///
/// A line is a sentence. Its tokens are the runs of characters between ASCII white space, followed by one
/// [`EOS`](crate::EOS) for the end of the line. An empty line is a sentence of no words, hence one `<eos>`; that is
/// what the usual readers of the Penn Treebank and WikiText files do. A last line without a line feed
/// counts as a line. A literal `<eos>` inside a line is the same token.
///
/// # Errors
/// Those of the file; [`Error::Empty`] if it holds no word; whatever `each` returns.
pub(crate) fn for_each_token(path: &Path, mut each: impl FnMut(usize, &str) -> Result<(), Error>) -> Result<(), Error> {
    let mut lines = Lines::open(path)?;
    let mut words = 0;
    while let Some((line, text)) = lines.next_line()? {
        for word in text.split_ascii_whitespace() {
            each(line, word)?;
            words += 1;
        }
        each(line, crate::EOS)?;
    }
    if words == 0 { Err(Error::Empty { path: path.into() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::NamedTempFile;

    use super::*;

    fn file(bytes: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn tokens(file: &NamedTempFile) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        for_each_token(file.path(), |_, word| {
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
