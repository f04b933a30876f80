//! `rfs bench`: what draws and training steps cost on random classes, beside the rates of the machine.
//!
//! A grid of cases is resolved before anything is built ([`grid`]); one file measures a kind of case ([`draws`],
//! [`step`], [`dense`]), another says what it had to move and to compute ([`cost`]), and only [`table`] prints.

mod cost;
mod dense;
mod draws;
mod entrant;
mod exact;
mod grid;
mod inputs;
mod machine;
mod measure;
mod memory;
mod row;
mod step;
mod table;

use burn::tensor::Device;
use serde::Serialize;

use crate::args::{Bench, BenchArgs, DeviceChoice};
use crate::exit::bad_input;
use entrant::Entrant;
use grid::{Case, Grid};
use machine::Machine;
use memory::Budget;
use row::{Row, Skipped};

/// Measures every case of the grid that fits the memory, and prints the outcome.
pub fn run(args: &BenchArgs, device: &Device) -> anyhow::Result<()> {
    let grid = Grid::new(args)?;
    check_device(args, &grid)?;
    let budget = Budget::new(args.memory_gib)?;
    let (mut rows, mut left_out) = (Vec::new(), Vec::new());
    for case in &grid.cases {
        eprintln!("{case} …");
        let (needed, available) = (case.needed_bytes(), budget.available());
        if needed > available {
            let skipped = Skipped::new(case, needed, available);
            eprintln!("{skipped}");
            left_out.push(skipped);
        } else {
            let row = measure(case, device)?;
            eprintln!("    {row}");
            rows.push(row);
        }
    }
    // Last, for the allocator keeps the large buffer, which would count in the peak of every row.
    eprintln!("rates of this machine …");
    let machine = Machine::measure(&grid.block_bytes(), budget.available());
    let outcome = Outcome { machine, rows, skipped: left_out };
    match args.json {
        true => println!("{}", serde_json::to_string(&outcome)?),
        false => print!("{}", table::text(&outcome, args.what)),
    }
    Ok(())
}

/// Only the steps of a head run on a graphics card.
fn check_device(args: &BenchArgs, grid: &Grid) -> anyhow::Result<()> {
    if args.device == DeviceChoice::Cpu {
        return Ok(());
    }
    let on_host = |case: &&Case| !matches!((case.bench, &case.entrant), (Bench::Step, Entrant::Sampler(_)));
    match grid.cases.iter().find(on_host) {
        Some(case) => Err(bad_input(format!("{} {} is timed with --device cpu alone", args.what.name(), case.name))),
        None => Ok(()),
    }
}

fn measure(case: &Case, device: &Device) -> anyhow::Result<Row> {
    memory::reset_peak();
    match (case.bench, &case.entrant) {
        (Bench::Draws, _) => draws::measure(case),
        (Bench::Step, Entrant::DenseAdam) => dense::measure(case),
        (Bench::Step, _) => step::measure(case, device),
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Outcome {
    machine: Machine,
    rows: Vec<Row>,
    /// Cases that would not have fitted the memory.
    skipped: Vec<Skipped>,
}
