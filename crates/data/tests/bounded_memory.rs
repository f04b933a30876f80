//! A stream over shards takes no more memory for more text. The only test of its process: the peak is the process's own.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rf_data::{DataConfig, Source, TextConfig};

/// Peak resident bytes of this process; `None` where the system does not tell.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// A shard of `bytes` bytes, of sentences over 5,000 words.
fn shard(path: &Path, bytes: usize) {
    let mut out = BufWriter::new(std::fs::File::create(path).unwrap());
    let (mut written, mut state) = (0, 12_345_u64);
    while written < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (state >> 33) % 5_000;
        let text = if word < 200 { "\n".to_owned() } else { format!("word{word} ") };
        out.write_all(text.as_bytes()).unwrap();
        written += text.len();
    }
}

#[test]
fn a_folder_of_64_mib_is_counted_and_read_twice_in_less_than_16_mib() {
    let Some(before) = peak() else {
        eprintln!("skipped: the system does not tell the peak memory of a process");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let shards = place.path().join("shards");
    std::fs::create_dir(&shards).unwrap();
    (0..16).for_each(|index| shard(&shards.join(format!("news-{index:02}")), 4 << 20));
    let held_out: PathBuf = place.path().join("held-out");
    shard(&held_out, 10_000);
    let source = |path: &Path| Source::from(path);
    let (train, valid, test) = (source(&shards), source(&held_out), source(&held_out));
    let config = TextConfig { train, valid, test, vocabulary: Some(4_000), stream: None };
    let corpus = DataConfig::Text(config).load(place.path(), 1).unwrap();
    let mut windows = corpus.windows(128, 35).unwrap();
    let mut scored = 0;
    for _ in 0..2 * windows.per_epoch() {
        scored += windows.next_window().unwrap().scored as u64;
    }
    assert!(scored > 2 * corpus.train.tokens() - 2 * 128 * 35, "{scored} tokens");
    let taken = peak().unwrap() - before;
    assert!(taken < 16 << 20, "{taken} bytes");
}
