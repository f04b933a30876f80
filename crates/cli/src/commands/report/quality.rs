//! What `rfs diagnose` measured of samplers.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::Plot;
use super::section::file_name;
use super::table::{Cell, Row, Table};
use crate::commands::columns::figure;
use crate::commands::plots::{Mark, Picture, Scatter};
use crate::commands::told::grouped;
use crate::exit::OrBadInput;

/// A diagnosis, read from the JSON that `rfs diagnose` prints and stores.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The run that it is of.
    name: String,
    told: Told,
}

#[derive(Clone, Debug, Deserialize)]
struct Told {
    run: String,
    split: String,
    step: u64,
    n: u64,
    d: u64,
    queries: u64,
    m: u64,
    entropy: f64,
    rows: Vec<Measured>,
}

/// A figure that is not finite is `null`.
#[derive(Clone, Debug, Deserialize)]
struct Measured {
    sampler: String,
    own: bool,
    kl: Option<f64>,
    chi_squared: Option<f64>,
    effective_sample_size: Option<f64>,
    draw_milliseconds: f64,
    refresh_milliseconds: f64,
    rows_read: f64,
    bytes: u64,
    gradient_bias: Value,
    gradient_variance: Value,
}

impl Diagnosis {
    /// Reads the file at `path`, of the run called `name` where that is known.
    ///
    /// # Errors
    /// Bad input if it is not what `rfs diagnose` prints.
    pub fn read(path: &Path, name: Option<&str>) -> anyhow::Result<Self> {
        let context = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(context).or_bad_input()?;
        let told: Told = serde_json::from_str(&text)
            .with_context(|| format!("{}: this is not what rfs diagnose --json prints", path.display()))
            .or_bad_input()?;
        let name = name.map_or_else(|| told.run.clone(), str::to_owned);
        Ok(Self { name, told })
    }

    /// What was measured on.
    pub fn title(&self) -> String {
        let Told { split, step, n, d, queries, m, entropy, .. } = &self.told;
        let (n, step) = (grouped(*n), grouped(*step));
        format!(
            "{}, step {step}: n = {n}, d = {d}; {queries} queries of the {split} data, entropy {entropy:.2} nats; m = {m}",
            self.name
        )
    }

    /// KL against the time of a query.
    pub fn plot(&self) -> Plot {
        let mark = |row: &Measured| Mark {
            name: row.sampler.clone(),
            x: row.draw_milliseconds + row.refresh_milliseconds,
            y: row.kl.unwrap_or(f64::INFINITY),
            own: row.own,
        };
        let title = format!("{}: KL of samplers against the time of a query, m = {}", self.name, self.told.m);
        let marks = self.told.rows.iter().map(mark).collect();
        let name = format!("{}-kl-by-time", file_name(&self.name));
        Plot { name, picture: Picture::Scatter(Scatter::of_kl(title, marks)) }
    }

    /// A row for each sampler; the least of KL is marked, that of `exp`, which is the softmax itself, apart.
    pub fn table(&self) -> Table {
        let others = self.told.rows.iter().filter(|row| row.sampler != "exp").filter_map(|row| row.kl);
        let least = others.reduce(f64::min).map(figure);
        let m = self.told.m.to_string();
        let parts = |value: &Value, part: &str| value[&m][part].as_f64();
        let row = |row: &Measured| {
            let cell = |value: Option<f64>| value.map_or_else(Cell::none, |value| Cell::plain(figure(value)));
            let kl = row.kl.map_or("∞".into(), figure);
            let is_best = row.sampler != "exp" && least.as_ref() == Some(&kl);
            let cells = vec![
                Cell { text: kl, is_best },
                row.chi_squared.map_or_else(|| Cell::plain("∞"), |value| Cell::plain(figure(value))),
                cell(row.effective_sample_size),
                cell(parts(&row.gradient_bias, "h")),
                cell(parts(&row.gradient_bias, "classes")),
                cell(parts(&row.gradient_variance, "h")),
                cell(parts(&row.gradient_variance, "classes")),
                Cell::plain(format!("{:.4}", row.draw_milliseconds)),
                Cell::plain(format!("{:.4}", row.refresh_milliseconds)),
                Cell::plain(grouped(row.rows_read.round() as u64)),
                Cell::plain(format!("{:.1}", row.bytes as f64 / f64::from(1 << 20))),
            ];
            let remark = row.own.then(|| "the run's own".to_owned());
            Row { name: row.sampler.clone(), remark, cells }
        };
        let head = [
            "sampler",
            "KL, nats",
            "chi-squared",
            "ESS",
            "bias h",
            "bias rows",
            "var h",
            "var rows",
            "draw, ms",
            "refresh, ms",
            "rows read",
            "MiB",
        ];
        Table {
            caption: format!("Samplers on {}, figures of a query", self.name),
            head: head.map(String::from).to_vec(),
            rows: self.told.rows.iter().map(row).collect(),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A diagnosis of three samplers, one of them of infinite KL.
    pub const JSON: &str = r#"{"machine":{},"run":"runs/ptb","task":"lm","split":"test","step":3984,"n":10000,"d":200,
        "queries":128,"gradient_queries":64,"m":100,"seed":1,"entropy":4.99,"rows":[
        {"sampler":"rff <b>","own":true,"kl":2.477,"chi_squared":41.4,"effective_sample_size":4.17,"total_probability":1.0,
        "draw_milliseconds":0.36,"refresh_milliseconds":0.77,"rows_read":755.05,"bytes":48706200,
        "gradient_bias":{"100":{"h":0.147,"classes":0.11}},"gradient_variance":{"100":{"h":0.16,"classes":0.159}}},
        {"sampler":"exp","own":false,"kl":0.0,"chi_squared":1.0,"effective_sample_size":100.0,"draw_milliseconds":1.0,
        "refresh_milliseconds":0.0,"rows_read":10000.0,"bytes":0,"gradient_bias":{},"gradient_variance":{}},
        {"sampler":"blind","own":false,"kl":null,"chi_squared":null,"effective_sample_size":null,"draw_milliseconds":0.1,
        "refresh_milliseconds":0.0,"rows_read":0.0,"bytes":0,"gradient_bias":{},"gradient_variance":{}}],"skipped":[]}"#;

    pub fn diagnosis(text: &str) -> anyhow::Result<Diagnosis> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("diagnose.json");
        std::fs::write(&path, text).unwrap();
        Diagnosis::read(&path, None)
    }

    #[test]
    fn samplers_are_rows_and_the_nearest_to_the_softmax_is_marked() {
        let table = diagnosis(JSON).unwrap().table();
        let of = |row: usize| table.rows[row].cells.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>();
        let wanted = ["2.48", "41.4", "4.17", "0.147", "0.110", "0.160", "0.159", "0.3600", "0.7700", "755", "46.4"];
        assert_eq!(of(0), wanted);
        assert_eq!(of(2)[..3], ["∞", "∞", "–"]);
        assert_eq!(table.rows.iter().map(|row| row.cells[0].is_best).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(table.rows[0].remark.as_deref(), Some("the run's own"));
    }

    #[test]
    fn the_plot_names_run_and_samplers() {
        let plot = diagnosis(JSON).unwrap().plot();
        assert_eq!(plot.name, "runs-ptb-kl-by-time");
        let Picture::Scatter(scatter) = &plot.picture else { panic!("no scatter") };
        assert_eq!(scatter.title, "runs/ptb: KL of samplers against the time of a query, m = 100");
        assert_eq!(scatter.marks.iter().map(|mark| mark.y).collect::<Vec<_>>(), [2.477, 0.0, f64::INFINITY]);
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let error = format!("{:#}", diagnosis("{\"run\": 3}").unwrap_err());
        assert!(error.contains("diagnose.json: this is not what rfs diagnose --json prints: invalid type"), "{error}");
    }
}
