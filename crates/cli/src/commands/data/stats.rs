//! `rfs data stats`.

use std::path::PathBuf;

use rf_data::{Census, LongestLine, Source, XcCensus};
use serde::Serialize;

use super::{of_data, points};
use crate::args::StatsArgs;
use crate::commands::told::{grouped, size};
use crate::exit::bad_input;
use crate::meter::Meter;

/// Counts a text, or a file of points with labels, and tells its size.
pub fn run(args: &StatsArgs) -> anyhow::Result<()> {
    if of_data(XcCensus::recognises(&args.text[0]))? {
        return points::run(args);
    }
    if let Some(cap @ 0..3) = args.vocabulary {
        return Err(bad_input(format!("--vocabulary {cap}: it must be at least 3: <eos>, <unk> and one word")));
    }
    let (files, census) = count(args.text.iter().cloned().collect())?;
    let classes = match &args.train {
        Some(train) => Some(count(train.clone().into())?.1.elect(args.vocabulary)),
        None => args.vocabulary.map(|cap| census.elect(Some(cap))),
    };
    let classes = classes.map(of_data).transpose()?;
    let outside = classes.as_ref().map(|classes| Outside::new(&census, classes.len(), census.outside(classes)));
    let stats = Stats::new(&files, &census, outside);
    println!("{}", if args.json { serde_json::to_string(&stats)? } else { stats.in_words() });
    Ok(())
}

fn count(source: Source) -> anyhow::Result<(Vec<PathBuf>, Census)> {
    let files = of_data(source.files())?;
    let meter = Meter::of_files("counting", &files);
    let census = Census::of(&files, &|path| meter.add_file(path));
    meter.finish();
    Ok((files, of_data(census)?))
}

/// Bytes on the disk, and unpacked where that differs.
pub(super) fn sizes(bytes: u64, unpacked: u64) -> String {
    let packed = if bytes == unpacked { String::new() } else { format!(", unpacked {}", size(unpacked)) };
    format!("{}{packed}", size(bytes))
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Stats {
    files: usize,
    /// On the disk.
    bytes: u64,
    /// Unpacked.
    text_bytes: u64,
    lines: u64,
    /// Without `<eos>`.
    words: u64,
    /// With one `<eos>` a line.
    tokens: u64,
    types: usize,
    longest_line: Option<Longest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outside: Option<Outside>,
}

#[derive(Debug, Serialize)]
struct Longest {
    words: usize,
    file: PathBuf,
    line: usize,
}

/// Tokens outside a vocabulary.
#[derive(Debug, Serialize)]
struct Outside {
    classes: usize,
    tokens: u64,
    share: f64,
}

impl Outside {
    fn new(census: &Census, classes: usize, tokens: u64) -> Self {
        Self { classes, tokens, share: tokens as f64 / census.tokens() as f64 }
    }
}

impl Stats {
    fn new(files: &[PathBuf], census: &Census, outside: Option<Outside>) -> Self {
        let longest_line = census.longest_line().map(|line| {
            let LongestLine { words, path, line } = line.clone();
            Longest { words, file: path, line }
        });
        Self {
            files: files.len(),
            bytes: files.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|about| about.len()).sum(),
            text_bytes: census.bytes(),
            lines: census.lines(),
            words: census.tokens() - census.lines(),
            tokens: census.tokens(),
            types: census.types(),
            longest_line,
            outside,
        }
    }

    fn in_words(&self) -> String {
        let files = format!("files     {}, {}", grouped(self.files as u64), sizes(self.bytes, self.text_bytes));
        let lines = format!("lines     {}", grouped(self.lines));
        let tokens = format!("tokens    {}, with one <eos> a line {}", grouped(self.words), grouped(self.tokens));
        let types = format!("types     {}", grouped(self.types as u64));
        let longest = self.longest_line.as_ref().map(|Longest { words, file, line }| {
            format!("longest   {} words: {}, line {line}", grouped(*words as u64), file.display())
        });
        let outside = self.outside.as_ref().map(|Outside { classes, tokens, share }| {
            let (classes, tokens, percent) = (grouped(*classes as u64), grouped(*tokens), 100.0 * share);
            format!("outside   {tokens} tokens ({percent:.2} %) are none of {classes} classes")
        });
        let rows = [Some(files), Some(lines), Some(tokens), Some(types), longest, outside];
        rows.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}
