//! Stretches of equal keys.

use cubecl::prelude::*;

use crate::Buffer;
use crate::buffer::{cube_dim, grid};
use crate::scan::scan;

/// The distinct keys of a sorted list, and where each begins.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    /// Distinct keys; room for as many as there are elements.
    pub keys: Buffer<u32>,
    /// First element of each, and the end of the last.
    pub starts: Buffer<u32>,
    /// How many.
    pub count: Buffer<u32>,
}

impl Segments {
    /// The distinct keys among the first `len[0]` of a sorted list.
    pub fn of(sorted: &Buffer<u32>, len: &Buffer<u32>) -> Self {
        let (client, room) = (sorted.client(), sorted.len());
        let places = Buffer::<u32>::empty(client, room);
        mark_heads::launch(client, grid(room), cube_dim(), sorted.arg(), len.arg(), places.arg());
        let count = scan(&places);
        let (keys, starts) = (Buffer::empty(client, room), Buffer::empty(client, room + 1));
        let found = (keys.arg(), starts.arg(), count.arg());
        place_heads::launch(
            client,
            grid(room),
            cube_dim(),
            sorted.arg(),
            len.arg(),
            places.arg(),
            found.0,
            found.1,
            found.2,
        );
        Self { keys, starts, count }
    }
}

#[cube]
fn is_head(sorted: &[u32], at: usize) -> bool {
    let mut head = true;
    if at > 0 {
        head = sorted[at] != sorted[at - 1];
    }
    head
}

#[cube(launch)]
fn mark_heads(sorted: &[u32], len: &[u32], marks: &mut [u32]) {
    let at = ABSOLUTE_POS;
    if at < marks.len() {
        let mut mark = 0u32;
        if at < len[0] as usize {
            if is_head(sorted, at) {
                mark = 1u32;
            }
        }
        marks[at] = mark;
    }
}

#[cube(launch)]
fn place_heads(sorted: &[u32], len: &[u32], places: &[u32], keys: &mut [u32], starts: &mut [u32], count: &[u32]) {
    let at = ABSOLUTE_POS;
    if at < len[0] as usize {
        if is_head(sorted, at) {
            let place = places[at] as usize;
            keys[place] = sorted[at];
            starts[place] = at as u32;
        }
        if at == 0 {
            starts[count[0] as usize] = len[0];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::client;

    #[test]
    fn every_distinct_key_knows_where_it_begins() {
        let Some(client) = client() else { return };
        let sorted = Buffer::upload(&client, &[2, 2, 5, 7, 7, 7, 9, 9]);
        let segments = Segments::of(&sorted, &Buffer::upload(&client, &[7]));
        assert_eq!(segments.count.download(), [4]);
        assert_eq!(segments.keys.download()[..4], [2, 5, 7, 9]);
        assert_eq!(segments.starts.download()[..5], [0, 2, 3, 6, 7]);
    }
}
