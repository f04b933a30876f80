//! Where changed classes lie.

use std::ops::Range;

use super::Leaves;
use crate::ClassId;

/// A changed class in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub slot: u32,
    /// Its place in the list of changed classes.
    pub at: u32,
}

impl Touched {
    /// Those of a list in the order of slots that lie in some of them.
    pub fn within(list: &[Self], slots: Range<usize>) -> &[Self] {
        let list = &list[list.partition_point(|touched| (touched.slot as usize) < slots.start)..];
        &list[..list.partition_point(|touched| (touched.slot as usize) < slots.end)]
    }
}

impl Leaves {
    /// The slots of some classes, whose ids ascend; in the order of slots.
    pub(crate) fn touched(&self, ids: &[ClassId]) -> Vec<Touched> {
        let slot = |(&id, at): (&ClassId, u32)| Touched { slot: self.slot_of(id) as u32, at };
        let mut touched: Vec<Touched> = ids.iter().zip(0..).map(slot).collect();
        if !self.order().is_empty() {
            touched.sort_unstable_by_key(|touched| touched.slot);
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touched_classes_are_found_by_their_slots() {
        let leaves = Leaves::new(5, 2, 1.0);
        let found = |leaves: &Leaves, slots| -> Vec<(u32, u32)> {
            let touched = leaves.touched(&[0, 2, 4]);
            Touched::within(&touched, slots).iter().map(|touched| (touched.slot, touched.at)).collect()
        };
        assert_eq!(found(&leaves, 0..5), [(0, 0), (2, 1), (4, 2)]);
        assert_eq!(found(&leaves, 1..4), [(2, 1)]);
        let leaves = leaves.with_order(vec![3, 0, 4, 1, 2]).unwrap();
        assert_eq!(found(&leaves, 0..2), [(1, 0)]);
        assert_eq!(found(&leaves, 2..5), [(2, 2), (4, 1)]);
        assert_eq!(found(&leaves, 3..4), []);
    }
}
