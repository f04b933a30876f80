//! Counting the points of a file.

use std::cmp::Reverse;
use std::path::Path;

use rayon::prelude::*;

use super::blocks::{Blocks, Sizes};
use super::files::XcFiles;
use super::read::Reading;
use super::{IdLists, XcPoints};
use crate::Error;

/// Most bytes of a first line that can be a header.
const LONGEST: usize = 120;

/// How large a file of the Extreme Classification Repository is, and how its labels are spread.
///
/// # Example
/// ```
/// use rf_data::XcCensus;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("train.txt");
/// std::fs::write(&path, "3 5 4\n0,2 1:0.5 4:1\n 2:1\n2 0:1\n").unwrap();
/// assert!(XcCensus::recognises(&path)?);
/// let census = XcCensus::of(&path)?;
/// assert_eq!((census.points, census.features, census.labels), (3, 5, 4));
/// assert_eq!((census.labels_in_use, census.most_frequent_label), (2, Some((2, 2))));
/// # Ok::<(), rf_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XcCensus {
    /// Points.
    pub points: usize,
    /// Features, by the header.
    pub features: usize,
    /// Labels, n, by the header.
    pub labels: usize,
    /// Features of all points together.
    pub feature_entries: usize,
    /// Labels of all points together.
    pub label_entries: usize,
    /// Labels that a point has.
    pub labels_in_use: usize,
    /// Labels that a single point has.
    pub labels_with_one_point: usize,
    /// The label that most points have, the first of them where there are several, and how many have it; `None` if no
    /// point has one.
    pub most_frequent_label: Option<(u32, usize)>,
    /// Points without labels.
    pub points_without_labels: usize,
    /// Points without features.
    pub points_without_features: usize,
    /// Bytes of the file, unpacked.
    pub bytes: u64,
}

impl XcCensus {
    /// Whether the first line is three whole numbers, as of a file with features and labels; other files than regular
    /// ones are not looked at, since what is read of a pipe is gone.
    ///
    /// # Errors
    /// Those of the file, an empty one included.
    pub fn recognises(path: &Path) -> Result<bool, Error> {
        if !path.is_file() {
            return Ok(false);
        }
        let line = Blocks::open(path, Sizes::default())?.first_line(LONGEST)?;
        let words: Vec<_> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        Ok(line.len() <= LONGEST && words.len() == 3 && words.concat().iter().all(u8::is_ascii_digit))
    }

    /// Counts a file, plain or gzip. Memory holds its points.
    ///
    /// # Errors
    /// [`Error::Header`], [`Error::Field`]; those of the file.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let (points, bytes) = rayon::join(|| Reading::default().points(&XcFiles::from(path)), || unpacked_bytes(path));
        let (XcPoints { features, labels, .. }, header) = points?;
        let counts = counts(&labels);
        let most_frequent = counts.iter().max_by_key(|&&(label, count)| (count, Reverse(label)));
        let points = labels.len();
        Ok(Self {
            points,
            features: header.features as usize,
            labels: header.labels as usize,
            feature_entries: features.nonzeros(),
            label_entries: labels.total(),
            labels_in_use: counts.len(),
            labels_with_one_point: counts.iter().filter(|(_, count)| *count == 1).count(),
            most_frequent_label: most_frequent.copied(),
            points_without_labels: (0..points).filter(|&point| labels.row(point).is_empty()).count(),
            points_without_features: (0..points).filter(|&point| features.row(point).0.is_empty()).count(),
            bytes: bytes?,
        })
    }
}

/// Labels that are there and how many points have each. No memory goes by the header, which may say 2³² labels.
fn counts(labels: &IdLists) -> Vec<(u32, usize)> {
    let mut ids: Vec<u32> = (0..labels.len()).flat_map(|point| labels.row(point)).copied().collect();
    ids.par_sort_unstable();
    ids.chunk_by(|one, other| one == other).map(|run| (run[0], run.len())).collect()
}

fn unpacked_bytes(path: &Path) -> Result<u64, Error> {
    let mut blocks = Blocks::open(path, Sizes::default())?;
    let (mut block, mut bytes) = (Vec::new(), 0);
    while blocks.next(&mut block)? {
        bytes += block.len() as u64;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tempfile::NamedTempFile;

    use super::*;

    const TEXT: &str = "5 6 4294967295\n3,9 1:1 2:1\n 4:1\n9,3 \n7 0:1\n\n";

    fn file(bytes: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_file_is_counted_plain_and_packed() {
        let text = TEXT.replace("\n\n", "\n 5:1\n");
        for bytes in [text.clone().into_bytes(), gzip(&text)] {
            let census = XcCensus::of(file(&bytes).path()).unwrap();
            let expected = XcCensus {
                points: 5,
                features: 6,
                labels: 4_294_967_295,
                feature_entries: 5,
                label_entries: 5,
                labels_in_use: 3,
                labels_with_one_point: 1,
                most_frequent_label: Some((3, 2)),
                points_without_labels: 2,
                points_without_features: 1,
                bytes: text.len() as u64,
            };
            assert_eq!(census, expected);
        }
        assert_eq!(XcCensus::of(file(b"1 1 1\n 0:1\n").path()).unwrap().most_frequent_label, None);
    }

    #[test]
    fn three_whole_numbers_are_a_header() {
        let recognised = |bytes: &[u8]| XcCensus::recognises(file(bytes).path()).unwrap();
        assert!(recognised(b"3 5 7\n0 1:1\n") && recognised(b"3 5  7\r\n") && recognised(b"0 5 99999999999"));
        assert!(recognised(&gzip(TEXT)));
        for text in ["3 5\n", "3 5 7 9\n", "3 5 7.0\n", "3 -5 7\n", "the cat sat\n", "\n3 5 7\n"] {
            assert!(!recognised(text.as_bytes()), "{text}");
        }
        assert!(!recognised(format!("1 2 {}", "3".repeat(120)).as_bytes()));
        assert!(!XcCensus::recognises(&std::env::temp_dir()).unwrap());
        assert!(!XcCensus::recognises(Path::new("no/such/file")).unwrap());
        assert!(matches!(XcCensus::recognises(file(b"").path()), Err(Error::Empty { .. })));
    }

    #[test]
    fn a_faulty_file_is_refused_with_its_place() {
        let problem = |text: &str| XcCensus::of(file(text.as_bytes()).path()).unwrap_err().to_string();
        let error = problem("2 5 3\n0 1:1\n3 1:1\n");
        assert!(error.contains(", line 3, field 1: "), "{error}");
        assert!(problem("0 5 3\n").ends_with("line 1: the header says 0 points"));
        assert!(problem(TEXT).contains(", line 6, field 1: the line is blank"));
    }
}
