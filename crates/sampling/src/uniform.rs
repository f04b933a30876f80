//! The uniform proposal.

use std::borrow::Cow;

use rand::Rng;
use rand::distr::Distribution;

use crate::draw::sample_one;
use crate::{ClassId, Classes, Draw, Error, Law, Sampler};

/// Every class with the same probability: the cheapest proposal, and the worst.
///
/// A draw costs O(1), or O(log e) with `e` excluded classes; nothing is kept or refreshed.
#[derive(Clone, Copy, Debug)]
pub struct Uniform;

/// The uniform law over `n` classes.
#[derive(Clone, Copy, Debug)]
pub struct UniformLaw {
    n: usize,
}

impl Sampler for Uniform {
    type Law<'a> = UniformLaw;

    fn law<'a>(&'a self, _: &'a [f32], _: Cow<'a, [f32]>, classes: Classes<'a>) -> Result<UniformLaw, Error> {
        Ok(UniformLaw { n: classes.len() })
    }

    fn shared_law<'a>(&'a self, _: &[f32], classes: Classes<'a>) -> Result<UniformLaw, Error> {
        self.law(&[], Cow::Borrowed(&[]), classes)
    }
}

impl Distribution<ClassId> for UniformLaw {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        sample_one(self, rng)
    }
}

impl Law for UniformLaw {
    fn ln_prob(&self, _: ClassId) -> f32 {
        -(self.n as f64).ln() as f32
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        let kept = self.n.saturating_sub(excluded.len());
        if kept == 0 {
            return Err(Error::NothingLeft);
        }
        let ln_prob = -(kept as f64).ln() as f32;
        let first = out.len();
        for point in points {
            let rank = ((point * kept as f64) as usize).min(kept - 1);
            let class = nth_kept(rank, excluded);
            match out[first..].last_mut() {
                Some(draw) if draw.class == class => draw.count += 1,
                _ => out.push(Draw { class, count: 1, ln_prob }),
            }
        }
        Ok(())
    }
}

/// The class of the given rank among those not excluded: excluded class `e_k` (ascending) stands before it if and only
/// if `e_k - k <= rank`.
fn nth_kept(rank: usize, excluded: &[ClassId]) -> ClassId {
    let (mut low, mut high) = (0, excluded.len());
    while low < high {
        let middle = (low + high) / 2;
        if excluded[middle] as usize - middle <= rank { low = middle + 1 } else { high = middle }
    }
    (rank + low) as ClassId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_skip_the_excluded_classes() {
        let kept: Vec<ClassId> = (0..6).map(|rank| nth_kept(rank, &[0, 3, 4, 8])).collect();
        assert_eq!(kept, [1, 2, 5, 6, 7, 9]);
    }
}
