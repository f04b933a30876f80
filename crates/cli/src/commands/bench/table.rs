//! The outcome as a table for people.

use super::Outcome;
use super::row::Row;
use crate::args::Bench;
use crate::commands::report::grouped;

/// The machine, a row for each case, and what was left out.
pub fn text(outcome: &Outcome, what: Bench) -> String {
    let (parts, mut titles): (&[&str], Vec<String>) = match what {
        Bench::Draws => (&["features", "walk", "loss"], vec!["draws, ms".into(), "with loss".into()]),
        Bench::Step => (&["draw", "loss", "backward", "rows", "refresh"], vec!["step, ms".into(), "µs a row".into()]),
    };
    titles.splice(0..0, ["sampler", "n", "D"].map(String::from));
    titles.insert(4, "min–max".into());
    titles.extend(parts.iter().map(|part| part.to_string()));
    titles.extend(["rows", "node masses", "class masses", "nodes renewed", "sampler MiB", "GB/s"].map(String::from));
    if what == Bench::Step {
        titles.extend(["bytes a class", "at peak"].map(String::from));
    }
    let mut lines = vec![titles];
    lines.extend(outcome.rows.iter().map(|row| cells(row, parts, what)));
    let skipped = outcome.skipped.iter().map(|skipped| format!("{skipped}\n")).collect::<String>();
    let machine = format!("{}\n{}", outcome.machine.summary(), outcome.machine.rates());
    format!("{machine}\n{}\n\n{}{skipped}", setting(outcome), aligned(&lines))
}

fn setting(outcome: &Outcome) -> String {
    outcome.rows.first().map_or(String::new(), |row| {
        let Row { batch, draws, dim, warm_up, .. } = row;
        format!("B = {batch}, m = {draws}, d = {dim}; medians after {warm_up} repetitions of warm-up")
    })
}

fn cells(row: &Row, parts: &[&str], what: Bench) -> Vec<String> {
    let second = match what {
        Bench::Draws => row.evaluation_milliseconds.map(figure),
        Bench::Step => row.milliseconds_per_row.map(|time| figure(time * 1e3)),
    };
    let mut cells = vec![
        row.sampler.clone(),
        grouped(row.classes as u64),
        row.features.map_or("–".into(), |features| features.to_string()),
        figure(row.milliseconds),
        format!("{}–{}", figure(row.milliseconds_min), figure(row.milliseconds_max)),
        second.unwrap_or_default(),
    ];
    cells.extend(parts.iter().map(|part| row.parts.get(part).copied().map_or("–".into(), figure)));
    let counts = [row.distinct_rows, row.node_masses, row.class_masses, row.nodes_refreshed];
    cells.extend(counts.map(|count| grouped(count.round() as u64)));
    cells.push(figure(row.bytes as f64 / (1u64 << 20) as f64));
    cells.push(if row.bytes_per_second > 0.0 { figure(row.bytes_per_second / 1e9) } else { "–".into() });
    if what == Bench::Step {
        let memory = [row.bytes_per_class, row.peak_bytes_per_class];
        cells.extend(memory.map(|bytes| bytes.map_or("–".into(), |bytes| grouped(bytes.round() as u64))));
    }
    cells
}

/// Three digits, or as many as stand before the point.
fn figure(value: f64) -> String {
    match value {
        value if value >= 100.0 => grouped(value.round() as u64),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

/// Columns as wide as their widest cell, the first to the left, the others to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let texts = [0.04256, 1.234, 45.678, 1234.5].map(figure);
        assert_eq!(texts, ["0.043", "1.23", "45.7", "1,235"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = [["sampler", "ms"], ["rff", "12.5"]].map(|line| line.map(String::from).to_vec());
        assert_eq!(aligned(&lines), "sampler    ms\nrff      12.5\n");
    }
}
