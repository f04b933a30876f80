//! Settings that differ between runs, and those that do not.

use std::collections::BTreeSet;

use toml::Value;

use super::series::Series;
use super::table::{Cell, Row, Table};

/// A row for each series and a column for each setting in which they differ, with the seeds in the last.
pub fn differing(series: &[Series<'_>]) -> Table {
    let mut keys: Vec<&str> = keys(series).into_iter().filter(|key| !is_common(series, key)).collect();
    // What the others are settings of.
    keys.sort_by_key(|key| !key.ends_with(".kind"));
    let row = |series: &Series<'_>| {
        let seeds: Vec<String> = series.runs.iter().map(|run| run.seed.to_string()).collect();
        let cells =
            keys.iter().map(|key| value(series, key).map_or_else(Cell::none, |value| Cell::plain(shown(value))));
        Row { name: series.name.clone(), remark: None, cells: cells.chain([Cell::plain(seeds.join(", "))]).collect() }
    };
    Table {
        caption: "Settings that differ".into(),
        head: ["run"].iter().chain(&keys).chain(&["seed"]).map(|&key| key.to_owned()).collect(),
        rows: series.iter().map(row).collect(),
    }
}

/// A row for each setting that all series share.
pub fn common(series: &[Series<'_>]) -> Table {
    let shared = keys(series).into_iter().filter(|key| is_common(series, key));
    let row = |key: &str| Row {
        name: key.to_owned(),
        remark: None,
        cells: vec![Cell::plain(value(&series[0], key).map_or(String::new(), shown))],
    };
    Table {
        caption: "Settings of all runs".into(),
        head: ["setting", "value"].map(String::from).to_vec(),
        rows: shared.map(row).collect(),
    }
}

fn keys<'r>(series: &[Series<'r>]) -> BTreeSet<&'r str> {
    series.iter().flat_map(|series| series.runs[0].settings.keys().map(String::as_str)).collect()
}

fn is_common(series: &[Series<'_>], key: &str) -> bool {
    series.iter().all(|other| value(other, key) == value(&series[0], key))
}

/// The runs of a series have the same settings.
fn value<'r>(series: &Series<'r>, key: &str) -> Option<&'r Value> {
    series.runs[0].settings.get(key)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::series::tests::{finished, plan};
    use super::*;

    #[test]
    fn what_differs_is_a_column_and_what_does_not_a_row() {
        let more = |draws: u64| format!("[loss]\ndraws = {draws}\ntau = 2.0\n[loss.sampler]\nkind = 'rff'\n");
        let runs = [
            finished("a1", &plan(1, &more(5)), &[9.0]),
            finished("a2", &plan(2, &more(5)), &[8.0]),
            finished("full", &plan(1, "[loss]\nkind = 'full'\ntau = 2.0\n"), &[7.0]),
        ];
        let series = Series::all(&runs.iter().collect::<Vec<_>>());
        let table = differing(&series);
        assert_eq!(table.head, ["run", "loss.kind", "loss.sampler.kind", "loss.draws", "seed"]);
        let cells: Vec<Vec<&str>> =
            table.rows.iter().map(|row| row.cells.iter().map(|cell| cell.text.as_str()).collect()).collect();
        assert_eq!(cells, [["–", "rff", "5", "1, 2"], ["full", "–", "–", "1"]]);
        let common = common(&series);
        let rows: Vec<_> = common.rows.iter().map(|row| (row.name.as_str(), row.cells[0].text.as_str())).collect();
        assert_eq!(rows, [("loss.tau", "2.0"), ("task", "lm")]);
    }
}
