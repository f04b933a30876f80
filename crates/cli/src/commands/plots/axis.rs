//! Axes: where values stand, and what is written beside them.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::commands::told::grouped;

/// A range of values, even or logarithmic.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    least: f64,
    most: f64,
    logarithmic: bool,
}

impl Axis {
    /// An even axis that holds `values`, with a little room at both ends.
    pub fn even(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = ends(values);
        let room = if most > least { 0.05 * (most - least) } else { (0.05 * most.abs()).max(0.5) };
        Self { least: least - room, most: most + room, logarithmic: false }
    }

    /// An even axis from zero to the greatest of `values`.
    pub fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let (_, most) = ends(values.chain([0.0]));
        Self { least: 0.0, most: if most > 0.0 { 1.03 * most } else { 1.0 }, logarithmic: false }
    }

    /// A logarithmic axis that holds `values`, which must be above zero, with room at both ends.
    pub fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = ends(values);
        let least = if least > 0.0 { least } else { 0.1 * most };
        let room = (most / least).powf(0.05).max(1.05);
        Self { least: least / room, most: most * room, logarithmic: true }
    }

    /// Logarithmic where all `values` are above zero and the greatest is more than `spread` times the least, else even.
    pub fn by_spread(values: impl Iterator<Item = f64> + Clone, spread: f64) -> Self {
        let (least, most) = ends(values.clone());
        if least > 0.0 && most > spread * least { Self::logarithmic(values) } else { Self::even(values) }
    }

    /// The same axis with its ends `factor` times as far away, for names that stand beside points.
    pub fn widened(self, factor: f64) -> Self {
        Self { least: self.least / factor, most: self.most * factor, ..self }
    }

    /// Whether equal distances are equal ratios.
    #[cfg(test)]
    pub fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// Share of the way from the first end to the second.
    fn share(&self, value: f64) -> f64 {
        let place = |value: f64| if self.logarithmic { value.max(f64::MIN_POSITIVE).ln() } else { value };
        (place(value) - place(self.least)) / (place(self.most) - place(self.least))
    }

    fn holds(&self, value: f64) -> bool {
        (self.least..=self.most).contains(&value)
    }

    /// Round values on an even axis, `count` at most.
    fn even_ticks(&self, count: usize) -> Vec<f64> {
        let about = (self.most - self.least) / count.max(1) as f64;
        let power = 10_f64.powf(about.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= about);
        let step = step.unwrap_or(10.0 * power);
        let (first, last) = ((self.least / step).ceil() as i64, (self.most / step).floor() as i64);
        (first..=last).map(|index| index as f64 * step).filter(|value| self.holds(*value)).collect()
    }

    /// Values of few digits on a logarithmic axis, `count` at most; even ones where the axis is shorter than a decade.
    fn logarithmic_ticks(&self, count: usize) -> Vec<f64> {
        let decades = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
        let ticks = |digits: &[f64]| -> Vec<f64> {
            let values = decades.clone().flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)));
            values.filter(|value| self.holds(*value)).collect()
        };
        let sets = [&[1.0, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]].map(ticks);
        let finest = sets.into_iter().find(|ticks| ticks.len() <= count).unwrap_or_default();
        if finest.len() >= 3 { finest } else { self.even_ticks(count) }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * self.share(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match self.logarithmic {
            true => self.logarithmic_ticks(hint.max_num_points()),
            false => self.even_ticks(hint.max_num_points()),
        }
    }

    fn range(&self) -> Range<f64> {
        self.least..self.most
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        tick(*value)
    }
}

/// The least and the greatest value; 0 and 1 where there is none.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let ends = values.fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((least, most)) => Some((value.min(least), value.max(most))),
    });
    ends.unwrap_or((0.0, 1.0))
}

/// A number at an axis: thousands grouped, no trail of zeros.
fn tick(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    let text = format!("{:.6}", value.abs());
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or(whole.to_owned(), grouped);
    let part = part.trim_end_matches('0');
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis, count: usize) -> Vec<String> {
        axis.key_points(count).into_iter().map(tick).collect()
    }

    #[test]
    fn an_axis_holds_its_values_with_room() {
        for values in [&[0.1, 3.0, 20.0][..], &[2.0], &[5.0, 5.0]] {
            for axis in [Axis::even(values.iter().copied()), Axis::logarithmic(values.iter().copied())] {
                let places: Vec<i32> = values.iter().map(|value| axis.map(value, (0, 1000))).collect();
                assert!(places.iter().all(|place| (1..1000).contains(place)), "{axis:?}: {places:?}");
            }
        }
    }

    #[test]
    fn a_wide_spread_calls_for_a_logarithm() {
        let is_logarithmic = |values: &[f64]| Axis::by_spread(values.iter().copied(), 3.0).is_logarithmic();
        assert!(is_logarithmic(&[100.0, 301.0]));
        assert!(!is_logarithmic(&[100.0, 299.0]) && !is_logarithmic(&[0.0, 500.0]) && !is_logarithmic(&[]));
    }

    #[test]
    fn equal_ratios_are_equal_distances_on_a_logarithmic_axis() {
        let axis = Axis::logarithmic([1.0, 10_000.0].into_iter());
        let places: Vec<i32> = [1.0, 10.0, 100.0, 1000.0].iter().map(|value| axis.map(value, (0, 9000))).collect();
        let steps: Vec<i32> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| (step - steps[0]).abs() <= 1), "{places:?}");
        // Screens count downwards.
        assert!(axis.map(&10.0, (500, 0)) > axis.map(&100.0, (500, 0)));
    }

    #[test]
    fn ticks_are_round_and_not_too_many() {
        assert_eq!(ticks(&Axis::from_zero([1328.0].into_iter()), 6), ["0", "500", "1,000"]);
        assert_eq!(ticks(&Axis::even([0.2, 0.4].into_iter()), 6), ["0.2", "0.25", "0.3", "0.35", "0.4"]);
        assert_eq!(ticks(&Axis::logarithmic([90.0, 900.0].into_iter()), 5), ["100", "200", "500", "1,000"]);
        assert_eq!(ticks(&Axis::logarithmic([0.01, 30.0].into_iter()), 5), ["0.01", "0.1", "1", "10"]);
        assert_eq!(ticks(&Axis::logarithmic([150.0, 190.0].into_iter()), 6), ["150", "160", "170", "180", "190"]);
        assert_eq!(ticks(&Axis::even([-1.0, 1.0].into_iter()), 5), ["-1", "-0.5", "0", "0.5", "1"]);
    }
}
