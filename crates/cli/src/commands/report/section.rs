//! Runs of one task on one data set: what can be set side by side.

use std::path::Path;

use toml::Value;

use super::record::Record;
use super::series::Series;
use super::table::Table;
use super::{Plot, curves, figures, settings};
use crate::task::Task;

/// A part of the page.
pub struct Section {
    pub title: String,
    pub plots: Vec<Plot>,
    /// Whether some lines are means.
    pub has_means: bool,
    /// Names of runs that have no line by epoch, since their journal does not tell how long one is.
    pub without_epochs: Vec<String>,
    pub scores: Table,
    pub costs: Table,
    pub differing: Table,
    pub common: Table,
}

impl Section {
    /// A section for each task and data set, in the order of their first runs. Figures on other data cannot be compared.
    pub fn all(records: &[Record]) -> Vec<Self> {
        let mut groups: Vec<Vec<&Record>> = Vec::new();
        for record in records {
            match groups.iter_mut().find(|group| is_comparable(group[0], record)) {
                Some(group) => group.push(record),
                None => groups.push(vec![record]),
            }
        }
        groups.iter().enumerate().map(|(index, group)| Self::new(index, group)).collect()
    }

    fn new(index: usize, records: &[&Record]) -> Self {
        let (task, series) = (records[0].task, Series::all(records));
        let metric = metric(records);
        let (kind, data) = (kind(task), data(records[0]));
        let name = file_name(&format!("{}-{data}-{metric}", index + 1));
        let has_epochs = |series: &&Series<'_>| series.runs.iter().all(|run| run.steps_per_epoch.is_some());
        let validated = series.iter().filter(|series| series.runs.iter().any(|run| !run.validations.is_empty()));
        Self {
            title: format!("{kind}, {data}"),
            plots: curves::plots(task, metric, &name, &series),
            has_means: series.iter().any(Series::is_mean),
            without_epochs: validated.filter(|series| !has_epochs(series)).map(|series| series.name.clone()).collect(),
            scores: figures::scores(task, metric, &series),
            costs: figures::costs(task, &series),
            differing: settings::differing(&series),
            common: settings::common(&series),
        }
    }
}

fn is_comparable(one: &Record, other: &Record) -> bool {
    let data = |record: &'_ Record| -> Vec<(String, Value)> {
        let settings = record.settings.iter().filter(|(key, _)| key.starts_with("data."));
        settings.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    one.task == other.task && data(one) == data(other)
}

/// The figure that counts: as the runs tell, or the task's own.
fn metric<'r>(records: &[&'r Record]) -> &'r str {
    let told = records.iter().find_map(|record| {
        let validated = record.validations.first().map(|validated| validated.metric.as_str());
        record.summary.as_ref().map(|summary| summary.metric.as_str()).or(validated)
    });
    told.unwrap_or(match records[0].task {
        Task::Lm => "perplexity",
        Task::Xmc => "P@1",
    })
}

fn kind(task: Task) -> &'static str {
    match task {
        Task::Lm => "Language models",
        Task::Xmc => "Extreme classification",
    }
}

/// The training data in a word: the name of its file or folder, and of the folder above.
fn data(record: &Record) -> String {
    let train = ["data.train", "data.train.features"].into_iter().find_map(|key| record.settings.get(key));
    let first = match train {
        Some(Value::Array(paths)) => paths.first(),
        other => other,
    };
    let Some(path) = first.and_then(Value::as_str).map(Path::new) else { return "generated data".into() };
    let above = path.parent().and_then(Path::file_name).map(Path::new);
    let name = path.file_name().map_or(path, Path::new);
    above.map_or_else(|| name.to_owned(), |above| above.join(name)).display().to_string()
}

/// A text as a part of a file's name.
pub fn file_name(text: &str) -> String {
    let letters =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "@.".contains(c) { c.to_ascii_lowercase() } else { '-' });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{read, start, validation};
    use super::super::series::tests::{finished, plan};
    use super::*;

    #[test]
    fn tasks_and_data_sets_have_sections_of_their_own() {
        let on = |data: &str| finished(data, &plan(1, &format!("[data]\ntrain = '{data}'\n")), &[9.0]);
        let runs = [on("/data/ptb.txt"), read("task = 'xmc'\n", &[]), on("/data/news"), on("/data/ptb.txt")];
        let sections = Section::all(&runs);
        let titles: Vec<&str> = sections.iter().map(|section| section.title.as_str()).collect();
        let wanted =
            ["Language models, data/ptb.txt", "Extreme classification, generated data", "Language models, data/news"];
        assert_eq!(titles, wanted);
        assert_eq!(sections.iter().map(|section| section.scores.rows.len()).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(sections[0].plots[0].name, "1-data-ptb.txt-perplexity-by-step");
        assert_eq!(sections[1].scores.head[2], "valid P@1");
    }

    #[test]
    fn runs_without_a_place_among_the_epochs_are_named() {
        let mut old = read("task = 'lm'\n", &[start(), validation(50, 9.0)]);
        old.steps_per_epoch = None;
        assert_eq!(Section::all(&[old])[0].without_epochs, ["a"]);
    }
}
