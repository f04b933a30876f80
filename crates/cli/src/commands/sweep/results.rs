//! What a sweep found: one row a run, and one a setting.

use std::collections::BTreeMap;
use std::path::Path;

use rf_training::{Score, Summary, replace_file};
use serde::Serialize;
use serde_json::Value;

use super::means::Mean;
use super::outcome::Outcome;
use crate::sweep::{Setting, Sweep};

/// The figures that every run has, in the order of the columns; those of a score of several follow.
const FIGURES: [&str; 7] =
    ["valid", "test", "steps", "epochs", "examples_per_second", "train_seconds", "peak_memory_bytes"];

/// Figures that are whole numbers.
const COUNTS: [&str; 3] = ["steps", "epochs", "peak_memory_bytes"];

/// The results of a sweep.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Name of the sweep.
    pub sweep: String,
    /// The keys of the grid.
    pub keys: Vec<String>,
    /// A row for each run.
    pub runs: Vec<Row>,
    /// A row for each setting.
    pub means: Vec<MeanRow>,
}

/// What is known of one run.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Name of the run and of its folder.
    pub run: String,
    /// What was set.
    #[serde(flatten)]
    pub setting: Values,
    /// Seed.
    pub seed: u64,
    /// `done`, `failed`, `interrupted` or `pending`.
    pub status: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What `valid` and `test` measure.
    pub metric: Option<String>,
    /// Figures by name.
    #[serde(flatten)]
    pub figures: BTreeMap<String, Value>,
}

/// Means over the runs of a setting that are done.
#[derive(Debug, Serialize)]
pub struct MeanRow {
    /// Name of the setting.
    pub name: String,
    /// What was set.
    #[serde(flatten)]
    pub setting: Values,
    /// Runs that are done.
    pub seeds: usize,
    /// What `valid` and `test` measure.
    pub metric: Option<String>,
    /// Means of figures by name.
    #[serde(flatten)]
    pub figures: BTreeMap<String, Mean>,
}

/// The values of a setting.
#[derive(Clone, Debug, Serialize)]
pub struct Values {
    /// Name of the case, where there are cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Values of the keys of the grid.
    pub settings: BTreeMap<String, toml::Value>,
}

impl Results {
    /// Of the runs of `sweep`, one outcome each.
    pub fn new(sweep: &Sweep, outcomes: &[Outcome]) -> Self {
        let values = |setting: &Setting| Values {
            case: setting.case.clone(),
            settings: sweep.keys.iter().cloned().zip(setting.values.iter().cloned()).collect(),
        };
        let rows = sweep.runs.iter().zip(outcomes).map(|(run, outcome)| Row {
            run: run.name.clone(),
            setting: values(&sweep.settings[run.setting]),
            seed: run.plan.seed(),
            status: outcome.name(),
            reason: if let Outcome::Failed(reason) = outcome { Some(reason.clone()) } else { None },
            metric: outcome.summary().map(|summary| summary.metric.clone()),
            figures: outcome.summary().map_or_else(BTreeMap::new, |summary| {
                figures(summary).into_iter().map(|(name, value)| (name.clone(), number(&name, value))).collect()
            }),
        });
        let means = sweep.settings.iter().enumerate().map(|(index, setting)| {
            let runs = sweep.runs.iter().zip(outcomes).filter(|(run, _)| run.setting == index);
            let done: Vec<_> = runs.filter_map(|(_, outcome)| outcome.summary()).collect();
            MeanRow {
                name: setting.name.clone(),
                setting: values(setting),
                seeds: done.len(),
                metric: done.first().map(|summary| summary.metric.clone()),
                figures: means(&done),
            }
        });
        Self { sweep: sweep.name.clone(), keys: sweep.keys.clone(), runs: rows.collect(), means: means.collect() }
    }

    /// Writes `results.json`, `results.csv` and `means.csv` into `folder`.
    pub fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)? + "\n";
        for (name, text) in [("results.json", json), ("results.csv", self.runs_csv()), ("means.csv", self.means_csv())]
        {
            replace_file(&folder.join(name), |file| file.write_all(text.as_bytes()))?;
        }
        Ok(())
    }

    /// A line a run.
    fn runs_csv(&self) -> String {
        let names = self.figure_names();
        let heading = ["run"].into_iter().chain(self.setting_names()).chain(["seed", "status", "metric"]);
        let heading = heading.chain(names.iter().copied()).map(str::to_owned).collect();
        let line = |row: &Row| {
            let fixed = [row.seed.to_string(), row.status.to_owned(), row.metric.clone().unwrap_or_default()];
            let figures = names.iter().map(|name| row.figures.get(*name).map_or(String::new(), Value::to_string));
            let first = [row.run.clone()].into_iter().chain(self.setting_cells(&row.setting));
            first.chain(fixed).chain(figures).collect()
        };
        csv([heading].into_iter().chain(self.runs.iter().map(line)))
    }

    /// A line a setting.
    fn means_csv(&self) -> String {
        let names = self.figure_names();
        let columns = names.iter().flat_map(|name| [format!("{name}_mean"), format!("{name}_standard_error")]);
        let heading = ["setting"].into_iter().chain(self.setting_names()).chain(["seeds", "metric"]);
        let heading = heading.map(str::to_owned).chain(columns).collect();
        let line = |row: &MeanRow| {
            let figures = names.iter().flat_map(|name| {
                let mean = row.figures.get(*name);
                let error = mean.and_then(|mean| mean.standard_error);
                [mean.map(|mean| mean.mean), error].map(|value| value.map_or(String::new(), |value| value.to_string()))
            });
            let fixed = [row.seeds.to_string(), row.metric.clone().unwrap_or_default()];
            let first = [row.name.clone()].into_iter().chain(self.setting_cells(&row.setting));
            first.chain(fixed).chain(figures).collect()
        };
        csv([heading].into_iter().chain(self.means.iter().map(line)))
    }

    /// Figures that some run has, [`FIGURES`] first.
    fn figure_names(&self) -> Vec<&str> {
        let mut names = FIGURES.to_vec();
        let found = self.runs.iter().flat_map(|row| row.figures.keys()).map(String::as_str);
        let mut more: Vec<_> = found.filter(|name| !FIGURES.contains(name)).collect();
        more.sort_unstable();
        more.dedup();
        names.extend(more);
        names
    }

    fn has_cases(&self) -> bool {
        self.runs.iter().any(|row| row.setting.case.is_some())
    }

    fn setting_names(&self) -> impl Iterator<Item = &str> {
        self.has_cases().then_some("case").into_iter().chain(self.keys.iter().map(String::as_str))
    }

    fn setting_cells(&self, values: &Values) -> impl Iterator<Item = String> {
        let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let cells = self.keys.iter().filter_map(|key| values.settings.get(key)).map(text);
        let cells: Vec<_> =
            self.has_cases().then(|| values.case.clone().unwrap_or_default()).into_iter().chain(cells).collect();
        cells.into_iter()
    }
}

/// Digits behind the point that tell a figure well: from one, of hundreds, to four, below one.
pub fn digits(value: f64) -> usize {
    match value.abs() {
        value if value >= 100.0 => 1,
        value if value >= 10.0 => 2,
        value if value >= 1.0 => 3,
        _ => 4,
    }
}

/// The figures of a run by name; where a score has several, `valid` and `test` are the metric, and the others are named
/// after it, as `test_P@3`.
fn figures(summary: &Summary) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::from([
        ("steps".to_owned(), summary.steps as f64),
        ("epochs".to_owned(), summary.epochs as f64),
        ("examples_per_second".to_owned(), summary.examples_per_second),
        ("train_seconds".to_owned(), summary.train_seconds),
    ]);
    figures.extend(summary.peak_memory_bytes.map(|bytes| ("peak_memory_bytes".to_owned(), bytes as f64)));
    for (split, score) in [("valid", &summary.valid), ("test", &summary.test)] {
        let Some(score) = score else { continue };
        figures.extend(score.figure(&summary.metric).map(|value| (split.to_owned(), value)));
        if let Score::Values(values) = score {
            let others = values.iter().filter(|(name, _)| **name != summary.metric);
            figures.extend(others.map(|(name, value)| (format!("{split}_{name}"), *value)));
        }
    }
    figures
}

/// Means of every figure over runs.
fn means(done: &[&Summary]) -> BTreeMap<String, Mean> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in done.iter().flat_map(|summary| figures(summary)) {
        values.entry(name).or_default().push(value);
    }
    values.into_iter().filter_map(|(name, values)| Some((name, Mean::of(&values)?))).collect()
}

fn number(name: &str, value: f64) -> Value {
    if COUNTS.contains(&name) { (value as u64).into() } else { value.into() }
}

/// Lines of cells with commas between them; a cell with a comma, a quote or a line break stands between quotes (RFC 4180).
fn csv(lines: impl Iterator<Item = Vec<String>>) -> String {
    let quoted = |cell: String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    };
    lines.map(|line| line.into_iter().map(quoted).collect::<Vec<_>>().join(",") + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_would_break_a_line_are_quoted() {
        let line = ["a", "{ kind = \"rff\", nu = 2.0 }", "", "3"].map(str::to_owned).to_vec();
        assert_eq!(csv([line].into_iter()), "a,\"{ kind = \"\"rff\"\", nu = 2.0 }\",,3\n");
    }

    #[test]
    fn numbers_have_four_digits_or_one_behind_the_point() {
        let texts = [1234.56, 182.61, 93.126, 1.5, 0.17899].map(|value| format!("{value:.*}", digits(value)));
        assert_eq!(texts, ["1234.6", "182.6", "93.13", "1.500", "0.1790"]);
    }

    #[test]
    fn a_score_of_several_figures_has_a_column_for_each() {
        let text = r#"{"task":"xmc","loss":"full","sampler":"none","steps":3,"epochs":1,"metric":"P@1","valid":null,
                       "test":{"P@1":0.5,"P@3":0.25},"examples_per_second":2.5,"train_seconds":4.0,"peak_memory_bytes":null}"#;
        let figures = figures(&serde_json::from_str(text).unwrap());
        let figures: Vec<_> = figures.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let wanted = [
            ("epochs", 1.0),
            ("examples_per_second", 2.5),
            ("steps", 3.0),
            ("test", 0.5),
            ("test_P@3", 0.25),
            ("train_seconds", 4.0),
        ];
        assert_eq!(figures, wanted);
    }
}
