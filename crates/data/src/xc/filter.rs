//! Files of labels that are neither right nor wrong, and of label names.

use std::path::Path;

use super::IdLists;
use crate::Error;
use crate::text::Lines;

/// Most bytes of a line.
const LONGEST: u64 = 1 << 20;

/// Reads the pairs `point label`, one a line, as in the repository's `filter_labels_test.txt`.
///
/// The pairs may be in any order, and stand there more than once. Blank lines are allowed at the end alone.
///
/// # Errors
/// [`Error::Field`] for a line that is no such pair; those of a text file.
pub(super) fn read_filter(path: &Path, points: usize, labels: usize) -> Result<IdLists, Error> {
    let mut pairs = Vec::new();
    each_line(path, |line, text| {
        let pair = pair(text, points, labels);
        pairs.push(pair.map_err(|(field, problem)| Error::Field { path: path.into(), line, field, problem })?);
        Ok(())
    })?;
    pairs.sort_unstable();
    pairs.dedup();
    let mut offsets = vec![0; points + 1];
    pairs.iter().for_each(|&(point, _)| offsets[point as usize + 1] += 1);
    (1..=points).for_each(|point| offsets[point] += offsets[point - 1]);
    Ok(IdLists::new(offsets, pairs.into_iter().map(|(_, label)| label).collect()))
}

/// Reads the names of the labels: line i, from 0, is the name of label i. Blank lines are allowed at the end alone.
///
/// # Errors
/// [`Error::Header`] for another number of lines than `labels`; those of a text file.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("labels.txt");
/// std::fs::write(&path, "cat\nwild dog\n").unwrap();
/// assert_eq!(rf_data::read_names(&path, 2)?, ["cat", "wild dog"]);
/// # Ok::<(), rf_data::Error>(())
/// ```
pub fn read_names(path: &Path, labels: usize) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let refuse = |line, problem| Error::Header { path: path.into(), line, problem };
    each_line(path, |line, text| {
        if names.len() == labels {
            return Err(refuse(line, format!("there are {labels} labels, here is the name of one more")));
        }
        names.push(text.to_owned());
        Ok(())
    })?;
    if names.len() < labels {
        let problem = format!("there are {labels} labels, but only {} names", names.len());
        return Err(refuse(names.len().max(1), problem));
    }
    Ok(names)
}

/// Calls `each(line, text)` for every line but the blank ones at the end; those before it hears of once another follows.
fn each_line(path: &Path, mut each: impl FnMut(usize, &str) -> Result<(), Error>) -> Result<(), Error> {
    let mut lines = Lines::open(path)?.no_longer_than(LONGEST);
    let mut blank = None;
    while let Some((line, text)) = lines.next_line()? {
        if text.trim_ascii().is_empty() {
            blank.get_or_insert(line);
            continue;
        }
        for earlier in blank.take().unwrap_or(line)..line {
            each(earlier, "")?;
        }
        each(line, text)?;
    }
    Ok(())
}

fn pair(text: &str, points: usize, labels: usize) -> Result<(u32, u32), (usize, String)> {
    let mut words = text.split_ascii_whitespace();
    let point = id("point", words.next(), points).map_err(|problem| (1, problem))?;
    let label = id("label", words.next(), labels).map_err(|problem| (2, problem))?;
    match words.next() {
        Some(word) => Err((3, format!("`{word}` follows a point and a label"))),
        None => Ok((point, label)),
    }
}

fn id(what: &str, word: Option<&str>, size: usize) -> Result<u32, String> {
    let word = word.ok_or_else(|| format!("there is no {what}"))?;
    match word.parse::<u64>() {
        Ok(id) if id < size as u64 => Ok(id as u32),
        Ok(id) => Err(format!("{what} {id} is out of range: there are {size} {what}s")),
        Err(_) => Err(format!("`{word}` is no {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn pairs_in_any_order_become_lists() {
        let lists = read_filter(file("3 1\n0 2\n3 0\n3 1\n\n").path(), 5, 3).unwrap();
        assert_eq!(lists, IdLists::new(vec![0, 1, 1, 1, 3, 3], vec![2, 0, 1]));
        assert_eq!(read_filter(file("").path(), 2, 3).unwrap(), IdLists::empty(2));
    }

    #[test]
    fn a_faulty_pair_is_refused_with_line_and_field() {
        for (text, message) in [
            ("0 1\nx 1\n", "line 2, field 1: `x` is no point"),
            ("0 -1\n", "line 1, field 2: `-1` is no label"),
            ("0 1\n4\n", "line 2, field 2: there is no label"),
            ("0 1 1\n", "line 1, field 3: `1` follows a point and a label"),
            ("5 1\n", "line 1, field 1: point 5 is out of range: there are 5 points"),
            ("4 3\n", "line 1, field 2: label 3 is out of range: there are 3 labels"),
            ("0 1\n\n \n0 2\n", "line 2, field 1: there is no point"),
        ] {
            let error = read_filter(file(text).path(), 5, 3).unwrap_err();
            assert!(error.to_string().ends_with(message), "{error}");
            assert!(error.is_bad_input());
        }
    }

    #[test]
    fn names_are_lines_and_may_be_blank_before_the_last() {
        assert_eq!(read_names(file("a b\n\nc\r\n\n").path(), 3).unwrap(), ["a b", "", "c"]);
    }

    #[test]
    fn too_few_and_too_many_names_are_refused() {
        let error = read_names(file("a\nb\n").path(), 3).unwrap_err();
        assert!(error.to_string().ends_with("line 2: there are 3 labels, but only 2 names"), "{error}");
        let error = read_names(file("a\nb\nc\nd\n").path(), 3).unwrap_err();
        assert!(error.to_string().ends_with("line 4: there are 3 labels, here is the name of one more"), "{error}");
        let error = read_names(file("").path(), 3).unwrap_err();
        assert!(error.to_string().ends_with("line 1: there are 3 labels, but only 0 names"), "{error}");
        assert!(matches!(read_names(Path::new("no/such/file"), 1), Err(Error::Open { .. })));
    }
}
