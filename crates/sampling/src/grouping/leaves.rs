//! Where each class lies, and where the leaves begin.

use std::ops::Range;

use crate::{ClassId, Error};

/// A row of slots `0..n`, one class in each, cut into `L` leaves.
///
/// Nothing is stored that arithmetic gives: no order where slot and class are the same number, no bounds where the sizes
/// differ by at most one. Otherwise the order takes `8 n` bytes and the bounds `4 (L + 1)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaves {
    classes: usize,
    leaves: usize,
    /// First slot of each leaf, and `n`; empty where leaf `k` begins at `k n / L`.
    bounds: Vec<u32>,
    /// Class of each slot; empty for the identity.
    order: Vec<ClassId>,
    /// Slot of each class; empty for the identity.
    place: Vec<u32>,
}

impl Leaves {
    /// Classes in the order of their ids; leaf `k` ends at slot `round(n ((k + 1) / L)^growth)` and has at least one.
    /// For a growth of 1 it ends at `(k + 1) n / L`, rounded down.
    pub(super) fn new(classes: usize, leaves: usize, growth: f32) -> Self {
        let bounds = if growth == 1.0 { Vec::new() } else { growing(classes, leaves, growth) };
        Self { classes, leaves, bounds, order: Vec::new(), place: Vec::new() }
    }

    /// The same leaves with other classes in them: `order[slot]` is the class of a slot, an empty order the identity.
    ///
    /// # Errors
    /// [`Error::WrongState`] if that is no order of the `n` classes.
    pub fn with_order(self, order: Vec<ClassId>) -> Result<Self, Error> {
        if order.iter().zip(0..).all(|(&class, slot)| class == slot) && [0, self.classes].contains(&order.len()) {
            return Ok(Self { order: Vec::new(), place: Vec::new(), ..self });
        }
        let wrong = Error::WrongState { wanted: self.classes, found: order.len() };
        if order.len() != self.classes {
            return Err(wrong);
        }
        let mut place = vec![u32::MAX; self.classes];
        for (&class, slot) in order.iter().zip(0..) {
            match place.get_mut(class as usize) {
                Some(place) if *place == u32::MAX => *place = slot,
                _ => return Err(wrong),
            }
        }
        Ok(Self { order, place, ..self })
    }

    /// Number of classes `n`, and of slots.
    pub fn len(&self) -> usize {
        self.classes
    }

    /// Whether there are no classes. A [plan](super::LeafPlan) makes no such leaves.
    pub fn is_empty(&self) -> bool {
        self.classes == 0
    }

    /// Number of leaves `L`.
    pub fn leaves(&self) -> usize {
        self.leaves
    }

    /// Slots of a leaf.
    pub fn slots(&self, leaf: usize) -> Range<usize> {
        self.start(leaf)..self.start(leaf + 1)
    }

    /// First slot of a leaf; `n` after the last.
    pub(super) fn start(&self, leaf: usize) -> usize {
        match self.bounds.get(leaf) {
            Some(&start) => start as usize,
            None => (leaf as u64 * self.classes as u64 / self.leaves as u64) as usize,
        }
    }

    /// The leaf of a slot. O(1), O(log L) where sizes grow.
    pub fn leaf_of(&self, slot: usize) -> usize {
        if self.bounds.is_empty() {
            // The last k with k n < (slot + 1) L.
            (((slot as u64 + 1) * self.leaves as u64 - 1) / self.classes as u64) as usize
        } else {
            self.bounds.partition_point(|&start| start as usize <= slot) - 1
        }
    }

    /// The class in a slot.
    pub fn class_at(&self, slot: usize) -> ClassId {
        self.order.get(slot).copied().unwrap_or(slot as ClassId)
    }

    /// The slot of a class.
    pub fn slot_of(&self, class: ClassId) -> usize {
        self.place.get(class as usize).map_or(class as usize, |&slot| slot as usize)
    }

    /// Class of each slot; empty where every class lies in the slot of its own number.
    pub fn order(&self) -> &[ClassId] {
        &self.order
    }

    /// Size of the largest leaf.
    pub fn largest_leaf(&self) -> usize {
        if self.bounds.is_empty() {
            self.classes.div_ceil(self.leaves)
        } else {
            self.bounds.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
        }
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        [&self.bounds, &self.order, &self.place].iter().map(|kept| size_of_val(kept.as_slice())).sum()
    }
}

/// Bounds of leaves that grow: `round(n (k / L)^growth)`, and at least one class in each leaf.
fn growing(classes: usize, leaves: usize, growth: f32) -> Vec<u32> {
    let mut bounds = vec![0u32];
    for k in 1..=leaves {
        let end = (classes as f64 * (k as f64 / leaves as f64).powf(f64::from(growth))).round() as u32;
        bounds.push(end.max(bounds[k - 1] + 1));
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every slot in one leaf, every leaf one slot at least.
    fn check(leaves: &Leaves) {
        let mut end = 0;
        for leaf in 0..leaves.leaves() {
            let slots = leaves.slots(leaf);
            assert!(slots.start == end && slots.end > end, "{leaves:?}: leaf {leaf} has {slots:?}");
            assert!(slots.clone().all(|slot| leaves.leaf_of(slot) == leaf), "{leaves:?}: leaf {leaf}");
            assert!(slots.len() <= leaves.largest_leaf());
            end = slots.end;
        }
        assert_eq!(end, leaves.len());
    }

    #[test]
    fn equal_leaves_differ_by_one_at_most_and_store_nothing() {
        for n in (1..130).chain([1000, 1001, 4095]) {
            for l in 1..=n.min(130) {
                let leaves = Leaves::new(n, l, 1.0);
                check(&leaves);
                let sizes = (0..l).map(|leaf| leaves.slots(leaf).len());
                let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
                assert!(most - least <= 1 && most == leaves.largest_leaf(), "{n} classes in {l} leaves");
                assert_eq!(leaves.bytes(), 0);
            }
        }
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        let leaves = Leaves::new(4_000_000_000, 3_000_000_001, 1.0);
        for leaf in [0, 1, 1_500_000_000, 3_000_000_000] {
            assert!(leaves.slots(leaf).all(|slot| leaves.leaf_of(slot) == leaf), "{leaf}");
        }
        assert_eq!(leaves.slots(3_000_000_000).end, 4_000_000_000);
    }

    #[test]
    fn leaves_grow_by_the_exponent() {
        for (n, l) in [(1, 1), (7, 7), (7, 5), (100, 99), (10_000, 32), (1000, 1)] {
            for growth in [1.5, 2.0, 3.0, 40.0] {
                check(&Leaves::new(n, l, growth));
            }
        }
        // Sizes that grow with the rank: the largest has 10,000 (1 - (31 / 32)²) = 615 classes.
        let leaves = Leaves::new(10_000, 32, 2.0);
        assert_eq!((leaves.slots(0), leaves.slots(1), leaves.largest_leaf()), (0..10, 10..39, 615));
        assert_eq!(leaves.slots(31), 9385..10_000);
    }

    #[test]
    fn an_order_and_its_inverse_agree_and_the_identity_is_not_stored() {
        let leaves = Leaves::new(5, 2, 1.0).with_order(vec![3, 0, 4, 1, 2]).unwrap();
        for (slot, class) in [3, 0, 4, 1, 2].into_iter().enumerate() {
            assert_eq!((leaves.class_at(slot), leaves.slot_of(class)), (class, slot));
        }
        assert_eq!(leaves.bytes(), 40);
        for identity in [vec![], vec![0, 1, 2, 3, 4]] {
            let leaves = leaves.clone().with_order(identity).unwrap();
            assert_eq!((leaves.class_at(3), leaves.slot_of(3), leaves.bytes()), (3, 3, 0));
        }
        for wrong in [vec![0], vec![0, 1, 2, 3], vec![3, 0, 4, 1, 1], vec![3, 0, 5, 1, 2], vec![3, 0, 4, 1, 2, 5]] {
            assert!(matches!(leaves.clone().with_order(wrong), Err(Error::WrongState { wanted: 5, .. })));
        }
    }
}
