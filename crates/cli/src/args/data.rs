//! What can be typed after `rfs data`.

use std::path::PathBuf;

use clap::Subcommand;

/// The commands of `rfs data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the data sets that can be fetched, and which are there.
    List(ListArgs),
    /// Fetch a data set into the data folder: RFS_DATA if that is set, else `datasets`.
    Fetch(FetchArgs),
    /// Measure data, plain or gzip: lines, tokens and words of a text (files or folders), or points, labels and features
    /// of a file of the Extreme Classification Repository.
    Stats(StatsArgs),
}

/// Arguments of `rfs data list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// A list of data sets instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// Arguments of `rfs data fetch`.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    /// The data set, as `rfs data list` names it.
    pub name: String,
    /// Try this address first: of the file or, ending in `/`, of the folder that holds the files.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A list of data sets instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// Arguments of `rfs data stats`.
#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// The text: files, or folders whose files are read in the order of their names; or one file of points.
    #[arg(required = true, value_name = "FILE")]
    pub text: Vec<PathBuf>,
    /// Count the tokens outside a vocabulary of so many classes, `<eos>` and `<unk>` included.
    #[arg(long, value_name = "CLASSES")]
    pub vocabulary: Option<usize>,
    /// Take the vocabulary from this text instead of the one that is counted.
    #[arg(long, value_name = "FILE")]
    pub train: Option<PathBuf>,
    /// Print one JSON object on the standard output and nothing else there.
    #[arg(long)]
    pub json: bool,
}
