//! `rfs diagnose`: every sampler on one trained model. What is measured stands at the fields of [`row::Row`] and in
//! `rf_sampling`'s `quality`.
//!
//! The class table, its temperature and the training counts are the run's, whatever loss it was trained with; every
//! sampler is built anew over them. [`entry`] says which there are, [`subject`] opens the model, [`row`] and [`timing`]
//! measure, [`table`] and [`plot`] show.

mod entry;
mod kept;
mod plot;
mod progress;
mod row;
mod subject;
mod table;
mod timing;

use std::path::Path;

use burn::tensor::Device;
use rf_sampling::{Uniform, mean_quality};
use rf_training::RunFolder;
use serde::Serialize;

use crate::args::DiagnoseArgs;
use crate::commands::host::Host;
use crate::exit::{OrBadInput, bad_input};
use crate::plan::AnyPlan;
use crate::task::Task;
use entry::{Entry, entries};
use progress::Progress;
use row::{Bench, Row, Skipped};
use subject::Subject;
use timing::Clock;

/// Queries at which gradients are compared, at most.
const GRADIENT_QUERIES: usize = 64;

/// Measures every sampler on the model of a run, and prints the outcome.
pub fn run(plan: &AnyPlan, folder: &RunFolder, device: &Device, args: &DiagnoseArgs) -> anyhow::Result<()> {
    let entries = entries(args, plan, folder)?;
    args.plot.as_deref().map_or(Ok(()), plot::check)?;
    let subject = Subject::open(plan, folder, device, args)?;
    let outcome = measure(&subject, &entries, args)?;
    let json = serde_json::to_string(&outcome)?;
    kept::keep(serde_json::to_value(&outcome)?, folder);
    if let Some(path) = &args.plot {
        plot::write(&outcome, path)?;
    }
    match args.json {
        true => println!("{json}"),
        false => print!("{}", table::text(&outcome)),
    }
    Ok(())
}

fn measure<'a>(subject: &Subject, entries: &[Entry], args: &'a DiagnoseArgs) -> anyhow::Result<Outcome<'a>> {
    let Subject { head, probes, step, task, .. } = subject;
    let (classes, draws, seed) = (head.class_rows(), args.draws.get(), args.seed);
    let few = probes.spread(GRADIENT_QUERIES);
    let mut outcome = Outcome {
        machine: Host::here(),
        run: &args.run,
        task: *task,
        split: args.split.name(),
        step: *step,
        n: classes.len(),
        d: classes.dim(),
        queries: probes.len(),
        gradient_queries: few.len(),
        m: draws,
        seed,
        entropy: mean_quality(&Uniform, probes, classes).or_bad_input()?.mean.entropy,
        rows: Vec::new(),
        skipped: Vec::new(),
    };
    let mut bench = Bench { subject, few, clock: Clock::new(probes, classes, draws, seed), seed };
    let progress = Progress::start(entries.len());
    for entry in in_turn(entries) {
        progress.begin(&entry.name);
        match bench.measure(entry) {
            Ok(row) => {
                progress.end(&row);
                outcome.rows.push(row);
            }
            Err(error) if entry.is_asked => return Err(bad_input(format!("{}: {error}", entry.name))),
            Err(error) => {
                let skipped = Skipped { sampler: entry.name.clone(), why: error.to_string() };
                progress.end(format!("left out: {error}"));
                outcome.skipped.push(skipped);
            }
        }
    }
    let place = |name: &str| entries.iter().position(|entry| entry.name == name);
    outcome.rows.sort_by_key(|row| place(&row.sampler));
    Ok(outcome)
}

/// First what was asked for, which may turn out to be impossible.
fn in_turn(entries: &[Entry]) -> Vec<&Entry> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by_key(|entry| !entry.is_asked);
    entries
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Outcome<'a> {
    machine: Host,
    run: &'a Path,
    task: Task,
    split: &'static str,
    /// Steps of the checkpoint.
    step: u64,
    n: usize,
    d: usize,
    queries: usize,
    /// Queries at which gradients were compared.
    gradient_queries: usize,
    /// Draws of a query, of times, rows read and effective sample size.
    m: usize,
    seed: u64,
    /// Mean entropy of the softmax, in nats.
    entropy: f64,
    rows: Vec<Row>,
    /// Samplers that cannot be built over these classes.
    skipped: Vec<Skipped>,
}
