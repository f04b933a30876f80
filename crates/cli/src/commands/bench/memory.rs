//! Memory: what there is, what a case needs, what it took.

use std::fs;

use rf_sampling::{LeafLaw, RffConfig, SamplerConfig};
use rf_softmax::Sharing;

use super::entrant::Entrant;
use super::grid::Case;
use crate::args::Bench;
use crate::commands::host::meminfo;
use crate::exit::bad_input;

const GIB: f64 = (1u64 << 30) as f64;

/// Room for what no table accounts for: the program, a batch, the allocator.
const BASE: u64 = 64 << 20;

/// The memory that a row may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: Option<u64>,
}

impl Budget {
    /// The limit of `--memory-gib`, or none but the machine's.
    pub fn new(gib: Option<f64>) -> anyhow::Result<Self> {
        match gib {
            Some(gib) if !(gib >= 0.0 && gib.is_finite()) => {
                Err(bad_input(format!("--memory-gib {gib}: it must be at least 0 and finite")))
            }
            gib => Ok(Self { limit: gib.map(|gib| (gib * GIB) as u64) }),
        }
    }

    /// Bytes that may be taken now.
    pub fn available(self) -> u64 {
        self.limit.unwrap_or(u64::MAX).min(available().unwrap_or(u64::MAX))
    }
}

/// Bytes that the system, and the container if there is one, can still give. Unknown where there is no `/proc`.
fn available() -> Option<u64> {
    let system = meminfo("MemAvailable:")?;
    let number = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok();
    let container = number("memory.max").zip(number("memory.current")).map(|(max, used)| max.saturating_sub(used));
    Some(system.min(container.unwrap_or(u64::MAX)))
}

/// Forgets the peak of memory so far, where the system can, so that each row has its own.
pub fn reset_peak() {
    // Older kernels and other systems cannot; then a row's peak is that of all rows up to it.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// An upper estimate of what measuring a case takes.
pub fn needed_bytes(case: &Case) -> u64 {
    let (n, d) = (case.classes as u64, case.dim as u64);
    let table = 4 * n * d;
    let state = if case.bench == Bench::Step { 2 * table } else { 0 };
    let rest = match &case.entrant {
        // Two gradients and two temporaries of the optimizer beside table and moments.
        Entrant::DenseAdam => 4 * table,
        Entrant::Sampler(SamplerConfig::Rff(config)) => rff_bytes(config, n),
        // Sums, centroids and variances of the leaves, and a few numbers a class.
        Entrant::Sampler(SamplerConfig::Cluster(config)) => {
            let leaves = n.div_ceil(config.resolved(case.classes, true).leaf_size.unwrap_or(1) as u64);
            17 * leaves * (d + 1) + 48 * n
        }
        // Index and codebooks, and the codes that a quantisation sorts.
        Entrant::Sampler(SamplerConfig::Midx(config)) => {
            let k = config.codewords as u64;
            8 * k * d + 32 * n + 16 * n.min(k * k) + 4 * d * n.min(256 * k)
        }
        // Logits and masses of a block of queries on each thread.
        Entrant::Sampler(SamplerConfig::Exp {}) => 12 * n * case.batch as u64,
        Entrant::ExpBlocks | Entrant::ExpGumbel => 4 * n,
        Entrant::Sampler(SamplerConfig::Quadratic(config)) => {
            let width = case.width().unwrap_or(0) as u64;
            tree_bytes(n, config.leaf_size.unwrap_or(case.dim) as u64, width, 4)
        }
        // Two tables of a unigram, and the counts that they are made of.
        Entrant::Sampler(SamplerConfig::Uniform {} | SamplerConfig::LogUniform {} | SamplerConfig::Unigram(_)) => {
            48 * n
        }
    };
    let total = table + state + batch_bytes(case) + rest + 8 * n;
    BASE + total + total / 20
}

/// What grows with the batch: the rows of targets and draws with all that is made of them.
fn batch_bytes(case: &Case) -> u64 {
    let [b, m, d] = [case.batch, case.draws, case.dim].map(|size| size as u64);
    match case.sharing {
        Sharing::Query => 64 * b * (m + 1) * d,
        // The logits of all draws for all queries and their gradients, and what each query gives to the root's children.
        Sharing::Batch => 64 * (b + m) * d + 8 * b * m + 4 * b * case.root_children().unwrap_or(0) as u64,
    }
}

/// Sums of the leaves and of a third as many nodes above them, and a few numbers a class.
fn tree_bytes(n: u64, leaf_size: u64, width: u64, number: u64) -> u64 {
    let nodes = 4 * n.div_ceil(leaf_size) / 3 + 16;
    nodes * (number * width + 4) + 24 * n
}

fn rff_bytes(config: &RffConfig, n: u64) -> u64 {
    let width = (2 * config.features as u64).next_multiple_of(32);
    let phi = if config.leaf_law == LeafLaw::Features { 2 * n * width } else { 0 };
    let number = if config.leaf_law == LeafLaw::Features { 2 } else { 4 };
    phi + tree_bytes(n, config.leaf_size() as u64, width, number)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::grid::Grid;
    use super::*;
    use crate::args::{Args, Command};

    fn needed(line: &str) -> Vec<u64> {
        let Command::Bench(args) = Args::parse_from(line.split(' ')).command else { panic!("not bench") };
        Grid::new(&args).unwrap().cases.iter().map(Case::needed_bytes).collect()
    }

    #[test]
    fn the_estimate_covers_every_table() {
        let [gauss] = needed("rfs bench step --classes 10000000 --samplers rff-gauss --features 256")[..] else {
            panic!()
        };
        // Rows and moments 7.7 GB, sums of 104,000 nodes 0.22 GB, 24 bytes a class for the rest.
        assert!((8.3e9..9.5e9).contains(&(gauss as f64)), "{gauss}");
        let [features] = needed("rfs bench draws --classes 500000 --samplers rff --features 1000")[..] else {
            panic!()
        };
        // Rows 0.13 GB, phi of every class 2.0 GB, sums of 83,000 nodes 0.33 GB.
        assert!((2.5e9..2.9e9).contains(&(features as f64)), "{features}");
        let [quadratic] = needed("rfs bench draws --classes 500000 --samplers quadratic")[..] else { panic!() };
        // Rows 0.13 GB, sums of 10,400 nodes 0.09 GB.
        assert!((0.3e9..0.4e9).contains(&(quadratic as f64)), "{quadratic}");
        let [dense] = needed("rfs bench step --classes 1000000 --samplers dense-adam")[..] else { panic!() };
        assert!((1.7e9..2.1e9).contains(&(dense as f64)), "{dense}");
    }

    #[test]
    fn shared_draws_are_counted_once() {
        let sizes = "--classes 1000000 --dim 256 --batch 4096 --draws 4096 --samplers unigram,cluster:levels=2";
        let [unigram, cluster] = needed(&format!("rfs bench step --sharing batch {sizes}"))[..] else { panic!() };
        // Rows and moments 3.1 GB; 8,192 rows of targets and draws, and logits of 4,096 draws for 4,096 queries.
        assert!((3.4e9..3.8e9).contains(&(unigram as f64)), "{unigram}");
        // 8,000 leaves for each query.
        assert!((1.3e8..2.0e8).contains(&((cluster - unigram) as f64)), "{cluster}");
        let [own, _] = needed(&format!("rfs bench step {sizes}"))[..] else { panic!() };
        assert!(own as f64 > 2.7e11, "{own}");
    }

    #[test]
    fn a_limit_lowers_what_is_available_and_must_be_a_number() {
        assert_eq!(Budget::new(Some(0.5)).unwrap().available(), 1 << 29);
        assert!(Budget::new(None).unwrap().available() > 1 << 29);
        for gib in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(Budget::new(Some(gib)).is_err());
        }
    }
}
