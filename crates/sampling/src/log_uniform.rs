//! The log-uniform proposal, by frequency rank.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;

use rand::Rng;
use rand::distr::Distribution;

use crate::draw::sample_one;
use crate::{ClassId, Classes, Draw, Error, Law, Sampler};

/// Zipf's law over frequency ranks, `P(rank k) = ln((k + 2) / (k + 1)) / ln(n + 1)` for `k = 0..n`, as TensorFlow's
/// `LogUniformCandidateSampler`.
///
/// TensorFlow takes the class id for the rank, and is wrong without a word where ids are not sorted by frequency. Here
/// ranks come from the training counts, the most frequent class first, ties by id, and without counts there is no
/// sampler.
///
/// The cumulative distribution has the closed inverse `k = floor((n + 1)^u) - 1`: a draw costs O(1), and O(e log e) more
/// for each query with `e` excluded classes. `8 n` bytes are kept, nothing is refreshed.
#[derive(Clone, Debug)]
pub struct LogUniform {
    rank_of: Vec<u32>,
    class_of: Vec<ClassId>,
}

/// The log-uniform law. Its draws come in the order of ranks.
#[derive(Clone, Copy, Debug)]
pub struct LogUniformLaw<'a> {
    sampler: &'a LogUniform,
}

impl LogUniform {
    /// Ranks `n` classes by their training counts.
    ///
    /// # Errors
    /// [`Error::BadSetting`] if there is not one count for each class.
    pub fn new(n: usize, counts: &[u64]) -> Result<Self, Error> {
        if n == 0 || counts.len() != n {
            let why = "it ranks classes by frequency and needs the training count of every class";
            return Err(Error::BadSetting { field: "kind", value: "log-uniform".into(), why });
        }
        let mut class_of: Vec<ClassId> = (0..n as ClassId).collect();
        class_of.sort_by_key(|&class| Reverse(counts[class as usize]));
        let mut rank_of = vec![0; n];
        class_of.iter().zip(0..).for_each(|(&class, rank)| rank_of[class as usize] = rank);
        Ok(Self { rank_of, class_of })
    }

    /// The stretches of ranks between the excluded ones.
    fn gaps(&self, excluded: &[ClassId]) -> Vec<Gap> {
        let mut ranks: Vec<u32> = excluded.iter().map(|&class| self.rank_of[class as usize]).collect();
        ranks.sort_unstable();
        let ends = ranks.iter().copied().chain([self.rank_of.len() as u32]);
        let starts = std::iter::once(0).chain(ranks.iter().map(|rank| rank + 1));
        starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| Gap { ranks: start..end }).collect()
    }
}

/// Consecutive ranks. In units of `1 / ln(n + 1)` they have the mass `ln((end + 1) / (start + 1))`: a sum of such masses
/// is what is left beside excluded classes, with no subtraction from one in which digits would cancel.
struct Gap {
    ranks: Range<u32>,
}

impl Gap {
    fn mass(&self) -> f64 {
        (f64::from(self.ranks.end - self.ranks.start) / (f64::from(self.ranks.start) + 1.0)).ln_1p()
    }

    /// The rank at a point of the gap's mass.
    fn at(&self, point: f64) -> u32 {
        let rank = ((f64::from(self.ranks.start) + 1.0) * point.exp()) as u32 - 1;
        rank.clamp(self.ranks.start, self.ranks.end - 1)
    }
}

/// `ln((k + 2) / (k + 1))`, the mass of rank `k`.
fn mass_of(rank: u32) -> f64 {
    (f64::from(rank) + 1.0).recip().ln_1p()
}

impl Sampler for LogUniform {
    type Law<'a> = LogUniformLaw<'a>;

    fn law<'a>(&'a self, _: &'a [f32], _: Cow<'a, [f32]>, _: Classes<'a>) -> Result<LogUniformLaw<'a>, Error> {
        Ok(LogUniformLaw { sampler: self })
    }

    fn shared_law<'a>(&'a self, _: &[f32], classes: Classes<'a>) -> Result<LogUniformLaw<'a>, Error> {
        self.law(&[], Cow::Borrowed(&[]), classes)
    }

    fn bytes(&self) -> usize {
        size_of_val(self.rank_of.as_slice()) + size_of_val(self.class_of.as_slice())
    }
}

impl Distribution<ClassId> for LogUniformLaw<'_> {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        sample_one(self, rng)
    }
}

impl Law for LogUniformLaw<'_> {
    fn ln_prob(&self, class: ClassId) -> f32 {
        let LogUniform { rank_of, .. } = self.sampler;
        (mass_of(rank_of[class as usize]) / (rank_of.len() as f64).ln_1p()).ln() as f32
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        let gaps = self.sampler.gaps(excluded);
        let Some(last) = gaps.len().checked_sub(1) else { return Err(Error::NothingLeft) };
        let masses: Vec<f64> = gaps.iter().map(Gap::mass).collect();
        let total: f64 = masses.iter().sum();
        let (first, mut gap, mut passed) = (out.len(), 0, 0.0);
        for point in points {
            let point = point * total;
            while gap < last && passed + masses[gap] <= point {
                passed += masses[gap];
                gap += 1;
            }
            let rank = gaps[gap].at((point - passed).max(0.0));
            let class = self.sampler.class_of[rank as usize];
            match out[first..].last_mut() {
                Some(draw) if draw.class == class => draw.count += 1,
                _ => out.push(Draw { class, count: 1, ln_prob: (mass_of(rank) / total).ln() as f32 }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_follow_the_counts_and_ties_the_ids() {
        let sampler = LogUniform::new(5, &[3, 9, 3, 0, 9]).unwrap();
        assert_eq!(sampler.class_of, [1, 4, 0, 2, 3]);
        assert_eq!(sampler.rank_of, [2, 0, 3, 4, 1]);
    }

    #[test]
    fn without_a_count_for_every_class_there_is_no_sampler() {
        for counts in [&[][..], &[1, 2, 3]] {
            let error = LogUniform::new(4, counts).unwrap_err().to_string();
            assert!(error.starts_with("kind = log-uniform: ") && error.contains("count"), "{error}");
        }
    }

    #[test]
    fn what_is_left_beside_all_but_one_class_is_that_class_for_certain() {
        let n = 1_000_000;
        let sampler = LogUniform::new(n, &vec![1; n]).unwrap();
        let excluded: Vec<ClassId> = (0..n as ClassId - 1).collect();
        let mut out = Vec::new();
        LogUniformLaw { sampler: &sampler }.draw_at(&[0.0, 0.999], &excluded, &mut out).unwrap();
        let [draw] = out[..] else { panic!("{out:?}") };
        assert_eq!((draw.class, draw.count), (n as ClassId - 1, 2));
        assert!(draw.ln_prob.abs() < 1e-7, "{}", draw.ln_prob);
    }
}
