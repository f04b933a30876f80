//! The generator of synthetic points.

use rand::RngExt;
use rayon::prelude::*;
use rf_sampling::{Purpose, stream};

use super::XcSyntheticConfig;
use super::config::{NEIGHBOURS, SHOWN};
use crate::xc::{IdLists, SparseRows, ValuesConfig, Weighting, XcPoints, XcSet};
use crate::{Error, Split};

/// Points that are generated in one go.
const PIECE: usize = 1024;

/// Ids of consecutive points.
#[derive(Default)]
struct Piece {
    labels: Lists,
    features: Lists,
}

/// Lists in the making.
#[derive(Default)]
struct Lists {
    ends: Vec<usize>,
    ids: Vec<u32>,
}

impl XcSyntheticConfig {
    /// All splits, weighted.
    pub(in crate::xc) fn load(&self, seed: u64) -> Result<XcSet, Error> {
        let known = self.known()?;
        let (mut train, mut valid, mut test) =
            (self.generate(Split::Train, seed)?, self.generate(Split::Valid, seed)?, self.generate(Split::Test, seed)?);
        let weighting = Weighting::fit(&ValuesConfig::default(), &train.features, self.features);
        [&mut train, &mut valid, &mut test].into_iter().for_each(|points| weighting.apply(&mut points.features));
        Ok(XcSet {
            features: self.features,
            labels: self.labels,
            counts: train.labels.counts(self.labels),
            train,
            valid: Some(valid),
            test: Some(test),
            weighting,
            known: Some(known),
        })
    }

    /// The points of a split, all values 1.
    ///
    /// Point `i` of a split draws from its own stream, so more points begin with the fewer.
    pub(in crate::xc) fn generate(&self, split: Split, seed: u64) -> Result<XcPoints, Error> {
        self.check()?;
        let (points, cells) = (self.points(split), self.cumulative());
        let piece = |start: usize| {
            let mut piece = Piece::default();
            for point in start..points.min(start + PIECE) {
                let mut rng = stream(seed, Purpose::Data, split as u64, point as u64);
                self.point(&cells, &mut rng, &mut piece);
            }
            piece
        };
        let pieces: Vec<_> = (0..points.div_ceil(PIECE)).into_par_iter().map(|index| piece(index * PIECE)).collect();
        let (labels, features): (Vec<_>, Vec<_>) =
            pieces.into_iter().map(|piece| (piece.labels, piece.features)).unzip();
        let (offsets, ids) = join(features);
        let values = vec![1.0; ids.len()];
        let features = SparseRows::new(offsets, ids, values);
        let (offsets, ids) = join(labels);
        Ok(XcPoints::new(features, IdLists::new(offsets, ids)))
    }

    /// Adds one point.
    fn point(&self, cells: &[f64], rng: &mut impl RngExt, piece: &mut Piece) {
        let at = rng.random::<f64>() * cells[cells.len() - 1];
        let cell = cells.partition_point(|&below| below <= at).min(cells.len() - 1);
        for (place, &probability) in self.inclusion.iter().enumerate() {
            if rng.random::<f64>() < probability {
                piece.labels.ids.push((place * cells.len() + cell) as u32);
            }
        }
        piece.labels.end();
        piece.features.ids.push(cell as u32);
        let group = cells.len() + cell / NEIGHBOURS * self.shared;
        for shared in group..group + self.shared {
            if rng.random::<f64>() < SHOWN {
                piece.features.ids.push(shared as u32);
            }
        }
        self.noise(rng, &mut piece.features.ids);
        piece.features.end();
    }

    /// Adds features of noise that differ, ascending.
    fn noise(&self, rng: &mut impl RngExt, ids: &mut Vec<u32>) {
        let mean = self.noise_per_point();
        let count = mean as usize + usize::from(rng.random::<f64>() < mean.fract());
        let (first, start) = (self.first_noise(), ids.len());
        while ids.len() < start + count {
            // The square of a uniform number: feature i of the noise has a probability of about i^-1/2.
            let at = rng.random::<f64>().powi(2) * (self.features - first) as f64;
            let id = (first + at as usize) as u32;
            // Behind the last of them most of the time.
            let place = start + ids[start..].partition_point(|&other| other < id);
            if ids.get(place) != Some(&id) {
                ids.insert(place, id);
            }
        }
    }

    /// Sums of the weights of the cells.
    fn cumulative(&self) -> Vec<f64> {
        let weights = (0..self.cells()).map(|cell| (cell as f64 + 1.0).powf(-self.skew));
        weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect()
    }
}

impl Lists {
    fn end(&mut self) {
        self.ends.push(self.ids.len());
    }
}

/// Offsets and ids of lists in pieces.
fn join(pieces: Vec<Lists>) -> (Vec<usize>, Vec<u32>) {
    let (mut offsets, mut ids) = (vec![0], Vec::with_capacity(pieces.iter().map(|piece| piece.ids.len()).sum()));
    for piece in pieces {
        offsets.extend(piece.ends.iter().map(|end| ids.len() + end));
        ids.extend(piece.ids);
    }
    (offsets, ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_with_their_probability_and_so_do_points_without_labels() {
        let config = XcSyntheticConfig { train_points: 100_000, ..Default::default() };
        let known = config.known().unwrap();
        let points = config.generate(Split::Train, 1).unwrap();
        let (n, cells) = (points.len() as f64, config.cells());
        let counts = points.labels.counts(config.labels);
        let weights: Vec<f64> = (0..cells).map(|cell| (cell as f64 + 1.0).powf(-config.skew)).collect();
        let total: f64 = weights.iter().sum();
        let mut chi_square = 0.0;
        for (label, &count) in counts.iter().enumerate() {
            let p = weights[label % cells] / total * config.inclusion[label / cells];
            chi_square += (count as f64 - n * p).powi(2) / (n * p * (1.0 - p));
        }
        // 2,000 labels, weakly dependent: the mean is 2,000, the deviation about 63 to 100. At α = 1e-4.
        assert!((chi_square - 2000.0).abs() < 400.0, "χ² = {chi_square}");
        let labelled = 1.0 - points.unlabelled() as f64 / n;
        let deviation = (known.labelled * (1.0 - known.labelled) / n).sqrt();
        assert!((labelled - known.labelled).abs() < 4.0 * deviation, "{labelled}, expected {}", known.labelled);
        assert!((points.labels.total() as f64 / n - known.labels_per_point).abs() < 0.015);
    }

    #[test]
    fn a_model_that_reads_the_cell_reaches_the_best_precision() {
        let config = XcSyntheticConfig { test_points: 50_000, ..Default::default() };
        let (points, cells) = (config.generate(Split::Test, 1).unwrap(), config.cells() as u32);
        let mut hits = [0.0; 3];
        for point in 0..points.len() {
            let cell = points.features.row(point).0[0];
            let best = |k: u32| (0..k.min(4)).map(move |place| place * cells + cell);
            for (hits, k) in hits.iter_mut().zip([1, 3, 5]) {
                let found = best(k).filter(|label| points.labels.row(point).contains(label)).count();
                *hits += found as f64 / f64::from(k) / points.len() as f64;
            }
        }
        for (hits, best) in hits.iter().zip(config.known().unwrap().best_precision) {
            // Four standard deviations of a mean of numbers between 0 and 1.
            assert!((hits - best).abs() < 4.0 * 0.5 / (points.len() as f64).sqrt(), "{hits}, expected {best}");
        }
    }

    #[test]
    fn points_show_as_many_features_as_asked_for_and_only_their_own_cell() {
        let config = XcSyntheticConfig { features_per_point: 12.25, ..Default::default() };
        let points = config.generate(Split::Train, 1).unwrap();
        let mean = points.features.nonzeros() as f64 / points.len() as f64;
        assert!((mean - 12.25).abs() < 4.0 * 1.1 / (points.len() as f64).sqrt(), "{mean}");
        for point in 0..points.len() {
            let (ids, _) = points.features.row(point);
            assert_eq!(ids.iter().filter(|&&id| (id as usize) < config.cells()).count(), 1);
            assert!(points.labels.row(point).iter().all(|label| label % 500 == ids[0]));
            assert!(*ids.last().unwrap() < 5_000);
        }
    }

    #[test]
    fn points_may_be_as_large_as_those_of_wikilshtc() {
        let config = XcSyntheticConfig {
            labels: 325_056,
            features: 1_617_899,
            features_per_point: 42.0,
            train_points: 5_000,
            ..Default::default()
        };
        let points = config.generate(Split::Train, 1).unwrap();
        assert!((points.features.nonzeros() as f64 / 5_000.0 - 42.0).abs() < 4.0 / 5_000_f64.sqrt());
        assert!(points.features.ids().iter().any(|&id| id > 1_600_000));
        assert!(points.labels.counts(325_056).iter().rposition(|&count| count > 0).unwrap() > 300_000);
    }

    #[test]
    fn points_depend_on_seed_and_split_and_more_begin_with_fewer() {
        let config = XcSyntheticConfig { train_points: 3_000, valid_points: 3_000, ..Default::default() };
        let points = config.generate(Split::Train, 3).unwrap();
        let fewer = XcSyntheticConfig { train_points: 1_100, ..config.clone() };
        assert_eq!(points.head(1_100), fewer.generate(Split::Train, 3).unwrap());
        assert_ne!(config.generate(Split::Valid, 3).unwrap(), points);
        assert_ne!(config.generate(Split::Train, 4).unwrap(), points);
    }

    #[test]
    fn the_first_point_of_seed_1_stays_what_it_is() {
        let points = XcSyntheticConfig::default().generate(Split::Train, 1).unwrap();
        assert_eq!(points.features.row(0).0, FIRST_FEATURES);
        assert_eq!(points.labels.row(0), FIRST_LABELS);
    }

    /// Frozen on the first release: points are part of what a run can be repeated from.
    const FIRST_FEATURES: [u32; 11] = [190, 592, 593, 594, 885, 1104, 1508, 2526, 2664, 2665, 4149];
    const FIRST_LABELS: [u32; 1] = [190];
}
