//! Time of a training step of the head, by the number of classes: it should hardly grow.
//!
//! B = 128 random queries, m = 100, d = 64, RF-softmax with D = 256 and the leaf law `gauss`, leaves of 64, lazy Adam.
//!
//! `cargo run --release -p rf-softmax --example step_time -- 10000 100000 1000000 10000000`

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use rf_softmax::{Error, LeafLaw, RffConfig, SampledSoftmaxLossConfig, SamplerConfig};

const QUERIES: usize = 128;
const WIDTH: usize = 64;
const STEPS: usize = 21;

fn main() -> Result<(), Error> {
    println!(
        "| n | build, s | step, ms: median (min–max) | distinct rows | table, state and tree | peak memory so far |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    for n in std::env::args().skip(1).filter_map(|text| text.parse().ok()) {
        measure(n)?;
    }
    Ok(())
}

fn measure(n: usize) -> Result<(), Error> {
    let device = Device::flex().autodiff();
    device.seed(1);
    let sampler = RffConfig { features: 256, leaf_law: LeafLaw::Gauss, ..Default::default() };
    let began = Instant::now();
    let config = SampledSoftmaxLossConfig::new(n, WIDTH).with_sampler(SamplerConfig::Rff(sampler));
    let mut head = config.with_draws(100).init(&device)?;
    let build = began.elapsed().as_secs_f64();
    let (mut milliseconds, mut distinct) = (Vec::new(), 0);
    for step in 0..STEPS {
        let h = Tensor::<2>::random([QUERIES, WIDTH], Distribution::Normal(0.0, 1.0), &device).require_grad();
        let targets: Vec<u32> = (0..QUERIES).map(|b| ((b + 131 * step) * 7_919 % n) as u32).collect();
        let began = Instant::now();
        let output = head.forward_ids(h, &targets)?;
        let mut grads = output.loss.backward();
        let rows = head.gradient(&output, &mut grads);
        head.step(0.01, &rows)?;
        milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
        distinct = output.classes.len();
    }
    milliseconds.sort_unstable_by(f64::total_cmp);
    let (min, median, max) = (milliseconds[0], milliseconds[STEPS / 2], milliseconds[STEPS - 1]);
    let gib = |bytes: usize| bytes as f64 / (1u64 << 30) as f64;
    println!(
        "| {n} | {build:.1} | {median:.1} ({min:.1}–{max:.1}) | {distinct} | {:.2} GiB | {} |",
        gib(head.bytes()),
        peak_memory().map_or("unknown".into(), |bytes| format!("{:.2} GiB", gib(bytes)))
    );
    Ok(())
}

/// Peak memory of the process, on Linux.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()? * 1024)
}
