//! What can be typed.

mod bench;
mod data;
mod diagnose;
mod report;
mod sweep;

pub use bench::{Bench, BenchArgs};
pub use data::{DataCommand, FetchArgs, ListArgs, StatsArgs};
pub use diagnose::{DiagnoseArgs, Sweep};
pub use report::ReportArgs;
pub use sweep::SweepArgs;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::document::Override;

/// Train and evaluate models with large softmaxes.
#[derive(Debug, Parser)]
#[command(name = "rfs", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a model as an experiment file says.
    Train(TrainArgs),
    /// Evaluate a checkpoint of a run over all classes.
    Eval(EvalArgs),
    /// Rank the labels of new points by a trained model.
    Predict(PredictArgs),
    /// Train every run of a sweep, and compare them: settings by means and standard errors over seeds.
    Sweep(SweepArgs),
    /// Write a trained model to a safetensors file that other programs read.
    Export(ExportArgs),
    /// Measure every sampler on a trained model: distance from the softmax, errors of the gradient, time and memory.
    Diagnose(DiagnoseArgs),
    /// Show runs side by side on one page: curves, figures, settings, sampler quality, costs.
    Report(ReportArgs),
    /// Time the draws of samplers or whole training steps on random classes, beside the rates of this machine.
    Bench(BenchArgs),
    /// List, fetch and measure data sets.
    #[command(subcommand)]
    Data(DataCommand),
}

/// Arguments of `rfs train`.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    /// The experiment file.
    pub config: PathBuf,
    /// Change a setting of the file, for example `--set train.epochs=2`, or take it away, `--set optimizer.clip_norm=none`;
    /// can be given many times, the last one wins.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Override>,
    /// Where to keep the run [default: runs/NAME for NAME.toml].
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Go on with the run in the folder from its checkpoint; a folder without a run begins one. Learning rate, schedule,
    /// clipping, intervals and patience may be others than before, and the length greater.
    #[arg(long)]
    pub resume: bool,
    /// Which checkpoint a resumed run goes on from [default: latest].
    #[arg(long, value_enum, requires = "resume")]
    pub checkpoint: Option<CheckpointChoice>,
    /// Threads to compute with [default: one for each core].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Write event files for TensorBoard into the folder `tensorboard` of the run; a run that has them goes on with them.
    #[arg(long)]
    pub tensorboard: bool,
}

/// Arguments of `rfs eval`.
#[derive(Debug, clap::Args)]
pub struct EvalArgs {
    /// The folder of the run.
    pub run: PathBuf,
    /// Which part of the data to evaluate on.
    #[arg(long, value_enum, default_value_t)]
    pub split: Split,
    /// Which checkpoint to evaluate [default: the best by validation where it is kept, else the latest].
    #[arg(long, value_enum)]
    pub checkpoint: Option<CheckpointChoice>,
    /// Print one JSON object on the standard output and nothing else there.
    #[arg(long)]
    pub json: bool,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Threads to compute with [default: one for each core].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// Arguments of `rfs predict`.
#[derive(Debug, clap::Args)]
pub struct PredictArgs {
    /// The folder of the run, of `task = "xmc"`.
    pub run: PathBuf,
    /// The points, in the format of the Extreme Classification Repository; their labels, if they have any, are ignored.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Labels to name for each point; all labels where there are fewer.
    #[arg(long, value_name = "N", default_value = "5")]
    pub k: NonZeroUsize,
    /// Where to write the predictions [default: the standard output].
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write names: each line of the output is then point, rank, score and name, with tabs between them. Line i of the
    /// file, from 0, is the name of label i; without a file the names are those of `data.label_names`.
    #[arg(long, value_name = "FILE")]
    pub names: Option<Option<PathBuf>>,
    /// Which checkpoint to predict with [default: the best by validation where it is kept, else the latest].
    #[arg(long, value_enum)]
    pub checkpoint: Option<CheckpointChoice>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Threads to compute with [default: one for each core].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

/// Arguments of `rfs export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The folder of the run, of `task = "xmc"`.
    pub run: PathBuf,
    /// The file to write.
    #[arg(long, value_name = "FILE.safetensors")]
    pub output: PathBuf,
    /// Which checkpoint to export [default: the best by validation where it is kept, else the latest].
    #[arg(long, value_enum)]
    pub checkpoint: Option<CheckpointChoice>,
}

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckpointChoice {
    /// The one with the best validation.
    Best,
    /// The one that a resumed run goes on from.
    Latest,
}

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// The processor.
    #[default]
    Cpu,
    /// The processor, by burn's older backend.
    Ndarray,
    /// A graphics card, by Vulkan, Metal or DirectX.
    Wgpu,
    /// A graphics card of NVIDIA.
    Cuda,
}

/// A part of the data that a model is evaluated on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// The validation data.
    Valid,
    /// The test data.
    #[default]
    Test,
}

impl Split {
    /// Name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }

    /// The same part, as the crate of the data calls it.
    pub fn of_data(self) -> rf_data::Split {
        match self {
            Self::Valid => rf_data::Split::Valid,
            Self::Test => rf_data::Split::Test,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_description_of_the_arguments_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_whole_command_line_is_understood() {
        let text = "rfs train a.toml --set seed=3 --set loss.kind=full --run r --device cuda --resume --threads 2 --checkpoint best";
        let Command::Train(args) = Args::parse_from(text.split(' ')).command else { panic!("not train") };
        assert_eq!((args.set.len(), args.device, args.resume), (2, DeviceChoice::Cuda, true));
        assert_eq!(args.checkpoint, Some(CheckpointChoice::Best));
        let text = "rfs eval r --split valid --json --device ndarray --checkpoint latest --threads 3";
        let Command::Eval(args) = Args::parse_from(text.split(' ')).command else { panic!("not eval") };
        assert_eq!((args.split, args.json, args.device), (Split::Valid, true, DeviceChoice::Ndarray));
        assert_eq!((args.checkpoint, args.threads), (Some(CheckpointChoice::Latest), NonZeroUsize::new(3)));
        let text = "rfs predict r --input a --k 3 --output b --names c --checkpoint latest --device cpu --threads 1";
        let Command::Predict(args) = Args::parse_from(text.split(' ')).command else { panic!("not predict") };
        assert_eq!((args.k.get(), args.output, args.names), (3, Some("b".into()), Some(Some("c".into()))));
        let text = "rfs export r --output a.safetensors --checkpoint best";
        let Command::Export(args) = Args::parse_from(text.split(' ')).command else { panic!("not export") };
        assert_eq!((args.output, args.checkpoint), ("a.safetensors".into(), Some(CheckpointChoice::Best)));
        let text = "rfs data stats a b --vocabulary 9 --train c --json";
        let Command::Data(DataCommand::Stats(args)) = Args::parse_from(text.split(' ')).command else {
            panic!("not stats")
        };
        assert_eq!((args.text.len(), args.vocabulary, args.json), (2, Some(9), true));
    }

    #[test]
    fn bad_usage_exits_with_2() {
        for text in [
            "rfs",
            "rfs train",
            "rfs train a --set seed",
            "rfs train a --threads 0",
            "rfs eval r --split all",
            "rfs predict r",
            "rfs predict r --input a --k 0",
            "rfs export r",
            "rfs data fetch",
            "rfs data stats",
        ] {
            assert_eq!(Args::try_parse_from(text.split(' ')).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
