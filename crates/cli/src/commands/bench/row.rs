//! One row of the outcome.

use std::collections::BTreeMap;
use std::fmt;

use rf_softmax::Sharing;
use serde::Serialize;
use serde_json::Value;

use super::cost::Costs;
use super::grid::Case;
use super::measure::Laps;

/// What was measured of a case. Times are of one repetition, in milliseconds, counts are means over the repetitions.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub sampler: String,
    pub loss: &'static str,
    pub classes: usize,
    pub dim: usize,
    /// Frequencies D; none for samplers without random features.
    pub features: Option<usize>,
    /// For each query, or for the batch where that shares them.
    pub draws: usize,
    pub sharing: Sharing,
    pub batch: usize,
    /// Median; for `draws` of the parts `features` and `walk`, for `step` of all parts.
    pub milliseconds: f64,
    pub milliseconds_min: f64,
    pub milliseconds_max: f64,
    /// Median of the draws and the value of the loss together, for `draws`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_milliseconds: Option<f64>,
    /// `milliseconds` over `distinct_rows`, for `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds_per_row: Option<f64>,
    /// Of a step among several that wait for the card once, for `step` on a card: there `milliseconds` waits after every part, and training
    /// does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds_in_flight: Option<f64>,
    /// Median of each part by itself.
    pub parts: BTreeMap<&'static str, f64>,
    /// Bytes that the sampler keeps.
    pub bytes: u64,
    /// Bytes of rows, optimizer state and sampler, for `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_and_sampler_bytes: Option<u64>,
    /// The same for each class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_class: Option<f64>,
    /// Most memory that the process had while it measured this row, for `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// The same for each class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes_per_class: Option<f64>,
    pub distinct_rows: f64,
    pub node_masses: f64,
    pub class_masses: f64,
    pub nodes_refreshed: f64,
    /// By the model of [`super::cost`], for the parts that it knows.
    pub bytes_moved: BTreeMap<&'static str, u64>,
    /// Likewise.
    pub flops: BTreeMap<&'static str, u64>,
    /// Bytes moved in the parts that `milliseconds` adds up, by that time.
    pub bytes_per_second: f64,
    /// All settings of the sampler.
    pub settings: Value,
    pub warm_up: usize,
    pub repeats: usize,
}

impl Row {
    /// The figures that every bench has; `parts` are those that `milliseconds` adds up.
    pub fn new(case: &Case, laps: &Laps, parts: &[&str], bytes: usize) -> Self {
        let (times, counts) = (laps.times(parts), laps.counts());
        Self {
            sampler: case.name.clone(),
            loss: "sampled",
            classes: case.classes,
            dim: case.dim,
            features: case.features,
            draws: case.draws,
            sharing: case.sharing,
            batch: case.batch,
            milliseconds: times.median,
            milliseconds_min: times.min,
            milliseconds_max: times.max,
            evaluation_milliseconds: None,
            milliseconds_per_row: None,
            milliseconds_in_flight: None,
            parts: laps.medians(),
            bytes: bytes as u64,
            table_and_sampler_bytes: None,
            bytes_per_class: None,
            peak_memory_bytes: None,
            peak_bytes_per_class: None,
            distinct_rows: counts.distinct_rows,
            node_masses: counts.node_masses,
            class_masses: counts.class_masses,
            nodes_refreshed: counts.nodes_refreshed,
            bytes_moved: BTreeMap::new(),
            flops: BTreeMap::new(),
            bytes_per_second: 0.0,
            settings: case.settings(),
            warm_up: case.pace.warm_up,
            repeats: laps.len(),
        }
    }

    /// The figures of a training step: memory, and time by row.
    pub fn set_memory(&mut self, table_and_sampler: u64, peak: Option<u64>) {
        let per_class = |bytes: u64| (bytes as f64 / self.classes as f64 * 10.0).round() / 10.0;
        self.bytes_per_class = Some(per_class(table_and_sampler));
        self.peak_bytes_per_class = peak.map(per_class);
        self.table_and_sampler_bytes = Some(table_and_sampler);
        self.peak_memory_bytes = peak;
        self.milliseconds_per_row = Some(self.milliseconds / self.distinct_rows);
    }

    /// What the parts moved and computed; `counted` are those that `milliseconds` adds up.
    pub fn set_costs(&mut self, costs: Costs, counted: &[&str]) {
        let moved: f64 = costs.iter().filter(|cost| counted.contains(cost.0)).map(|(_, cost)| cost.bytes).sum();
        self.bytes_per_second = (moved / (self.milliseconds * 1e-3).max(1e-9)).round();
        self.bytes_moved = costs.iter().map(|(part, cost)| (*part, cost.bytes as u64)).collect();
        self.flops = costs.iter().map(|(part, cost)| (*part, cost.flops as u64)).collect();
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { milliseconds, milliseconds_min, milliseconds_max, repeats, .. } = self;
        write!(f, "{milliseconds:.3} ms ({milliseconds_min:.3}–{milliseconds_max:.3}), {repeats} repetitions")?;
        self.milliseconds_in_flight.map_or(Ok(()), |time| write!(f, "; {time:.3} ms without waiting for each"))
    }
}

/// A case that was left out because it would not have fitted the memory.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    sampler: String,
    classes: usize,
    features: Option<usize>,
    needed_bytes: u64,
    available_bytes: u64,
    #[serde(skip)]
    title: String,
}

impl Skipped {
    /// With the figures that decided.
    pub fn new(case: &Case, needed_bytes: u64, available_bytes: u64) -> Self {
        let (sampler, classes, features) = (case.name.clone(), case.classes, case.features);
        Self { sampler, classes, features, needed_bytes, available_bytes, title: case.to_string() }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [needed, available] =
            [self.needed_bytes, self.available_bytes].map(|bytes| bytes as f64 / (1u64 << 30) as f64);
        write!(f, "left out: {} needs about {needed:.2} GiB, and {available:.2} GiB are available", self.title)
    }
}
