//! Arguments of `rfs bench`.

use std::num::NonZeroUsize;

use clap::ValueEnum;
use rf_softmax::Sharing;
use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::DeviceChoice;

/// Arguments of `rfs bench`.
///
/// The defaults of `draws` are the grid of the poster of Rawat et al. 2019; those of `step` are one size of batch over
/// four sizes of the class table.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// What to time.
    #[arg(value_enum)]
    pub what: Bench,
    /// Numbers of classes n [default: 10000,500000 for draws; 10000,100000,1000000,10000000 for step].
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub classes: Option<Vec<NonZeroUsize>>,
    /// Embedding width d.
    #[arg(long, value_name = "N", default_value = "64")]
    pub dim: NonZeroUsize,
    /// Frequencies D of the samplers with random features [default: 1024 for samplers that are named; without --samplers
    /// 50,200,500,1000 for draws, 256 for step].
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub features: Option<Vec<NonZeroUsize>>,
    /// Draws m for each query, or M for the whole batch with --sharing batch [default: 10 for draws, 100 for step].
    #[arg(long, value_name = "N")]
    pub draws: Option<NonZeroUsize>,
    /// Whose the draws are, as in `[loss] sharing`: those of each query, or, for step alone, of all queries of a batch.
    #[arg(long, value_name = "query|batch", value_parser = parse_sharing, default_value = "query")]
    pub sharing: Sharing,
    /// Queries B in a batch [default: 10 for draws, 128 for step].
    #[arg(long, value_name = "N")]
    pub batch: Option<NonZeroUsize>,
    /// What to compare, by name or by name and settings, as in `rff,rff-gauss:nu=2,prior=0.75,uniform`.
    #[arg(long, value_name = "A,B")]
    pub samplers: Option<String>,
    /// Classes in a leaf of the samplers that have leaves [default: each sampler's own].
    #[arg(long, value_name = "N")]
    pub leaf_size: Option<NonZeroUsize>,
    /// Repetitions of each row [default: 101 for draws and 21 for step, fewer once a row has taken 10 seconds].
    #[arg(long, value_name = "N")]
    pub repeat: Option<NonZeroUsize>,
    /// Largest memory of a row in GiB; rows that would need more are left out [default: what is available].
    #[arg(long, value_name = "GIB")]
    pub memory_gib: Option<f64>,
    /// Seed of rows, queries and draws.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads to compute with [default: one for each core].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Where to compute; a graphics card for step alone.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Print one JSON object on the standard output and nothing else there.
    #[arg(long)]
    pub json: bool,
}

/// What `rfs bench` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    /// The draws of a batch, and the value of the loss on top.
    Draws,
    /// A whole training step of the head: draw, loss, backward pass, row step, refresh.
    Step,
}

impl Bench {
    /// Name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draws => "draws",
            Self::Step => "step",
        }
    }
}

/// Names are those of configurations.
fn parse_sharing(name: &str) -> Result<Sharing, serde::de::value::Error> {
    Sharing::deserialize(name.into_deserializer())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    #[test]
    fn the_flags_of_a_bench_are_understood() {
        let text = "rfs bench draws --classes 10,20 --features 4,8 --samplers rff,exp --memory-gib 2.5 --json";
        let Command::Bench(args) = Args::parse_from(text.split(' ')).command else { panic!("not bench") };
        let lengths = [args.classes, args.features].map(|list| list.map(|list| list.len()));
        assert_eq!((args.what, lengths, args.memory_gib), (Bench::Draws, [Some(2); 2], Some(2.5)));
    }

    #[test]
    fn every_query_draws_for_itself_unless_told_otherwise() {
        for (text, wanted) in [
            ("rfs bench step", Sharing::Query),
            ("rfs bench step --sharing query", Sharing::Query),
            ("rfs bench step --sharing batch", Sharing::Batch),
        ] {
            let Command::Bench(args) = Args::parse_from(text.split(' ')).command else { panic!("not bench") };
            assert_eq!(args.sharing, wanted, "{text}");
        }
        let message = Args::try_parse_from("rfs bench step --sharing all".split(' ')).unwrap_err().to_string();
        assert!(message.contains("--sharing") && message.contains("`query` or `batch`"), "{message}");
    }

    #[test]
    fn bad_flags_of_a_bench_exit_with_2() {
        for text in [
            "rfs bench",
            "rfs bench all",
            "rfs bench draws --classes 0",
            "rfs bench step --dim x",
            "rfs bench step --sharing all",
        ] {
            assert_eq!(Args::try_parse_from(text.split(' ')).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
