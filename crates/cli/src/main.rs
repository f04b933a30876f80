//! `rfs`: train, evaluate, use and compare models with large softmaxes, and fetch data for them.
//!
//! The road of every command: what was typed ([`args`], [`experiment`]) becomes what will be done ([`plan`]), and
//! then one function of [`commands`] does it, for whichever [`task`] it is. Exit codes: 0 done, 2 bad usage or bad
//! input, 1 anything else.

mod args;
mod commands;
mod device;
mod document;
mod exit;
mod experiment;
mod interrupt;
mod meter;
mod plan;
mod resume;
mod runs;
mod sweep;
mod task;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command, DataCommand, DeviceChoice};

/// A step takes and frees tensors of megabytes. The system's allocator gives such pages back each time and faults them in
/// anew, a quarter of a step's time; this one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit::code(&error)
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Train(args) => device::on_threads(args.threads, || {
            let device = device::choose(args.device)?;
            let plan = plan::AnyPlan::of_file(&args.config, &args.set)?;
            let folder = runs::open_for_training(args, &plan)?;
            commands::train::run(&plan, &folder, &device, args.resume)
        }),
        Command::Eval(args) => device::on_threads(args.threads, || {
            let device = device::choose(args.device)?;
            let (plan, folder) = runs::open_for_reading(&args.run)?;
            commands::eval::run(&plan, &folder, &device, args)
        }),
        Command::Predict(args) => device::on_threads(args.threads, || {
            let device = device::choose(args.device)?;
            let (plan, folder) = runs::open_for_reading(&args.run)?;
            commands::predict::run(&plan, &folder, &device, args)
        }),
        Command::Export(args) => {
            let device = device::choose(DeviceChoice::default())?;
            let (plan, folder) = runs::open_for_reading(&args.run)?;
            commands::export::run(&plan, &folder, &device, args)
        }
        Command::Sweep(args) => commands::sweep::run(args),
        Command::Diagnose(args) => device::on_threads(args.threads, || {
            let device = device::choose(DeviceChoice::default())?;
            let (plan, folder) = runs::open_for_reading(&args.run)?;
            commands::diagnose::run(&plan, &folder, &device, args)
        }),
        Command::Report(args) => commands::report::run(args),
        Command::Bench(args) => device::on_threads(args.threads, || {
            let device = device::choose(args.device)?;
            commands::bench::run(args, &device)
        }),
        Command::Data(DataCommand::List(args)) => commands::data::list::run(args),
        Command::Data(DataCommand::Fetch(args)) => commands::data::fetch::run(args),
        Command::Data(DataCommand::Stats(args)) => commands::data::stats::run(args),
    }
}
