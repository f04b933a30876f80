//! Files of points, read in blocks that are parsed side by side.

use std::path::Path;

use rayon::prelude::*;

use super::blocks::{Blocks, Sizes, pieces};
use super::files::XcFiles;
use super::header::{Expected, Header, refused};
use super::line::{Columns, Part, Problem, Rules};
use super::{IdLists, SparseRows, XcPoints};
use crate::Error;

/// How points are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// What the headers must say, if that is known.
    pub(super) expected: Option<Expected>,
    /// Features are hashed into so many; `None` for not at all.
    pub(super) buckets: Option<u32>,
    /// Whether a negative value is refused.
    pub(super) counts: bool,
    /// How much of a file is held.
    pub(super) sizes: Sizes,
}

/// New points in one file of the repository's format, whose points may have labels or not.
///
/// The values are as they stand in the file: [`Weighting::apply`](crate::Weighting::apply) is up to the caller. For
/// the data of a run, [`XcDataConfig::read_points`](crate::XcDataConfig::read_points) also hashes the features.
///
/// # Errors
/// [`Error::Header`], also for other numbers of features and labels than those given; [`Error::Field`]; those of the
/// file.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("points.txt");
/// std::fs::write(&path, "2 5 3\n0,2 1:0.5 4:1\n 2:1\n").unwrap();
/// let points = rf_data::read_points(&path, 5, 3)?;
/// assert_eq!((points.len(), points.unlabelled()), (2, 1));
/// assert_eq!(points.features.row(0), (&[1, 4][..], &[0.5, 1.0][..]));
/// let error = rf_data::read_points(&path, 6, 3).unwrap_err();
/// assert!(error.to_string().ends_with("line 1: the header says 5 features, but the model has 6"));
/// # Ok::<(), rf_data::Error>(())
/// ```
pub fn read_points(path: &Path, features: usize, labels: usize) -> Result<XcPoints, Error> {
    let expected = Some(Expected { features: Some(features), labels, of: "the model has" });
    Reading { expected, ..Default::default() }.points(&XcFiles::One(path.into())).map(|(points, _)| points)
}

/// Rows of a file, as they come in.
#[derive(Debug)]
struct Rows {
    header: Header,
    label_offsets: Vec<usize>,
    labels: Vec<u32>,
    feature_offsets: Vec<usize>,
    features: Vec<u32>,
    values: Vec<f32>,
}

impl Reading {
    /// Reads a file or a pair of files; also gives the features and labels of the header.
    ///
    /// # Errors
    /// As [`read_points`].
    pub(super) fn points(&self, files: &XcFiles) -> Result<(XcPoints, Header), Error> {
        match files {
            XcFiles::One(path) => {
                let rows = self.rows(path, Columns::Both)?;
                let header = rows.header;
                let (features, labels) = rows.split();
                Ok((XcPoints::new(features, labels), header))
            }
            XcFiles::Two { features, labels } => {
                let header = self.header(files)?;
                let (features, _) = self.rows(features, Columns::Features)?.split();
                let (_, labels) = self.rows(labels, Columns::Labels)?.split();
                Ok((XcPoints::new(features, labels), header))
            }
        }
    }

    /// Reads the headers alone, and refuses those that do not belong together.
    ///
    /// # Errors
    /// [`Error::Header`]; those of the files.
    pub(super) fn header(&self, files: &XcFiles) -> Result<Header, Error> {
        match files {
            XcFiles::One(path) => Ok(self.open(path, Columns::Both)?.1),
            XcFiles::Two { features, labels } => {
                let first = self.open(features, Columns::Features)?.1;
                let second = self.open(labels, Columns::Labels)?.1;
                if first.points != second.points {
                    let here = format!("the header says {} points, but {} has ", second.points, features.display());
                    return Err(refused(labels, format!("{here}{}", first.points)));
                }
                Ok(Header { labels: second.labels, ..first })
            }
        }
    }

    fn open(&self, path: &Path, columns: Columns) -> Result<(Blocks, Header), Error> {
        let mut blocks = Blocks::open(path, self.sizes)?;
        let header = Header::read(&mut blocks, columns)?;
        if let Some(expected) = self.expected {
            header.check(expected, columns, path)?;
        }
        Ok((blocks, header))
    }

    /// Reads a file to its end. While a block is parsed, the next one is unpacked.
    fn rows(&self, path: &Path, columns: Columns) -> Result<Rows, Error> {
        let (mut blocks, header) = self.open(path, columns)?;
        let Header { features, labels, .. } = header;
        let rules = Rules { columns, features, labels, buckets: self.buckets, negative: !self.counts };
        let (mut rows, mut line) = (Rows::new(header), 2);
        let (mut block, mut following) = (Vec::new(), Vec::new());
        let mut more = blocks.next(&mut block)?;
        while more {
            let (parts, next) = rayon::join(|| rules.parse_all(&block, self.sizes), || blocks.next(&mut following));
            for part in parts {
                line = rows.append(part, line, columns, path)?;
            }
            more = next?;
            std::mem::swap(&mut block, &mut following);
        }
        rows.finish(path)
    }
}

impl Rules {
    fn parse_all(&self, block: &[u8], sizes: Sizes) -> Vec<Result<Part, Problem>> {
        pieces(block, sizes.piece).into_par_iter().map(|piece| self.parse(piece)).collect()
    }
}

impl Rows {
    fn new(header: Header) -> Self {
        let (label_offsets, feature_offsets) = (vec![0], vec![0]);
        Self { header, label_offsets, labels: vec![], feature_offsets, features: vec![], values: vec![] }
    }

    /// Adds the rows of a part that begins in line `line`, and returns the line after it.
    fn append(
        &mut self,
        part: Result<Part, Problem>,
        line: usize,
        columns: Columns,
        path: &Path,
    ) -> Result<usize, Error> {
        let part = part.map_err(|Problem { row, field, problem }| Error::Field {
            path: path.into(),
            line: line + row,
            field,
            problem,
        })?;
        let next = line + part.label_ends.len();
        let rows = part.label_ends.len().min(self.header.points as usize - self.len());
        if let Some(row) = part.blank.filter(|&row| row < rows && columns == Columns::Both) {
            let problem = "the line is blank; a point without labels begins with a space".into();
            return Err(Error::Field { path: path.into(), line: line + row, field: 1, problem });
        }
        if let Some(row) = part.first_entry_after(rows) {
            let problem = format!("the header says {} points, here is one more", self.header.points);
            return Err(Error::Header { path: path.into(), line: line + row, problem });
        }
        self.extend(&part, rows);
        Ok(next)
    }

    fn extend(&mut self, part: &Part, rows: usize) {
        let share = f64::from(self.header.points) / (self.len() + rows).max(1) as f64;
        reserve(&mut self.labels, part.labels.len(), share);
        reserve(&mut self.features, part.features.len(), share);
        reserve(&mut self.values, part.values.len(), share);
        let (labels, features) = (self.labels.len(), self.features.len());
        self.label_offsets.extend(part.label_ends[..rows].iter().map(|end| labels + end));
        self.feature_offsets.extend(part.feature_ends[..rows].iter().map(|end| features + end));
        self.labels.extend_from_slice(&part.labels);
        self.features.extend_from_slice(&part.features);
        self.values.extend_from_slice(&part.values);
    }

    fn len(&self) -> usize {
        self.label_offsets.len() - 1
    }

    /// Refuses a file that ends too early.
    fn finish(self, path: &Path) -> Result<Self, Error> {
        if self.len() < self.header.points as usize {
            let problem = format!("the header says {} points, the file has {}", self.header.points, self.len());
            return Err(refused(path, problem));
        }
        Ok(self)
    }

    fn split(self) -> (SparseRows, IdLists) {
        let features = SparseRows::new(self.feature_offsets, self.features, self.values);
        (features, IdLists::new(self.label_offsets, self.labels))
    }
}

impl Part {
    /// The first row from `rows` on that has a label or a feature.
    fn first_entry_after(&self, rows: usize) -> Option<usize> {
        let start = |ends: &[usize]| if rows == 0 { 0 } else { ends[rows - 1] };
        let (label, feature) = (start(&self.label_ends), start(&self.feature_ends));
        (rows..self.label_ends.len()).find(|&row| self.label_ends[row] > label || self.feature_ends[row] > feature)
    }
}

/// Makes room for `more` entries; where there is none, for what the whole file will need at `share` of what is there.
/// Without that, memory would hold up to twice the result.
fn reserve<T>(entries: &mut Vec<T>, more: usize, share: f64) {
    let need = entries.len() + more;
    if need > entries.capacity() {
        let estimate = (need as f64 * share * 1.01) as usize;
        entries.reserve_exact(estimate.clamp(need + need / 8, 2 * need) - entries.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{file, gzip};

    fn read(bytes: &[u8], sizes: Sizes) -> Result<XcPoints, Error> {
        let file = file(bytes);
        Reading { sizes, ..Default::default() }.points(&XcFiles::from(file.path())).map(|(points, _)| points)
    }

    /// The error of reading `text`, without the path.
    fn problem(text: &str) -> String {
        let error = read(text.as_bytes(), Sizes::default()).unwrap_err();
        assert!(error.is_bad_input());
        let words = error.to_string();
        words[words.find(", line").or(words.find(": ")).unwrap() + 2..].to_owned()
    }

    /// A file of `points` points, some of them without labels or without features, ids in no order.
    fn text(points: usize) -> String {
        let mut text = format!("{points} 97 53\n");
        for point in 0..points {
            let labels: Vec<_> = (0..point % 4).map(|i| ((point * 7 + i * 11) % 53).to_string()).collect();
            text += &format!("{} ", labels.join(","));
            (0..point * point % 9).for_each(|i| text += &format!("{}:{}.{i} ", (point + i * 31) % 97, point % 50));
            text += if point % 5 == 0 { "\r\n" } else { "\n" };
        }
        text
    }

    #[test]
    fn neither_packing_nor_blocks_nor_threads_matter() {
        let text = text(700);
        let expected = read(text.as_bytes(), Sizes::default()).unwrap();
        assert_eq!((expected.len(), expected.unlabelled()), (700, 175));
        let middle = text.len() / 2;
        let members = [gzip(&text.as_bytes()[..middle]), gzip(&text.as_bytes()[middle..])].concat();
        for block in [100, 999, 5000, 1 << 20] {
            for piece in [1, 64, 1000] {
                let sizes = Sizes { block, piece, longest: 1 << 20 };
                for bytes in [text.as_bytes(), text.trim_end_matches('\n').as_bytes(), &gzip(text.as_bytes()), &members]
                {
                    assert_eq!(read(bytes, sizes).unwrap(), expected);
                }
                for threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    assert_eq!(pool.install(|| read(text.as_bytes(), sizes).unwrap()), expected);
                }
            }
        }
    }

    #[test]
    fn the_first_error_of_a_file_is_told_whatever_the_blocks() {
        let lines: Vec<String> = text(300).lines().map(str::to_owned).collect();
        for (line, field) in [(2, 1), (77, 1), (300, 1)] {
            let mut faulty = lines.clone();
            faulty[line - 1] = "x 1:1".into();
            faulty[300] = "y 1:1".into();
            for (block, piece) in [(100, 1), (100, 1000), (1000, 200), (1 << 20, 1 << 10)] {
                let sizes = Sizes { block, piece, longest: 1 << 20 };
                let error = read(faulty.join("\n").as_bytes(), sizes).unwrap_err();
                let found = matches!(&error, Error::Field { line: l, field: f, .. } if (*l, *f) == (line, field));
                assert!(found && error.to_string().ends_with("`x` is no label"), "{error}");
            }
        }
    }

    #[test]
    fn a_point_may_be_without_labels_or_features() {
        let points = read(b"4 3 2\n 1:1\n2:1\n1\n \n\n \n", Sizes::default()).unwrap();
        assert_eq!(points.labels, IdLists::new(vec![0, 0, 0, 1, 1], vec![1]));
        assert_eq!(points.features, SparseRows::new(vec![0, 1, 2, 2, 2], vec![1, 2], vec![1.0, 1.0]));
    }

    #[test]
    fn faulty_files_are_refused_with_line_and_field() {
        for (text, message) in [
            ("", " the file is empty"),
            ("0 1:1\n", "line 1: `0 1:1` is no header; expected the numbers `points` `features` `labels`"),
            ("2 3\n0 1:1\n", "line 1: the header has 2 numbers; expected `points` `features` `labels`"),
            ("2 3 2\n0 1:1\n", "line 1: the header says 2 points, the file has 1"),
            (
                "2 3 2\n0 1:1\n\n1 1:1\n",
                "line 3, field 1: the line is blank; a point without labels begins with a space",
            ),
            ("2 3 2\n0 1:1\n0 1:1\n\n1 1:1\n", "line 5: the header says 2 points, here is one more"),
            ("1 3 2\n0 1:1\n\t2:1\n1 1:1\n", "line 3: the header says 1 points, here is one more"),
            ("1 3 2\n2 1:1\n", "line 2, field 1: label 2 is out of range: the header says 2 labels"),
            ("1 3 2\n1 1:1 3:1\n", "line 2, field 3: feature 3 is out of range: the header says 3 features"),
        ] {
            assert_eq!(problem(text).trim_start(), message.trim_start(), "{text}");
        }
        let sizes = Sizes { block: 1000, piece: 100, longest: 2000 };
        let line = "1:1 ".repeat(600);
        let error = read(format!("1 3 2\n0 {line}\n").as_bytes(), sizes).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("line 2: the line has more than 2000 bytes, the most for a file read as a stream")
        );
        assert!(error.is_bad_input());
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_like_any_other() {
        let error = read(b"1 3 2\n\xff\xfe 1:1\n", Sizes::default()).unwrap_err();
        assert!(error.to_string().ends_with("line 2, field 1: `\u{fffd}\u{fffd}` is no label"), "{error}");
    }

    #[test]
    fn a_truncated_gzip_is_refused_after_any_point() {
        let whole = gzip(text(2000).as_bytes());
        for kept in [5, whole.len() / 2, whole.len() - 1] {
            let error = read(&whole[..kept], Sizes { block: 1000, piece: 100, longest: 1 << 20 }).unwrap_err();
            assert!(matches!(error, Error::Gzip { .. }), "{error}");
        }
    }

    #[test]
    fn two_files_are_the_points_of_one() {
        let whole = read(text(300).as_bytes(), Sizes::default()).unwrap();
        let (mut features, mut labels) = ("300 97\n".to_owned(), "300 53\n".to_owned());
        for point in 0..300 {
            let (ids, values) = whole.features.row(point);
            ids.iter().zip(values).for_each(|(id, value)| features += &format!("{id}:{value} "));
            whole.labels.row(point).iter().rev().for_each(|label| labels += &format!("{label}:1.0 "));
            features = features.trim_end_matches(' ').to_owned() + "\n";
            labels = labels.trim_end_matches(' ').to_owned() + "\n";
        }
        let (features, packed, labels) =
            (file(features.as_bytes()), file(&gzip(features.as_bytes())), file(labels.as_bytes()));
        for features in [&features, &packed] {
            let files = XcFiles::Two { features: features.path().into(), labels: labels.path().into() };
            let (points, header) = Reading::default().points(&files).unwrap();
            assert_eq!(points, whole);
            assert_eq!(header, Header { points: 300, features: 97, labels: 53 });
        }
    }

    #[test]
    fn two_files_of_different_lengths_are_refused() {
        let (features, labels) = (file(b"3 4\n1:1\n\n2:1\n"), file(b"2 5\n1:1\n\n"));
        let files = XcFiles::Two { features: features.path().into(), labels: labels.path().into() };
        let error = Reading::default().points(&files).unwrap_err().to_string();
        let expected = format!("the header says 2 points, but {} has 3", features.path().display());
        assert!(error.ends_with(&format!("line 1: {expected}")), "{error}");
        let labels = file(b"3 5\n1:1\n\n");
        let files = XcFiles::Two { features: features.path().into(), labels: labels.path().into() };
        let error = Reading::default().points(&files).unwrap_err().to_string();
        assert!(error.ends_with("line 1: the header says 3 points, the file has 2"), "{error}");
    }

    #[test]
    fn a_header_that_promises_too_much_takes_no_memory_ahead() {
        let error = read(b"4294967295 4294967295 4294967295\n1 1:1\n", Sizes::default()).unwrap_err();
        assert!(error.to_string().ends_with("the header says 4294967295 points, the file has 1"), "{error}");
    }
}
