//! `rfs data stats` of points with labels.

use std::path::Path;

use rf_data::XcCensus;
use serde::Serialize;

use super::of_data;
use super::stats::sizes;
use crate::args::StatsArgs;
use crate::commands::told::grouped;
use crate::exit::bad_input;
use crate::meter::Meter;

/// Counts a file of the Extreme Classification Repository.
pub fn run(args: &StatsArgs) -> anyhow::Result<()> {
    let path = &args.text[0];
    if let Some(problem) = problem(args) {
        return Err(bad_input(format!("{} is a file of points with labels: {problem}", path.display())));
    }
    let meter = Meter::of_files("counting", &args.text);
    let census = XcCensus::of(path);
    meter.finish();
    let stats = Stats::new(path, &of_data(census)?);
    println!("{}", if args.json { serde_json::to_string(&stats)? } else { stats.in_words() });
    Ok(())
}

/// What cannot be done with such a file.
fn problem(args: &StatsArgs) -> Option<&'static str> {
    if args.vocabulary.is_some() {
        Some("--vocabulary is for texts")
    } else if args.train.is_some() {
        Some("--train is for texts")
    } else {
        (args.text.len() > 1).then_some("it must be counted alone")
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Stats {
    /// On the disk.
    bytes: u64,
    /// Unpacked.
    text_bytes: u64,
    points: usize,
    features: usize,
    labels: usize,
    features_per_point: f64,
    labels_per_point: f64,
    labels_in_use: usize,
    labels_with_one_point: usize,
    most_frequent_label: Option<Frequent>,
    points_without_labels: usize,
    points_without_features: usize,
}

#[derive(Debug, Serialize)]
struct Frequent {
    label: u32,
    points: usize,
}

impl Stats {
    fn new(path: &Path, census: &XcCensus) -> Self {
        let per_point = |entries: usize| entries as f64 / census.points as f64;
        Self {
            bytes: std::fs::metadata(path).map_or(census.bytes, |about| about.len()),
            text_bytes: census.bytes,
            points: census.points,
            features: census.features,
            labels: census.labels,
            features_per_point: per_point(census.feature_entries),
            labels_per_point: per_point(census.label_entries),
            labels_in_use: census.labels_in_use,
            labels_with_one_point: census.labels_with_one_point,
            most_frequent_label: census.most_frequent_label.map(|(label, points)| Frequent { label, points }),
            points_without_labels: census.points_without_labels,
            points_without_features: census.points_without_features,
        }
    }

    fn in_words(&self) -> String {
        let number = |count: usize| grouped(count as u64);
        let frequent = self.most_frequent_label.as_ref().map_or(String::new(), |Frequent { label, points }| {
            format!(", the most frequent, {label}, with {}", number(*points))
        });
        let (without_labels, without_features) = (self.points_without_labels, self.points_without_features);
        [
            format!("bytes     {}", sizes(self.bytes, self.text_bytes)),
            format!("points    {}", number(self.points)),
            format!("features  {}, {:.2} a point", number(self.features), self.features_per_point),
            format!("labels    {}, {:.2} a point", number(self.labels), self.labels_per_point),
            format!(
                "in use    {} labels, {} with one point{frequent}",
                number(self.labels_in_use),
                number(self.labels_with_one_point)
            ),
            format!("without   labels {}, features {}", number(without_labels), number(without_features)),
        ]
        .join("\n")
    }
}
