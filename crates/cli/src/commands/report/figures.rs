//! Tables of figures, the best of each column marked.

use std::collections::BTreeSet;

use rf_training::{Score, Summary};

use super::record::Record;
use super::series::{Figure, Series};
use super::table::{Cell, Row, Table};
use crate::commands::told::grouped;
use crate::task::Task;

/// Which of a column's values are the better ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    Lower,
    Higher,
    /// None is.
    Neither,
}

/// A figure of a run, where it has it.
type Of<'a> = Box<dyn Fn(&Record) -> Option<f64> + 'a>;

/// A column.
struct Column<'a> {
    title: String,
    better: Better,
    /// Digits behind the point.
    digits: usize,
    of: Of<'a>,
}

impl<'a> Column<'a> {
    fn new(title: &str, better: Better, digits: usize, of: impl Fn(&Record) -> Option<f64> + 'a) -> Self {
        Self { title: title.into(), better, digits, of: Box::new(of) }
    }

    /// The cells of all series. Only what is finished can be the best, and only where there is something to be better than.
    fn cells(&self, series: &[Series<'_>]) -> Vec<Cell> {
        let figures: Vec<Option<Figure>> = series.iter().map(|series| series.figure(&self.of)).collect();
        let finished = || figures.iter().zip(series).filter(|(_, series)| series.is_finished());
        let means = || finished().filter_map(|(figure, _)| Some((*figure)?.mean));
        let best = match self.better {
            Better::Lower => means().reduce(f64::min),
            Better::Higher => means().reduce(f64::max),
            Better::Neither => None,
        };
        let best = best.filter(|_| means().count() > 1).map(|best| self.number(best));
        let cell = |(figure, series): (&Option<Figure>, &Series<'_>)| {
            let Some(Figure { mean, error }) = figure else { return Cell::none() };
            let number = self.number(*mean);
            // What looks the same is the same.
            let is_best = series.is_finished() && best.as_ref() == Some(&number);
            // Runs of equal length have no error of it.
            let error = error.map(|error| self.number(error)).filter(|error| *error != self.number(0.0));
            let error = error.map_or(String::new(), |error| format!(" ± {error}"));
            Cell { text: format!("{number}{error}"), is_best }
        };
        figures.iter().zip(series).map(cell).collect()
    }

    fn number(&self, value: f64) -> String {
        let text = format!("{value:.*}", self.digits);
        let (whole, part) = text.split_once('.').map_or((text.as_str(), None), |(whole, part)| (whole, Some(part)));
        let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
        part.map_or(whole.clone(), |part| format!("{whole}.{part}"))
    }
}

/// Scores on validation and test data.
pub fn scores(task: Task, metric: &str, series: &[Series<'_>]) -> Table {
    let (better, scale) = direction(task);
    let valid = Column::new(&format!("valid {metric}"), better, 2, move |run| Some(scale * valid(run, metric)?));
    let tests = names(series, metric).into_iter().map(|name| {
        let of = name.clone();
        let test = move |run: &Record| Some(scale * run.summary.as_ref()?.test.as_ref()?.figure(&of)?);
        Column::new(&format!("test {name}"), better, 2, test)
    });
    let steps = Column::new("steps", Better::Neither, 0, |run| Some(steps(run) as f64));
    let unit = if task == Task::Xmc { ", per cent" } else { "" };
    table(&format!("Final figures{unit}"), series, [steps, valid].into_iter().chain(tests).collect())
}

/// What the runs took.
pub fn costs(task: Task, series: &[Series<'_>]) -> Table {
    let unit = if task == Task::Xmc { "points" } else { "tokens" };
    let columns = vec![
        Column::new("training, s", Better::Neither, 1, |run| {
            Some(outcome(run, |summary| summary.train_seconds).unwrap_or(run.seconds))
        }),
        Column::new(&format!("{unit} a second"), Better::Higher, 0, |run| {
            outcome(run, |summary| summary.examples_per_second).or_else(|| mean(&run.speeds))
        }),
        Column::new("class rows a step", Better::Neither, 0, |run| {
            let of_all = run.summary.as_ref().and_then(|summary| summary.extra.get("distinct_rows")?.as_f64());
            of_all.or_else(|| mean(&run.rows)).filter(|rows| *rows > 0.0)
        }),
        Column::new("peak memory, MiB", Better::Lower, 0, |run| {
            let bytes = run.summary.as_ref()?.peak_memory_bytes?;
            Some(bytes as f64 / f64::from(1 << 20))
        }),
    ];
    table("Throughput and memory", series, columns)
}

fn table(caption: &str, series: &[Series<'_>], columns: Vec<Column<'_>>) -> Table {
    let cells: Vec<Vec<Cell>> = columns.iter().map(|column| column.cells(series)).collect();
    let row = |(index, series): (usize, &Series<'_>)| Row {
        name: series.name.clone(),
        remark: remark(series),
        cells: cells.iter().map(|column| column[index].clone()).collect(),
    };
    let titles = columns.iter().map(|column| column.title.clone());
    Table {
        caption: caption.into(),
        head: ["run".to_owned()].into_iter().chain(titles).collect(),
        rows: series.iter().enumerate().map(row).collect(),
    }
}

/// Remarks of the runs, each once.
fn remark(series: &Series<'_>) -> Option<String> {
    let remarks: BTreeSet<&str> = series.runs.iter().filter_map(|run| run.remark.as_deref()).collect();
    (!remarks.is_empty()).then(|| remarks.into_iter().collect::<Vec<_>>().join("; "))
}

/// Which values of a task's metric are the better ones, and what it is shown times.
fn direction(task: Task) -> (Better, f64) {
    match task {
        Task::Lm => (Better::Lower, 1.0),
        Task::Xmc => (Better::Higher, 100.0),
    }
}

fn steps(run: &Record) -> u64 {
    run.summary.as_ref().map_or(run.steps, |summary| summary.steps)
}

/// The score of the model that the summary speaks of; of an unfinished run the best so far.
fn valid(run: &Record, metric: &str) -> Option<f64> {
    if let Some(summary) = &run.summary {
        return summary.valid.as_ref()?.figure(metric);
    }
    let figures = run.validations.iter().filter_map(|validated| validated.score.figure(metric));
    figures.reduce(if direction(run.task).0 == Better::Lower { f64::min } else { f64::max })
}

fn outcome(run: &Record, of: fn(&Summary) -> f64) -> Option<f64> {
    run.summary.as_ref().map(of)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Names of the test figures, those of one kind together. The gains at k = 1 are the precisions there, so they are left out.
fn names(series: &[Series<'_>], metric: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    for summary in series.iter().flat_map(|series| &series.runs).filter_map(|run| run.summary.as_ref()) {
        match &summary.test {
            Some(Score::Value(_)) => drop(names.insert((0, metric.to_owned()))),
            Some(Score::Values(values)) => names.extend(values.keys().map(|name| (kind(name), name.clone()))),
            None => {}
        }
    }
    names.into_iter().map(|(_, name)| name).filter(|name| !name.ends_with("nDCG@1")).collect()
}

fn kind(name: &str) -> usize {
    let kinds = ["P@", "nDCG@", "PSP@", "PSnDCG@"];
    kinds.iter().position(|kind| name.starts_with(kind)).unwrap_or(kinds.len())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{read, start, validation};
    use super::super::series::tests::{finished, plan};
    use super::*;

    fn columns(table: &Table, title: &str) -> Vec<(String, bool)> {
        let index = table.head.iter().position(|head| head == title).unwrap() - 1;
        table.rows.iter().map(|row| (row.cells[index].text.clone(), row.cells[index].is_best)).collect()
    }

    fn marked(cells: &[(&str, bool)]) -> Vec<(String, bool)> {
        cells.iter().map(|(text, is_best)| ((*text).to_owned(), *is_best)).collect()
    }

    #[test]
    fn the_best_of_what_is_finished_is_marked() {
        let one = finished("one", &plan(1, ""), &[90.0]);
        let two = finished("two", &plan(1, "[loss]\ntau = 2\n"), &[1080.0, 80.0]);
        let open = read(&plan(9, ""), &[start(), validation(100, 60.0), validation(200, 70.0)]);
        let series = Series::all(&[&one, &two, &open]);
        let scores = scores(Task::Lm, "perplexity", &series);
        assert_eq!(scores.head, ["run", "steps", "valid perplexity", "test perplexity"]);
        assert_eq!(columns(&scores, "steps"), marked(&[("100", false), ("200", false), ("200", false)]));
        assert_eq!(
            columns(&scores, "valid perplexity"),
            marked(&[("90.00", false), ("80.00", true), ("60.00", false)])
        );
        assert_eq!(columns(&scores, "test perplexity"), marked(&[("89.00", false), ("79.00", true), ("–", false)]));
        assert_eq!(scores.rows[2].remark.as_deref(), Some("unfinished: step 200 of 1,200"));
        let costs = costs(Task::Lm, &series);
        assert_eq!(columns(&costs, "tokens a second"), marked(&[("910", false), ("920", true), ("–", false)]));
        assert_eq!(columns(&costs, "peak memory, MiB"), marked(&[("1", true), ("1", true), ("–", false)]));
    }

    #[test]
    fn a_mean_has_its_standard_error_and_a_lonely_one_is_not_the_best() {
        let (one, two) = (finished("a1", &plan(1, ""), &[80.0]), finished("a2", &plan(2, ""), &[90.0]));
        let table = scores(Task::Lm, "perplexity", &Series::all(&[&one, &two]));
        assert_eq!(columns(&table, "valid perplexity"), marked(&[("85.00 ± 5.00", false)]));
        assert_eq!(columns(&table, "steps"), marked(&[("100", false)]));
    }

    #[test]
    fn figures_of_one_kind_stand_together() {
        let mut run = finished("a", &plan(1, ""), &[80.0]);
        let test = ["PSP@1", "nDCG@1", "P@5", "PSnDCG@3", "P@1", "nDCG@3", "PSnDCG@1"].map(|name| (name.into(), 0.5));
        run.summary.as_mut().unwrap().test = Some(Score::Values(test.into()));
        let table = scores(Task::Xmc, "P@1", &Series::all(&[&run]));
        assert_eq!(table.head[3..], ["test P@1", "test P@5", "test nDCG@3", "test PSP@1", "test PSnDCG@3"]);
        assert_eq!(
            (columns(&table, "test P@5")[0].0.as_str(), table.caption.as_str()),
            ("50.00", "Final figures, per cent")
        );
    }
}
