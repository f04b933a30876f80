//! The outcome as tables for people.

use super::Outcome;
use super::row::{Parts, Row, TRIALS};
use crate::commands::columns::{aligned, figure};
use crate::commands::told::grouped;

/// The run, a table of distances and costs, one of gradients, and what was left out.
pub fn text(outcome: &Outcome<'_>) -> String {
    let costs = aligned(&with_titles(cost_titles(), &outcome.rows, cost_cells));
    let gradients = aligned(&with_titles(gradient_titles(), &outcome.rows, gradient_cells));
    let own = outcome.rows.iter().find(|row| row.own);
    let own = own.map_or(String::new(), |row| format!("The run trains with {}.\n", row.sampler));
    let skipped = outcome.skipped.iter().map(|skipped| format!("left out: {}: {}\n", skipped.sampler, skipped.why));
    let about = format!(
        "Gradients against the full one, at {} queries: bias over its length, variance over its square; of h and of the \
         class rows, by m. `<` marks what is within the noise.",
        outcome.gradient_queries
    );
    let skipped = skipped.collect::<String>();
    format!("{}\n{}\n{own}{skipped}\n{costs}\n{about}\n{gradients}", outcome.machine.summary(), setting(outcome))
}

fn setting(outcome: &Outcome<'_>) -> String {
    let Outcome { run, split, step, n, d, queries, m, entropy, .. } = outcome;
    let (run, n, step) = (run.display(), grouped(*n as u64), grouped(*step));
    format!(
        "{run} at step {step}: n = {n}, d = {d}; {queries} queries of the {split} data, m = {m} draws each; entropy of the \
         softmax {entropy:.3} nats"
    )
}

fn with_titles(titles: Vec<String>, rows: &[Row], cells: fn(&Row) -> Vec<String>) -> Vec<Vec<String>> {
    std::iter::once(titles).chain(rows.iter().map(cells)).collect()
}

fn cost_titles() -> Vec<String> {
    let titles = ["sampler", "KL, nats", "chi-squared", "ESS", "draw, ms", "refresh, ms", "rows read", "MiB"];
    titles.map(String::from).to_vec()
}

fn cost_cells(row: &Row) -> Vec<String> {
    vec![
        row.sampler.clone(),
        short(row.kl),
        short(row.chi_squared),
        short(row.effective_sample_size),
        short(row.draw_milliseconds),
        short(row.refresh_milliseconds),
        grouped(row.rows_read.round() as u64),
        short(row.bytes as f64 / f64::from(1 << 20)),
    ]
}

fn gradient_titles() -> Vec<String> {
    let columns = ["bias h", "bias rows", "var h", "var rows"];
    let titles = columns.iter().flat_map(|column| TRIALS.map(|trial| format!("{column} {}", trial.draws)));
    std::iter::once("sampler".into()).chain(titles).collect()
}

fn gradient_cells(row: &Row) -> Vec<String> {
    let parts: [fn(&Parts) -> f64; 2] = [|parts| parts.h, |parts| parts.classes];
    let bias = |part: fn(&Parts) -> f64| {
        row.gradient_bias
            .values()
            .zip(row.gradient_bias_noise.values())
            .map(move |(bias, noise)| bound(part(bias), part(noise)))
    };
    let variance = |part: fn(&Parts) -> f64| row.gradient_variance.values().map(part).map(short);
    let cells = parts.into_iter().flat_map(bias).chain(parts.into_iter().flat_map(variance));
    std::iter::once(row.sampler.clone()).chain(cells).collect()
}

/// A bias; where it is no more than chance makes of none, in 19 cases of 20, the bound that it stays below.
fn bound(bias: f64, noise: f64) -> String {
    // Two standard deviations of the squared bias.
    let bound = std::f64::consts::SQRT_2 * noise;
    if bias < bound { format!("<{}", short(bound)) } else { short(bias) }
}

/// Three digits where they are, powers of ten beyond, and zero for what is no more than rounding.
fn short(value: f64) -> String {
    match value {
        value if value.is_nan() => "–".into(),
        value if value.is_infinite() => "∞".into(),
        value if value.abs() < 1e-9 => "0".into(),
        value if !(1e-2..1e6).contains(&value) => format!("{value:.1e}"),
        value => figure(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bias_within_the_noise_is_told_as_a_bound() {
        assert_eq!([bound(0.3, 0.1), bound(0.1, 0.1), bound(0.0, 0.001)], ["0.300", "<0.141", "<1.4e-3"]);
    }

    #[test]
    fn figures_are_short_at_every_size() {
        let texts = [0.0, -1e-12, 0.0042, 0.25, 31.46, 1234.5, 2.75e6, f64::INFINITY, f64::NAN].map(short);
        assert_eq!(texts, ["0", "0", "4.2e-3", "0.250", "31.5", "1,235", "2.8e6", "∞", "–"]);
    }
}
