//! How fast a file of points is read:
//! `cargo run --release -p rf-data --example xc_speed -- train.txt.gz`.
//!
//! Prints MB/s (10^6 bytes), unpacked and as the file lies on disk: the median of five readings, on as many threads as
//! `RAYON_NUM_THREADS` says.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::bufread::MultiGzDecoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        return Err("which files?".into());
    }
    for path in paths {
        report(&path)?;
    }
    Ok(())
}

fn report(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let packed = std::fs::metadata(path)?.len();
    let (unpacked, features, labels) = measure(path)?;
    let mut seconds = Vec::new();
    let mut points = 0;
    for _ in 0..5 {
        let start = Instant::now();
        let read = rf_data::read_points(path, features, labels)?;
        seconds.push(start.elapsed().as_secs_f64());
        points = read.len();
    }
    seconds.sort_unstable_by(f64::total_cmp);
    let (median, threads) = (seconds[2], rayon::current_num_threads());
    let rate = |bytes: u64| bytes as f64 / median / 1e6;
    println!(
        "{}: {points} points, {:.0} MB unpacked, {threads} threads: {:.3} s, {:.0} MB/s unpacked, {:.0} MB/s packed",
        path.display(),
        unpacked as f64 / 1e6,
        median,
        rate(unpacked),
        rate(packed)
    );
    Ok(())
}

/// Bytes of the text, and the features and labels of its header. It is read once, so that it lies in memory later.
fn measure(path: &Path) -> Result<(u64, usize, usize), Box<dyn std::error::Error>> {
    let mut plain = BufReader::new(std::fs::File::open(path)?);
    let gzip = plain.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let text: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(plain)) } else { Box::new(plain) };
    let (mut text, mut header) = (BufReader::new(text), String::new());
    let first = text.read_line(&mut header)?;
    let numbers = header.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let rest = std::io::copy(&mut text, &mut std::io::sink())?;
    match numbers[..] {
        [_, features, labels] => Ok((first as u64 + rest, features, labels)),
        _ => Err("the header has not three numbers".into()),
    }
}
