//! `rfs sweep`: every run of a sweep in a folder of its own, and what they found.
//!
//! A run is a process of this program, `rfs train … --run DIR --resume`: it can crash, or need all memory, without taking
//! the others along, and what it leaves behind is what `rfs train` leaves. What is in the folders decides what is to be
//! done; the sweep itself keeps no state.

mod board;
mod job;
mod means;
mod outcome;
mod pool;
mod results;
mod table;

use std::num::NonZeroUsize;

use anyhow::bail;

use self::board::Board;
use self::outcome::Outcome;
use self::pool::Pool;
use self::results::Results;
use crate::args::SweepArgs;
use crate::device;
use crate::interrupt::raised_by_signals;
use crate::resume::line;
use crate::sweep::Sweep;

/// Trains the runs that are not done, and tells the results.
pub fn run(args: &SweepArgs) -> anyhow::Result<()> {
    device::choose(args.device)?;
    let sweep = Sweep::of_file(&args.sweep, &args.set, args.run.as_deref())?;
    let mut outcomes = sweep.runs.iter().map(Outcome::found).collect::<anyhow::Result<Vec<_>>>()?;
    let done = outcomes.iter().filter(|outcome| outcome.summary().is_some()).count();
    eprintln!("sweep {}: {} runs in {}, {done} of them done", sweep.name, sweep.runs.len(), sweep.folder.display());
    let raised = raised_by_signals()?;
    let mut board = Board::start(sweep.runs.len(), done);
    let pool = Pool::new(&sweep, &mut outcomes, (args.jobs.get(), threads(args)), args.device);
    // So that a sweep that is killed leaves the results so far. If they cannot be written, the end says so.
    pool.train(&raised, &mut board, |outcomes| drop(Results::new(&sweep, outcomes).save(&sweep.folder)));
    board.finish();
    let results = Results::new(&sweep, &outcomes);
    std::fs::create_dir_all(&sweep.folder)?;
    results.save(&sweep.folder)?;
    if args.json {
        println!("{}", serde_json::to_string(&results)?);
    } else {
        print!("{}", table::table(&results));
        println!("results.csv, means.csv and results.json are in {}", sweep.folder.display());
    }
    verdict(&sweep, &outcomes)
}

/// Threads that the runs of a time share.
fn threads(args: &SweepArgs) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    args.threads.map_or_else(cores, NonZeroUsize::get)
}

/// An error that names what failed, or tells how to go on after an interruption.
fn verdict(sweep: &Sweep, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let runs = sweep.runs.iter().zip(outcomes);
    let failed: Vec<_> = runs
        .filter_map(|(run, outcome)| match outcome {
            Outcome::Failed(reason) => Some(format!("\n  {}: {reason}", run.name)),
            _ => None,
        })
        .collect();
    let all = outcomes.len();
    let failures = match failed.len() {
        0 => String::new(),
        count => format!("{count} of {all} runs failed:{}", failed.concat()),
    };
    let done = outcomes.iter().filter(|outcome| outcome.summary().is_some()).count();
    if done + failed.len() < all {
        let joint = if failures.is_empty() { "" } else { "\n" };
        bail!("interrupted, {done} of {all} runs are done; to go on:\n  {}{joint}{failures}", line(std::env::args()));
    }
    if failures.is_empty() { Ok(()) } else { bail!(failures) }
}
