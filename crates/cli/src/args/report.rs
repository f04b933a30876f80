//! Arguments of `rfs report`.

use std::path::PathBuf;

/// Arguments of `rfs report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Folders of runs, or folders that hold such: all runs below them are taken.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Where to write the page.
    #[arg(long, value_name = "FILE.html")]
    pub out: PathBuf,
    /// Write the plots as well, each into a PNG file in this folder.
    #[arg(long, value_name = "DIR")]
    pub png: Option<PathBuf>,
    /// Title of the page.
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Show the sampler quality that `rfs diagnose --json` printed into a file, beside what is in the run folders; can be
    /// given many times.
    #[arg(long, value_name = "FILE.json")]
    pub diagnose: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::{Args, Command};

    #[test]
    fn the_flags_of_a_report_are_understood() {
        let text = "rfs report a b --out c.html --png d --title e --diagnose f.json --diagnose g.json";
        let Command::Report(args) = Args::parse_from(text.split(' ')).command else { panic!("not report") };
        assert_eq!((args.runs.len(), args.out, args.png), (2, "c.html".into(), Some("d".into())));
        assert_eq!((args.title.as_deref(), args.diagnose.len()), (Some("e"), 2));
        for text in ["rfs report --out c.html", "rfs report a"] {
            assert_eq!(Args::try_parse_from(text.split(' ')).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}
