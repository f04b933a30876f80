//! Rows of different lengths in one piece of memory.

/// A sparse matrix of `f32` by rows: row i is what point i shows.
///
/// # Shapes
/// `[points, features]`, of which only the entries that were given are held.
///
/// # Example
/// ```
/// use rf_data::SparseRows;
/// let rows = SparseRows::new(vec![0, 2, 2], vec![3, 7], vec![1.0, 0.5]);
/// assert_eq!(rows.row(0), (&[3, 7][..], &[1.0, 0.5][..]));
/// assert!(rows.row(1).0.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SparseRows {
    offsets: Vec<usize>,
    ids: Vec<u32>,
    values: Vec<f32>,
}

/// A list of ids for each point: ascending, distinct.
///
/// # Example
/// ```
/// use rf_data::IdLists;
/// let lists = IdLists::new(vec![0, 1, 3], vec![4, 0, 9]);
/// assert_eq!((lists.len(), lists.row(1), lists.total()), (2, &[0, 9][..], 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdLists {
    offsets: Vec<usize>,
    ids: Vec<u32>,
}

impl SparseRows {
    /// Rows of which row i has the entries `offsets[i] .. offsets[i + 1]`.
    ///
    /// # Panics
    /// If the offsets do not ascend from 0 to the number of entries, or the ids of a row do not ascend strictly.
    pub fn new(offsets: Vec<usize>, ids: Vec<u32>, values: Vec<f32>) -> Self {
        check(&offsets, &ids);
        assert_eq!(ids.len(), values.len(), "{} ids, {} values", ids.len(), values.len());
        Self { offsets, ids, values }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids and values of row `i`; the ids ascend and differ.
    ///
    /// # Panics
    /// If `i >= self.len()`.
    pub fn row(&self, i: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[i]..self.offsets[i + 1];
        (&self.ids[range.clone()], &self.values[range])
    }

    /// Entries of all rows.
    pub fn nonzeros(&self) -> usize {
        self.ids.len()
    }

    /// The ids of all rows, one after another.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Ids and values of row `i`, the values to be changed.
    pub(super) fn row_mut(&mut self, i: usize) -> (&[u32], &mut [f32]) {
        let range = self.offsets[i]..self.offsets[i + 1];
        (&self.ids[range.clone()], &mut self.values[range])
    }

    /// The given rows, in the given order.
    pub(super) fn select(&self, rows: &[u32]) -> Self {
        let (offsets, entries) = gather(&self.offsets, rows);
        let ids = entries.clone().flat_map(|range| &self.ids[range]).copied().collect();
        let values = entries.flat_map(|range| &self.values[range]).copied().collect();
        Self { offsets, ids, values }
    }

    /// Keeps the rows for which `keep` says so, in place.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let (ids, values) = (&mut self.ids, &mut self.values);
        let kept = compact(&mut self.offsets, keep, |range, to| {
            ids.copy_within(range.clone(), to);
            values.copy_within(range, to);
        });
        ids.truncate(kept);
        values.truncate(kept);
    }
}

impl IdLists {
    /// Lists of which list i has the ids `offsets[i] .. offsets[i + 1]`.
    ///
    /// # Panics
    /// If the offsets do not ascend from 0 to the number of ids, or the ids of a list do not ascend strictly.
    pub fn new(offsets: Vec<usize>, ids: Vec<u32>) -> Self {
        check(&offsets, &ids);
        Self { offsets, ids }
    }

    /// `len` lists without ids.
    pub fn empty(len: usize) -> Self {
        Self { offsets: vec![0; len + 1], ids: Vec::new() }
    }

    /// Lists.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no list.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of list `i`: ascending, distinct.
    ///
    /// # Panics
    /// If `i >= self.len()`.
    pub fn row(&self, i: usize) -> &[u32] {
        &self.ids[self.offsets[i]..self.offsets[i + 1]]
    }

    /// Ids of all lists together.
    pub fn total(&self) -> usize {
        self.ids.len()
    }

    /// In how many lists each of the ids `0..n` stands.
    ///
    /// # Panics
    /// If an id is not below `n`.
    pub fn counts(&self, n: usize) -> Vec<u64> {
        let mut counts = vec![0; n];
        self.ids.iter().for_each(|&id| counts[id as usize] += 1);
        counts
    }

    /// Takes the ids of each of `others` out of the list beside it.
    pub(super) fn subtract(&mut self, others: &Self) {
        if others.total() == 0 {
            return;
        }
        let (mut offsets, mut ids) = (vec![0], Vec::with_capacity(self.ids.len()));
        for list in 0..self.len() {
            let gone = others.row(list);
            ids.extend(self.row(list).iter().filter(|id| gone.binary_search(id).is_err()));
            offsets.push(ids.len());
        }
        (self.offsets, self.ids) = (offsets, ids);
    }

    /// The given lists, in the given order.
    pub(super) fn select(&self, rows: &[u32]) -> Self {
        let (offsets, entries) = gather(&self.offsets, rows);
        Self { offsets, ids: entries.flat_map(|range| &self.ids[range]).copied().collect() }
    }

    /// Keeps the lists for which `keep` says so, in place.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let ids = &mut self.ids;
        let kept = compact(&mut self.offsets, keep, |range, to| ids.copy_within(range, to));
        ids.truncate(kept);
    }
}

fn check(offsets: &[usize], ids: &[u32]) {
    assert_eq!(offsets.first(), Some(&0), "offsets start at 0");
    assert!(offsets.is_sorted(), "offsets ascend");
    assert_eq!(offsets.last(), Some(&ids.len()), "the last offset is the number of ids");
    let ascends = |ends: &[usize]| ids[ends[0]..ends[1]].is_sorted_by(|a, b| a < b);
    assert!(offsets.windows(2).all(ascends), "the ids of a row ascend");
}

/// New offsets of the given rows, and where their entries are.
fn gather<'a>(
    offsets: &'a [usize],
    rows: &'a [u32],
) -> (Vec<usize>, impl Iterator<Item = std::ops::Range<usize>> + Clone + 'a) {
    let entries = rows.iter().map(|&row| offsets[row as usize]..offsets[row as usize + 1]);
    let mut ends = vec![0];
    for range in entries.clone() {
        ends.push(ends[ends.len() - 1] + range.len());
    }
    (ends, entries)
}

/// Takes the offsets of lost rows out, calls `shift(entries, to)` for each kept row, and returns the entries kept.
fn compact(
    offsets: &mut Vec<usize>,
    keep: impl Fn(usize) -> bool,
    mut shift: impl FnMut(std::ops::Range<usize>, usize),
) -> usize {
    let (mut rows, mut kept, mut start) = (0, 0, 0);
    for row in 0..offsets.len() - 1 {
        let end = offsets[row + 1];
        if keep(row) {
            shift(start..end, kept);
            kept += end - start;
            rows += 1;
            offsets[rows] = kept;
        }
        start = end;
    }
    offsets.truncate(rows + 1);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> SparseRows {
        SparseRows::new(vec![0, 2, 2, 3, 6], vec![1, 4, 0, 2, 3, 9], vec![1., 2., 3., 4., 5., 6.])
    }

    #[test]
    fn rows_that_are_kept_in_place_are_those_that_are_selected() {
        for mask in 0..16_u32 {
            let kept: Vec<u32> = (0..4).filter(|row| mask >> row & 1 == 1).collect();
            let mut retained = rows();
            retained.retain(|row| mask >> row & 1 == 1);
            assert_eq!(retained, rows().select(&kept), "{kept:?}");
            let mut lists = IdLists::new(rows().offsets, rows().ids);
            assert_eq!(lists.select(&kept).offsets, retained.offsets);
            lists.retain(|row| mask >> row & 1 == 1);
            assert_eq!(lists, IdLists::new(retained.offsets, retained.ids));
        }
    }

    #[test]
    fn ids_are_counted() {
        let lists = IdLists::new(vec![0, 2, 2, 3], vec![0, 2, 2]);
        assert_eq!(lists.counts(4), [1, 0, 2, 0]);
        assert_eq!(IdLists::empty(3), IdLists::new(vec![0; 4], vec![]));
    }

    #[test]
    #[should_panic(expected = "the ids of a row ascend")]
    fn a_row_with_an_id_twice_panics() {
        IdLists::new(vec![0, 2], vec![3, 3]);
    }

    #[test]
    #[should_panic(expected = "the last offset is the number of ids")]
    fn offsets_that_leave_ids_out_panic() {
        IdLists::new(vec![0, 1], vec![3, 4]);
    }
}
