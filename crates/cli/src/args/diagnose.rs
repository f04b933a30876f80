//! Arguments of `rfs diagnose`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;

use super::{CheckpointChoice, Split};
use crate::document::Override;

/// Arguments of `rfs diagnose`.
#[derive(Debug, clap::Args)]
pub struct DiagnoseArgs {
    /// The folder of the run.
    pub run: PathBuf,
    /// Held-out queries to measure on, evenly spread; all there are where these are fewer.
    #[arg(long, value_name = "N", default_value = "256")]
    pub queries: NonZeroUsize,
    /// Draws m for each query, of the times, the rows read and the effective sample size.
    #[arg(long, value_name = "M", default_value = "100")]
    pub draws: NonZeroUsize,
    /// Rows to measure, by name [default: all].
    #[arg(long, value_name = "A,B")]
    pub samplers: Option<String>,
    /// Frequencies D of the rows `rff`, `rff-gauss` and `rff-exact`.
    #[arg(long, value_name = "D", default_value = "1024")]
    pub features: NonZeroUsize,
    /// Measure one more sampler, as a setting of the run, for example
    /// `--set "loss.sampler={kind='rff', nu=2.0}"`; can be given many times, one row each.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Override>,
    /// Measure rff at several values of a setting as well: nu = 1, 2, 4, 8, or D = 128, 1024, 4096.
    #[arg(long, value_enum)]
    pub sweep: Vec<Sweep>,
    /// Which part of the data the queries are of.
    #[arg(long, value_enum, default_value_t)]
    pub split: Split,
    /// Which checkpoint to measure on [default: the best by validation where it is kept, else the latest].
    #[arg(long, value_enum)]
    pub checkpoint: Option<CheckpointChoice>,
    /// Seed of draws and random features.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads to compute with [default: one for each core].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Print one JSON object on the standard output and nothing else there.
    #[arg(long)]
    pub json: bool,
    /// Draw KL against the time of a query.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

/// A setting of RF-softmax that takes several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sweep {
    /// The sharpness of the kernel.
    Nu,
    /// The number of frequencies.
    Features,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    #[test]
    fn the_flags_of_a_diagnosis_are_understood() {
        let text = "rfs diagnose r --queries 8 --draws 5 --samplers rff,exp --features 16 --split valid --seed 3 \
                    --set loss.sampler={kind='exp'} --set loss.sampler.nu=2 --sweep nu --sweep features \
                    --checkpoint latest --threads 2 --json --plot a.svg";
        let Command::Diagnose(args) = Args::parse_from(text.split_whitespace()).command else { panic!("not diagnose") };
        assert_eq!((args.queries.get(), args.draws.get(), args.features.get(), args.seed), (8, 5, 16, 3));
        assert_eq!((args.set.len(), args.sweep, args.split), (2, vec![Sweep::Nu, Sweep::Features], Split::Valid));
        assert_eq!((args.checkpoint, args.plot), (Some(CheckpointChoice::Latest), Some("a.svg".into())));
    }

    #[test]
    fn bad_flags_of_a_diagnosis_exit_with_2() {
        for text in [
            "diagnose",
            "diagnose r --queries 0",
            "diagnose r --draws 0",
            "diagnose r --features 0",
            "diagnose r --split train",
            "diagnose r --set nu",
            "diagnose r --sweep tau",
        ] {
            let typed = ["rfs"].into_iter().chain(text.split(' '));
            assert_eq!(Args::try_parse_from(typed).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
