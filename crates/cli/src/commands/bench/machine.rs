//! The machine: what it is, and how fast it reads memory.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use rand::RngExt;
use rayon::prelude::*;
use rf_sampling::{Purpose, stream};
use serde::Serialize;

use crate::commands::host::Host;

/// Size of the buffer that the rates are measured on, where the memory allows: far beyond any cache of one processor.
const BUFFER: u64 = 512 << 20;

/// Bytes that a random measurement reads.
const READ: usize = 128 << 20;

/// The fastest of so many passes is the rate of the machine; slower ones were disturbed.
const PASSES: usize = 3;

/// What the figures of a bench depend on.
#[derive(Debug, Serialize)]
pub struct Machine {
    #[serde(flatten)]
    host: Host,
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
            host: Host::here(),
            buffer_bytes: 8 * buffer.len(),
            sequential_read_gbps: gbps(|| sequential_read(&buffer)),
            random_read_gbps: block_bytes.iter().map(random).collect(),
        }
    }

    /// The machine in one line.
    pub fn summary(&self) -> String {
        self.host.summary()
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
