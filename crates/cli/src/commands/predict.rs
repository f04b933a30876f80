//! `rfs predict`.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use burn::tensor::Device;
use rf_data::{XcPoints, read_names};
use rf_softmax::Ranked;
use rf_training::{RunFolder, replace_file};
use rf_xmc::Predictor;

use super::told::grouped;
use super::trained::{Trained, classifier};
use crate::args::PredictArgs;
use crate::exit::{OrBadInput, bad_input};
use crate::plan::{AnyPlan, Plan};
use crate::task::Xmc;

/// Ranks all labels for each point of a file, and writes the best ones.
pub fn run(plan: &AnyPlan, folder: &RunFolder, device: &Device, args: &PredictArgs) -> anyhow::Result<()> {
    let plan = classifier(plan, folder, "predict")?;
    let Trained { predictor, weighting } = Trained::open(plan, folder, args.checkpoint, device)?;
    let (features, labels) = (predictor.features(), predictor.labels());
    let names = args.names.as_ref().map(|file| names(file.as_deref(), plan, labels)).transpose()?;
    let mut points = plan.data.read_points(&args.input, features, labels).or_bad_input()?;
    weighting.apply(&mut points.features);
    let began = Instant::now();
    let ranking = Ranking { predictor: &predictor, points: &points, k: args.k.get().min(labels), names };
    match &args.output {
        Some(path) => replace_file(path, |file| ranking.write(file))?,
        None => match ranking.print() {
            // Whoever reads, such as `head`, has enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            other => other.context("standard output")?,
        },
    }
    let (seconds, points) = (began.elapsed().as_secs_f64(), points.len());
    let rate = grouped((points as f64 / seconds.max(1e-9)) as u64);
    eprintln!("{} points in {seconds:.1} s, {rate} points a second", grouped(points as u64));
    Ok(())
}

/// The names in a file, or those of the data set.
fn names(file: Option<&Path>, plan: &Plan<Xmc>, labels: usize) -> anyhow::Result<Vec<String>> {
    match file {
        Some(path) => read_names(path, labels).or_bad_input(),
        None => plan.data.label_names(&rf_data::data_root(), labels).or_bad_input()?.ok_or_else(|| {
            bad_input("--names: the plan of the run has no `data.label_names`; name a file, --names FILE")
        }),
    }
}

/// What is written: the `k` best labels of every point.
struct Ranking<'a> {
    predictor: &'a Predictor,
    points: &'a XcPoints,
    k: usize,
    names: Option<Vec<String>>,
}

impl Ranking<'_> {
    fn print(&self) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        self.write(&mut out)?;
        out.flush()
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.names.is_none() {
            writeln!(out, "{} {}", self.points.len(), self.predictor.labels())?;
        }
        let each = |point: usize, ranked: &[Ranked]| {
            let written = match &self.names {
                Some(names) => named(out, point, ranked, names),
                None => line(out, ranked),
            };
            written.map_err(|source| rf_training::Error::Io { path: "the output".into(), source }.into())
        };
        self.predictor.rank(self.points, self.k, each).map_err(of_system)
    }
}

/// `label:score label:score`, best first; a score has as many digits as bring the same number back.
fn line(out: &mut dyn Write, ranked: &[Ranked]) -> io::Result<()> {
    for (place, Ranked { class, score }) in ranked.iter().enumerate() {
        let space = if place == 0 { "" } else { " " };
        write!(out, "{space}{class}:{score}")?;
    }
    writeln!(out)
}

/// A line a label: point, counted from 0 as labels are, rank from 1, score and name, with tabs between them.
fn named(out: &mut dyn Write, point: usize, ranked: &[Ranked], names: &[String]) -> io::Result<()> {
    for (rank, Ranked { class, score }) in (1..).zip(ranked) {
        writeln!(out, "{point}\t{rank}\t{score}\t{}", names[*class as usize])?;
    }
    Ok(())
}

/// The answer of the system within an error of the trainer, if it is one.
fn of_system(error: rf_xmc::Error) -> io::Error {
    match error {
        rf_xmc::Error::Training(rf_training::Error::Io { source, .. }) => source,
        other => io::Error::other(other),
    }
}
