//! The settings of a sweep side by side, for people.

use super::means::Mean;
use super::results::{MeanRow, Results, digits};
use crate::commands::columns::aligned;

/// Figures of a classifier that are shown beside its metric.
const MORE: [&str; 2] = ["test_P@3", "test_P@5"];

/// One line a setting: means and standard errors over its seeds.
pub fn table(results: &Results) -> String {
    let rows = &results.means;
    let metrics: Vec<_> = rows.iter().filter_map(|row| row.metric.as_ref()).collect();
    let metric = match metrics.split_first() {
        Some((first, others)) if others.iter().all(|other| other == first) => format!(" {first}"),
        _ => String::new(),
    };
    let names: Vec<_> = ["valid", "test"].into_iter().chain(MORE).filter(|name| has(rows, name)).collect();
    let titles = names.iter().map(|name| match name.strip_prefix("test_") {
        Some(more) => format!("test {more}"),
        None => format!("{name}{metric}"),
    });
    let mut lines = vec![["setting", "seeds"].map(str::to_owned).to_vec()];
    lines[0].extend(titles.chain(["seconds", "examples/s"].map(str::to_owned)));
    lines.extend(rows.iter().map(|row| line(row, &names)));
    aligned(&lines)
}

fn has(rows: &[MeanRow], name: &str) -> bool {
    rows.iter().any(|row| row.figures.contains_key(name))
}

fn line(row: &MeanRow, names: &[&str]) -> Vec<String> {
    let scores = names.iter().map(|name| row.figures.get(*name).map_or("–".to_owned(), cell));
    let costs = ["train_seconds", "examples_per_second"];
    let costs = costs.map(|name| row.figures.get(name).map_or("–".to_owned(), |mean| format!("{:.0}", mean.mean)));
    [row.name.clone(), row.seeds.to_string()].into_iter().chain(scores).chain(costs).collect()
}

/// `182.6 ± 0.4`, both with the same digits behind the point.
fn cell(mean: &Mean) -> String {
    let digits = digits(mean.mean);
    let error = mean.standard_error.map_or(String::new(), |error| format!(" ± {error:.digits$}"));
    format!("{:.digits$}{error}", mean.mean)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::results::Values;
    use super::*;

    fn row(name: &str, metric: Option<&str>, figures: &[(&str, &[f64])]) -> MeanRow {
        let figures = figures.iter().map(|(name, values)| ((*name).to_owned(), Mean::of(values).unwrap()));
        let setting = Values { case: None, settings: BTreeMap::new() };
        let metric = metric.map(str::to_owned);
        MeanRow { name: name.into(), setting, seeds: 2, metric, figures: figures.collect() }
    }

    fn table_of(means: Vec<MeanRow>) -> String {
        table(&Results { sweep: "s".into(), keys: Vec::new(), runs: Vec::new(), means })
    }

    #[test]
    fn settings_stand_below_each_other_with_means_and_errors() {
        let figures: [(&str, &[f64]); 3] =
            [("valid", &[100.0, 102.0]), ("train_seconds", &[20.0]), ("examples_per_second", &[4850.4])];
        let text = table_of(vec![row("nu=4", Some("perplexity"), &figures), row("nu=16", None, &[])]);
        let wanted = "setting  seeds  valid perplexity  seconds  examples/s\n\
                      nu=4         2       101.0 ± 1.0       20        4850\n\
                      nu=16        2                 –        –           –\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn precision_at_three_and_five_is_shown_where_there_is_any() {
        let text =
            table_of(vec![row("a", Some("P@1"), &[("test", &[0.5]), ("test_P@3", &[0.25]), ("test_nDCG@3", &[0.3])])]);
        assert!(text.starts_with("setting  seeds  test P@1  test P@3  seconds"), "{text}");
    }
}
