//! Lines of files of points.

use super::blocks::lines;
use super::header::Header;

/// What the lines of a file hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// `label,label feature:value feature:value`.
    Both,
    /// `feature:value feature:value`.
    Features,
    /// `label:1 label:1`.
    Labels,
}

/// What is allowed in a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) columns: Columns,
    /// Features in the file.
    pub(super) features: u32,
    pub(super) labels: u32,
    /// Features are hashed into so many; `None` for not at all.
    pub(super) buckets: Option<u32>,
    /// Whether values may be negative.
    pub(super) negative: bool,
}

/// Rows of a piece of a file.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// One a line: where its labels end.
    pub(super) label_ends: Vec<usize>,
    pub(super) labels: Vec<u32>,
    /// One a line: where its features end.
    pub(super) feature_ends: Vec<usize>,
    pub(super) features: Vec<u32>,
    pub(super) values: Vec<f32>,
    /// The first line without a byte.
    pub(super) blank: Option<usize>,
    /// Features that are sorted, and their places in the line.
    unsorted: Vec<(u32, f32, usize)>,
}

/// What is wrong in a piece, and where.
#[derive(Debug)]
pub(super) struct Problem {
    /// The line of the piece, from 0.
    pub(super) row: usize,
    /// From 1.
    pub(super) field: usize,
    pub(super) problem: String,
}

/// A field that is wrong, and why.
type Refusal = (usize, String);

impl Columns {
    /// The names of the numbers in the header.
    pub(super) fn header(self) -> &'static [&'static str] {
        match self {
            Self::Both => &["points", "features", "labels"],
            Self::Features => &["points", "features"],
            Self::Labels => &["points", "labels"],
        }
    }

    /// The numbers of a header by their names.
    pub(super) fn header_of(self, numbers: [u32; 3]) -> Header {
        let [points, second, third] = numbers;
        match self {
            Self::Both => Header { points, features: second, labels: third },
            Self::Features => Header { points, features: second, labels: 0 },
            Self::Labels => Header { points, features: 0, labels: second },
        }
    }
}

impl Rules {
    /// Parses a piece of whole lines. A line without content is a row without entries.
    pub(super) fn parse(&self, piece: &[u8]) -> Result<Part, Problem> {
        let mut part = Part::default();
        for (row, line) in lines(piece).enumerate() {
            let parsed = match self.columns {
                Columns::Both => self.parse_both(line, &mut part),
                Columns::Features => self.parse_features(line, 1, &mut part),
                Columns::Labels => self.parse_weighted_labels(line, &mut part),
            };
            parsed.map_err(|(field, problem)| Problem { row, field, problem })?;
            if line.is_empty() {
                part.blank.get_or_insert(row);
            }
            part.label_ends.push(part.labels.len());
            part.feature_ends.push(part.features.len());
        }
        Ok(part)
    }

    fn parse_both(&self, line: &[u8], part: &mut Part) -> Result<(), Refusal> {
        let first = token(line);
        if first.is_empty() || first.contains(&b':') {
            return self.parse_features(line, 2, part);
        }
        let start = part.labels.len();
        for label in first.split(|&byte| byte == b',') {
            part.labels.push(self.label(label).map_err(|problem| (1, problem))?);
        }
        settle_labels(&mut part.labels, start).map_err(|problem| (1, problem))?;
        self.parse_features(&line[first.len()..], 2, part)
    }

    fn label(&self, text: &[u8]) -> Result<u32, String> {
        match leading_number(text) {
            (label, digits) if digits > 0 && digits == text.len() => in_range("label", label, self.labels),
            _ if text.is_empty() => Err("a label is empty".into()),
            _ => Err(format!("`{}` is no label", shown(text))),
        }
    }

    /// Labels in the form `label:number`. The number says nothing, but must be one other than 0.
    fn parse_weighted_labels(&self, line: &[u8], part: &mut Part) -> Result<(), Refusal> {
        let start = part.labels.len();
        for (place, pair) in tokens(line).enumerate() {
            part.labels.push(self.weighted_label(pair).map_err(|problem| (place + 1, problem))?);
        }
        if !part.labels[start..].is_sorted_by(|a, b| a < b) {
            let labels = part.labels.drain(start..).enumerate();
            part.unsorted.clear();
            part.unsorted.extend(labels.map(|(place, label)| (label, 0.0, place)));
            part.sort().map_err(|(place, label)| (1 + place, twice("label", label)))?;
            part.labels.extend(part.unsorted.iter().map(|&(label, ..)| label));
        }
        Ok(())
    }

    fn weighted_label(&self, pair: &[u8]) -> Result<u32, String> {
        let (label, number) = split_pair("label", pair)?;
        match value(number)? {
            (0.0, _) => Err(format!("`{}` is neither there nor absent", shown(pair))),
            _ => in_range("label", label, self.labels),
        }
    }

    /// Features in the form `feature:value`, of which the first is field `field`.
    fn parse_features(&self, line: &[u8], field: usize, part: &mut Part) -> Result<(), Refusal> {
        let start = part.features.len();
        let (mut rest, mut place, mut ascends) = (skip_space(line), 0, true);
        while !rest.is_empty() {
            let (id, value, bytes) = self.feature(rest).map_err(|problem| (field + place, problem))?;
            ascends &= part.features.len() == start || part.features[part.features.len() - 1] < id;
            part.features.push(id);
            part.values.push(value);
            rest = skip_space(&rest[bytes..]);
            place += 1;
        }
        if !ascends {
            part.sort_features(start).map_err(|(place, id)| (field + place, twice("feature", id)))?;
        }
        if let Some(buckets) = self.buckets {
            part.hash_features(start, buckets);
        }
        Ok(())
    }

    /// The feature that `text` begins with, its value, and how many bytes they take.
    #[inline]
    fn feature(&self, text: &[u8]) -> Result<(u32, f32, usize), String> {
        self.plain_feature(text).map_or_else(|| self.any_feature(text), Ok)
    }

    /// One whose value has few digits and no sign, as nearly all of them.
    #[inline]
    fn plain_feature(&self, text: &[u8]) -> Option<(u32, f32, usize)> {
        let (id, digits) = leading_number(text);
        if digits == 0 || text.get(digits) != Some(&b':') || id >= u64::from(self.features) {
            return None;
        }
        let (value, bytes) = short_decimal(&text[digits + 1..])?;
        Some((id as u32, value, digits + 1 + bytes))
    }

    #[cold]
    fn any_feature(&self, text: &[u8]) -> Result<(u32, f32, usize), String> {
        let (id, digits) = leading_number(text);
        if digits == 0 || text.get(digits) != Some(&b':') {
            return Err(split_pair("feature", token(text)).expect_err("it does not begin with a number and `:`"));
        }
        let id = in_range("feature", id, self.features)?;
        let (value, bytes) = value(&text[digits + 1..])?;
        if value < 0.0 && !self.negative {
            return Err(format!("the value {value} is negative, which neither counts nor tf-idf allow"));
        }
        Ok((id, value, digits + 1 + bytes))
    }
}

impl Part {
    /// Sorts the features from `start` on; returns the place and the id of one that stands there before.
    fn sort_features(&mut self, start: usize) -> Result<(), (usize, u32)> {
        self.take_features(start, |id| id);
        self.sort()?;
        self.features.extend(self.unsorted.iter().map(|&(id, ..)| id));
        self.values.extend(self.unsorted.iter().map(|&(_, value, _)| value));
        Ok(())
    }

    /// Hashes the features from `start` on; values of one bucket are added.
    fn hash_features(&mut self, start: usize, buckets: u32) {
        self.take_features(start, |id| bucket(id, buckets));
        self.unsorted.sort_unstable_by_key(|&(id, _, place)| (id, place));
        for same in self.unsorted.chunk_by(|a, b| a.0 == b.0) {
            self.features.push(same[0].0);
            self.values.push(same.iter().map(|&(_, value, _)| value).sum());
        }
    }

    /// Moves the features from `start` on to where they are sorted.
    fn take_features(&mut self, start: usize, rename: impl Fn(u32) -> u32) {
        let features = self.features.drain(start..).zip(self.values.drain(start..)).enumerate();
        self.unsorted.clear();
        self.unsorted.extend(features.map(|(place, (id, value))| (rename(id), value, place)));
    }

    /// Sorts what was taken; returns the place and the id of one that stands there before.
    fn sort(&mut self) -> Result<(), (usize, u32)> {
        self.unsorted.sort_unstable_by_key(|&(id, _, place)| (id, place));
        let twice = self.unsorted.windows(2).find(|pair| pair[0].0 == pair[1].0);
        twice.map_or(Ok(()), |pair| Err((pair[1].2, pair[1].0)))
    }
}

/// The bucket of a feature: the finalizer of SplitMix64, scaled down to `0..buckets`.
fn bucket(id: u32, buckets: u32) -> u32 {
    let mut x = u64::from(id).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((((x ^ (x >> 31)) >> 32) * u64::from(buckets)) >> 32) as u32
}

/// Sorts the labels from `start` on and refuses one that stands there twice.
fn settle_labels(labels: &mut [u32], start: usize) -> Result<(), String> {
    let labels = &mut labels[start..];
    if labels.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    labels.sort_unstable();
    labels.windows(2).find(|pair| pair[0] == pair[1]).map_or(Ok(()), |pair| Err(twice("label", pair[0])))
}

/// Id and value of a pair `id:value`.
fn split_pair<'a>(what: &str, pair: &'a [u8]) -> Result<(u64, &'a [u8]), String> {
    let Some(colon) = pair.iter().position(|&byte| byte == b':') else {
        return Err(format!("`{}` has no `:` between a {what} and a value", shown(pair)));
    };
    let (id, value) = (&pair[..colon], &pair[colon + 1..]);
    match leading_number(id) {
        (number, digits) if digits > 0 && digits == id.len() => Ok((number, value)),
        _ => Err(format!("`{}` is no {what}", shown(id))),
    }
}

/// The number that `text` begins with, and its bytes up to the next white space.
fn value(text: &[u8]) -> Result<(f32, usize), String> {
    if let Some(found) = short_decimal(text) {
        return Ok(found);
    }
    let text = token(text);
    let number: f32 = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("`{}` is no number", shown(text)))?;
    if number.is_finite() { Ok((number, text.len())) } else { Err(format!("`{}` is not finite", shown(text))) }
}

/// A number of few digits, exactly rounded: its digits and its power of ten are both exact in `f32`.
#[inline]
fn short_decimal(text: &[u8]) -> Option<(f32, usize)> {
    const TENS: [f32; 11] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];
    let (mut digits, mut bytes) = leading_number(text);
    let mut decimals = 0;
    if text.get(bytes) == Some(&b'.') && digits < 1 << 24 {
        let fraction;
        (fraction, decimals) = leading_number(&text[bytes + 1..]);
        if !(1..TENS.len()).contains(&decimals) {
            return None;
        }
        digits = digits * 10_u64.pow(decimals as u32) + fraction;
        bytes += 1 + decimals;
    }
    let ends = text.get(bytes).is_none_or(|byte| is_space(*byte));
    (ends && bytes > decimals + usize::from(decimals > 0) && digits < 1 << 24)
        .then(|| (digits as f32 / TENS[decimals], bytes))
}

/// The number that the digits at the start of `text` make, `u64::MAX` for a larger one, and how many they are.
#[inline]
fn leading_number(text: &[u8]) -> (u64, usize) {
    let (mut number, mut digits) = (0_u64, 0);
    while let Some(digit) = text.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        number = if digits < 18 { number * 10 + u64::from(digit) } else { u64::MAX };
        digits += 1;
    }
    (number, digits)
}

fn in_range(what: &str, id: u64, size: u32) -> Result<u32, String> {
    if id < u64::from(size) {
        Ok(id as u32)
    } else {
        Err(format!("{what} {} is out of range: the header says {size} {what}s", shown_id(id)))
    }
}

fn twice(what: &str, id: u32) -> String {
    format!("{what} {id} stands twice in the line")
}

fn shown_id(id: u64) -> String {
    if id == u64::MAX { "of 19 digits or more".into() } else { id.to_string() }
}

/// A part of a line, for a message.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(40).collect()
}

/// The bytes up to the first white space.
fn token(text: &[u8]) -> &[u8] {
    &text[..text.iter().position(|&byte| is_space(byte)).unwrap_or(text.len())]
}

/// The parts between white space.
fn tokens(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| is_space(byte)).filter(|token| !token.is_empty())
}

fn skip_space(text: &[u8]) -> &[u8] {
    &text[text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len())..]
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(columns: Columns) -> Rules {
        Rules { columns, features: 100, labels: 50, buckets: None, negative: true }
    }

    #[test]
    fn a_line_has_labels_and_features() {
        let text = b"3,1,20 5:1 0:0.5\t7:-2e1 \n 4:1\n4:2\n7\n \n8 \r\n";
        let part = rules(Columns::Both).parse(text).unwrap();
        assert_eq!((part.labels, part.label_ends), (vec![1, 3, 20, 7, 8], vec![3, 3, 3, 4, 4, 5]));
        assert_eq!((part.features, part.feature_ends), (vec![0, 5, 7, 4, 4], vec![3, 4, 5, 5, 5, 5]));
        assert_eq!((part.values, part.blank), (vec![0.5, 1.0, -20.0, 1.0, 2.0], None));
        assert_eq!(rules(Columns::Both).parse(b"1 1:1\n\n\n").unwrap().blank, Some(1));
    }

    #[test]
    fn labels_in_a_file_of_their_own_are_sorted() {
        let part = rules(Columns::Labels).parse(b"4:1 2:1.0 9:-3\n\n1:1").unwrap();
        assert_eq!((part.labels, part.label_ends), (vec![2, 4, 9, 1], vec![3, 3, 4]));
    }

    #[test]
    fn numbers_are_the_nearest_f32() {
        for text in [
            "0",
            "1",
            "-1",
            "+2",
            "007",
            "0.1",
            "0.3",
            "16777215",
            "16777217",
            "123456789",
            "0.0000000001",
            "0.16777215",
            "3.14159265358979",
            "1e-3",
            "1E5",
            ".5",
            "5.",
            "1e-46",
            "0.00000000000000000000000000000000000001",
            "-0.25",
            "99999999999999999999",
            "1.9999999",
            "8388608.5",
        ] {
            let (found, bytes) = value(format!("{text} 7:1").as_bytes()).unwrap();
            assert_eq!((found, bytes), (text.parse().unwrap(), text.len()), "{text}");
            assert_eq!(value(text.as_bytes()).unwrap(), (found, bytes), "{text}");
        }
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (digits, decimals) = ((state >> 33) % 100_000_000, (state >> 20) % 9);
            let text = format!("{:.*}", decimals as usize, digits as f64 / 10_f64.powi(decimals as i32));
            assert_eq!(value(text.as_bytes()).unwrap().0, text.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_line_is_said_with_its_field() {
        for (line, field, problem) in [
            ("50 1:1", 1, "label 50 is out of range: the header says 50 labels"),
            ("1,x 1:1", 1, "`x` is no label"),
            ("1,-2 1:1", 1, "`-2` is no label"),
            ("1,,2 1:1", 1, "a label is empty"),
            ("1, 1:1", 1, "a label is empty"),
            ("2,1,2 1:1", 1, "label 2 stands twice in the line"),
            ("1,99999999999999999999 1:1", 1, "label of 19 digits or more is out of range: the header says 50 labels"),
            ("1 1:1 7", 3, "`7` has no `:` between a feature and a value"),
            ("1 2", 2, "`2` has no `:` between a feature and a value"),
            ("1 x:1", 2, "`x` is no feature"),
            ("1 -2:1", 2, "`-2` is no feature"),
            (" :1", 2, "`` is no feature"),
            ("1,2:3", 2, "`1,2` is no feature"),
            ("1 2:1 100:1", 3, "feature 100 is out of range: the header says 100 features"),
            ("1 2:1 5:1 2:3", 4, "feature 2 stands twice in the line"),
            ("1 2:1 2:1", 3, "feature 2 stands twice in the line"),
            ("1 2:x", 2, "`x` is no number"),
            ("1 2:", 2, "`` is no number"),
            ("1 2:1:1", 2, "`1:1` is no number"),
            ("1 2:1,5", 2, "`1,5` is no number"),
            ("1 2:nan", 2, "`nan` is not finite"),
            ("1 2:-inf", 2, "`-inf` is not finite"),
            ("1 2:1e39", 2, "`1e39` is not finite"),
        ] {
            let found = rules(Columns::Both).parse(format!("1 1:1\n{line}\n1 1:1").as_bytes()).unwrap_err();
            assert_eq!((found.row, found.field, &found.problem[..]), (1, field, problem), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_file_of_features_or_labels_is_said_with_its_field() {
        let problem = |columns, line: &str| {
            let found = rules(columns).parse(line.as_bytes()).unwrap_err();
            format!("{}: {}", found.field, found.problem)
        };
        assert_eq!(problem(Columns::Features, "1:1 2"), "2: `2` has no `:` between a feature and a value");
        assert_eq!(problem(Columns::Labels, "1:1 2"), "2: `2` has no `:` between a label and a value");
        assert_eq!(problem(Columns::Labels, "1:1 x:1"), "2: `x` is no label");
        assert_eq!(problem(Columns::Labels, "50:1"), "1: label 50 is out of range: the header says 50 labels");
        assert_eq!(problem(Columns::Labels, "3:1 4:1 3:1"), "3: label 3 stands twice in the line");
        assert_eq!(problem(Columns::Labels, "3:1 4:0"), "2: `4:0` is neither there nor absent");
        assert_eq!(problem(Columns::Labels, "3:yes"), "1: `yes` is no number");
    }

    #[test]
    fn counts_are_not_negative() {
        let rules = Rules { negative: false, ..rules(Columns::Both) };
        assert_eq!(rules.parse(b"1 2:0").unwrap().values, [0.0]);
        let problem = rules.parse(b"1 2:-0.5").unwrap_err().problem;
        assert_eq!(problem, "the value -0.5 is negative, which neither counts nor tf-idf allow");
    }

    #[test]
    fn hashed_features_keep_the_sum_of_each_bucket() {
        let rules = Rules { buckets: Some(7), ..rules(Columns::Both) };
        let line: String = (0..60).map(|id| format!(" {id}:{}", id + 1)).collect();
        let part = rules.parse(format!("{line}\n 3:2 9:1").as_bytes()).unwrap();
        assert_eq!(part.features[..7], [0, 1, 2, 3, 4, 5, 6]);
        for (hash, sum) in part.values[..7].iter().enumerate() {
            let expected: u32 = (0..60).filter(|&id| bucket(id, 7) == hash as u32).map(|id| id + 1).sum();
            assert_eq!(*sum, expected as f32);
        }
        assert_eq!(part.feature_ends[0], 7);
        assert_eq!(part.values[7..].iter().sum::<f32>(), 3.0);
    }

    #[test]
    fn buckets_are_even_and_stay_what_they_are() {
        let mut counts = [0_u32; 10];
        (0..100_000).for_each(|id| counts[bucket(id, 10) as usize] += 1);
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 400), "{counts:?}");
        // Frozen on the first release: a saved model has a row for each bucket.
        assert_eq!([0, 1, 2, 1_000_000].map(|id| bucket(id, 1 << 20)), FIRST_BUCKETS);
    }

    const FIRST_BUCKETS: [u32; 4] = [926_218, 594_082, 619_907, 426_193];
}
