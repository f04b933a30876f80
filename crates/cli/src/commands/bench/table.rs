//! The outcome as a table for people.

use rf_softmax::Sharing;

use super::Outcome;
use super::row::Row;
use crate::args::Bench;
use crate::commands::columns::{aligned, figure};
use crate::commands::told::grouped;

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
        let Row { batch, dim, warm_up, .. } = row;
        let draws = match row.sharing {
            Sharing::Query => format!("m = {}", row.draws),
            Sharing::Batch => format!("M = {} shared by the batch", row.draws),
        };
        format!("B = {batch}, {draws}, d = {dim}; medians after {warm_up} repetitions of warm-up")
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
