//! The machine that a measurement was made on.

use std::fs;

use serde::Serialize;

/// What times depend on.
#[derive(Debug, Serialize)]
pub struct Host {
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
}

impl Host {
    /// This one, with the threads of the present pool.
    pub fn here() -> Self {
        Self {
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            simd: simd(),
            l2: cache(2),
            l3: cache(3),
            memory_bytes: meminfo("MemTotal:"),
            os: os(),
            huge_pages: huge_pages(),
        }
    }

    /// The machine in one line.
    pub fn summary(&self) -> String {
        let l3 = self.l3.as_ref().map_or(String::new(), |size| format!(", L3 {size}"));
        let memory = self.memory_bytes.map_or(String::new(), |bytes| format!(", {} GiB", bytes >> 30));
        let Self { cpu, cores, threads, simd, os, .. } = self;
        format!("{cpu}, {cores} cores, {threads} threads, {simd}{l3}{memory}, {os}")
    }
}

/// A line of `/proc/meminfo`, in bytes.
pub fn meminfo(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes: u64 =
        text.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
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
