//! The machine: what it is, and how fast it reads memory.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::time::Instant;

use rand::RngExt;
use rayon::prelude::*;
use rf_sampling::{Purpose, stream};
use serde::Serialize;

use super::memory;

/// Size of the buffer that the rates are measured on, where the memory allows: far beyond any cache of one processor.
const BUFFER: u64 = 512 << 20;

/// Bytes that a random measurement reads.
const READ: usize = 128 << 20;

/// The fastest of so many passes is the rate of the machine; slower ones were disturbed.
const PASSES: usize = 3;

/// What the figures of a bench depend on.
#[derive(Debug, Serialize)]
pub struct Machine {
    cpu: String,
    cores: usize,
    /// Threads that compute.
    threads: usize,
    /// Widest vector instructions that the kernels here know.
    simd: &'static str,
    l2: Option<String>,
    l3: Option<String>,
    memory_bytes: Option<u64>,
    os: String,
    /// Whether ordinary memory comes in huge pages: `always`, `madvise` or `never`.
    huge_pages: Option<String>,
    /// Bytes of the buffer that the following rates were measured on.
    buffer_bytes: usize,
    /// GB/s of all threads, each reading its part of the buffer from end to end.
    pub sequential_read_gbps: f64,
    /// GB/s of all threads, reading blocks of so many bytes at random places.
    pub random_read_gbps: BTreeMap<usize, f64>,
}

impl Machine {
    /// Looks the machine up and measures its rates of reading, with a buffer of at most a quarter of `available` bytes.
    pub fn measure(block_bytes: &[usize], available: u64) -> Self {
        let words = (BUFFER.min(available / 4) / 8) as usize;
        let largest = block_bytes.iter().copied().max().unwrap_or(8);
        let buffer: Vec<u64> = (0..words.max(64 * largest / 8) as u64).into_par_iter().collect();
        let random = |&bytes: &usize| (bytes, gbps(|| random_read(&buffer, bytes / 8)));
        Self {
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            simd: simd(),
            l2: cache(2),
            l3: cache(3),
            memory_bytes: memory::meminfo("MemTotal:"),
            os: os(),
            huge_pages: huge_pages(),
            buffer_bytes: 8 * buffer.len(),
            sequential_read_gbps: gbps(|| sequential_read(&buffer)),
            random_read_gbps: block_bytes.iter().map(random).collect(),
        }
    }

    /// The machine in one line.
    pub fn summary(&self) -> String {
        let l3 = self.l3.as_ref().map_or(String::new(), |size| format!(", L3 {size}"));
        let memory = self.memory_bytes.map_or(String::new(), |bytes| format!(", {} GiB", bytes >> 30));
        let Self { cpu, cores, threads, simd, os, .. } = self;
        format!("{cpu}, {cores} cores, {threads} threads, {simd}{l3}{memory}, {os}")
    }

    /// The rates in one line.
    pub fn rates(&self) -> String {
        let random = self.random_read_gbps.iter().map(|(bytes, rate)| format!("{rate:.1} in blocks of {bytes} B"));
        let random = random.collect::<Vec<_>>().join(", ");
        format!("reads {:.1} GB/s in sequence; at random places {random}", self.sequential_read_gbps)
    }
}

/// The best rate of a few passes, each of which answers with the bytes it read and a number that depends on them.
fn gbps(pass: impl Fn() -> (usize, f64, u64)) -> f64 {
    let best = (0..PASSES).map(|_| {
        let (bytes, seconds, sum) = pass();
        black_box(sum);
        bytes as f64 / seconds / 1e9
    });
    (best.fold(0.0, f64::max) * 100.0).round() / 100.0
}

fn sequential_read(buffer: &[u64]) -> (usize, f64, u64) {
    let part = buffer.len().div_ceil(rayon::current_num_threads());
    let began = Instant::now();
    let sum = buffer.par_chunks(part).map(sum).reduce(|| 0, u64::wrapping_add);
    (8 * buffer.len(), began.elapsed().as_secs_f64(), sum)
}

fn random_read(buffer: &[u64], words: usize) -> (usize, f64, u64) {
    let (threads, blocks) = (rayon::current_num_threads(), buffer.len() / words);
    let each = (READ.min(8 * buffer.len()) / (8 * words) / threads).max(1);
    let places = |thread: usize| -> Vec<usize> {
        let mut rng = stream(0, Purpose::Data, words as u64, thread as u64);
        (0..each).map(|_| rng.random_range(0..blocks) * words).collect()
    };
    let places: Vec<Vec<usize>> = (0..threads).map(places).collect();
    let read = |places: &Vec<usize>| places.iter().map(|&at| sum(&buffer[at..at + words])).fold(0, u64::wrapping_add);
    let began = Instant::now();
    let sum = places.par_iter().map(read).reduce(|| 0, u64::wrapping_add);
    (8 * words * each * threads, began.elapsed().as_secs_f64(), sum)
}

fn sum(words: &[u64]) -> u64 {
    words.iter().copied().fold(0, u64::wrapping_add)
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or(std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// Size of the processor's cache of a level, as the system prints it.
fn cache(level: usize) -> Option<String> {
    let read = |index: usize, name: &str| {
        let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    };
    let index = (0..8).find(|&index| read(index, "level").is_some_and(|text| text == level.to_string()))?;
    read(index, "size")
}

fn os() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned()
}

fn huge_pages() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok()?;
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

#[cfg(target_arch = "x86_64")]
fn simd() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx512f") {
        "AVX-512"
    } else if std::arch::is_x86_feature_detected!("avx2") {
        "AVX2"
    } else {
        "SSE2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn simd() -> &'static str {
    if cfg!(target_arch = "aarch64") { "NEON" } else { "none" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_measured_for_every_block_size_on_no_more_memory_than_allowed() {
        let machine = Machine::measure(&[400, 8192], 64 << 20);
        assert_eq!(machine.buffer_bytes, 16 << 20);
        assert_eq!(machine.random_read_gbps.keys().copied().collect::<Vec<_>>(), [400, 8192]);
        let rates = machine.random_read_gbps.values().chain([&machine.sequential_read_gbps]);
        rates.for_each(|rate| assert!(rate.is_finite() && *rate > 0.0, "{rate}"));
        // Blocks that exceed the allowance still fit the buffer.
        assert!(Machine::measure(&[1 << 20], 0).buffer_bytes >= 1 << 20);
    }

    #[test]
    fn a_pass_reads_every_word() {
        let buffer: Vec<u64> = (1..=1000).collect();
        let (bytes, _, sum) = sequential_read(&buffer);
        assert_eq!((bytes, sum), (8000, 500_500));
        let (bytes, _, _) = random_read(&buffer, 10);
        assert!((7000..=8000).contains(&bytes), "{bytes}");
    }
}
