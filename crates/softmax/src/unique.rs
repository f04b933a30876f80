//! From many ids to the distinct ones and back.

use rayon::prelude::*;
use rf_sampling::ClassId;

/// The distinct ids of a list, ascending, and where each element of the list stands among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Unique {
    /// Distinct ids, ascending.
    pub ids: Vec<ClassId>,
    /// For each element of the list, the position of its id in `ids`.
    pub positions: Vec<u32>,
}

impl Unique {
    /// Sorts; O(k log k) for k ids, whatever the number of classes.
    pub fn of(list: &[ClassId]) -> Self {
        let mut keyed: Vec<u64> =
            list.iter().enumerate().map(|(place, &id)| u64::from(id) << 32 | place as u64).collect();
        keyed.par_sort_unstable();
        let (mut ids, mut positions) = (Vec::new(), vec![0; list.len()]);
        for key in keyed {
            let (id, place) = ((key >> 32) as ClassId, key as u32);
            if ids.last() != Some(&id) {
                ids.push(id);
            }
            positions[place as usize] = ids.len() as u32 - 1;
        }
        Self { ids, positions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_lead_back_to_the_list() {
        let list = [7, 3, 7, 0, 9, 3];
        let unique = Unique::of(&list);
        assert_eq!(unique.ids, [0, 3, 7, 9]);
        let back: Vec<ClassId> = unique.positions.iter().map(|&at| unique.ids[at as usize]).collect();
        assert_eq!(back, list);
    }
}
