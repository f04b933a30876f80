//! Arguments of `rfs sweep`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::DeviceChoice;
use crate::document::Override;

/// Arguments of `rfs sweep`.
#[derive(Debug, clap::Args)]
pub struct SweepArgs {
    /// The sweep file.
    pub sweep: PathBuf,
    /// Change a setting of all runs, as in `rfs train`; it stands above those of the sweep file.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Override>,
    /// Runs at a time.
    #[arg(long, value_name = "N", default_value = "1")]
    pub jobs: NonZeroUsize,
    /// Where to keep the runs and the results [default: runs/NAME for NAME.toml].
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Threads that the runs of a time share [default: one for each core].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Print the results as one JSON object on the standard output and nothing else there.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    #[test]
    fn the_flags_of_a_sweep_are_understood() {
        let text = "rfs sweep s.toml --set train.steps=3 --jobs 2 --run r --device cpu --threads 4 --json";
        let Command::Sweep(args) = Args::parse_from(text.split(' ')).command else { panic!("not sweep") };
        assert_eq!((args.jobs.get(), args.threads, args.json), (2, NonZeroUsize::new(4), true));
        assert_eq!((args.set.len(), args.run, args.sweep), (1, Some("r".into()), "s.toml".into()));
        for text in ["rfs sweep", "rfs sweep s --jobs 0", "rfs sweep s --threads 0", "rfs sweep s --set seed"] {
            assert_eq!(Args::try_parse_from(text.split(' ')).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
