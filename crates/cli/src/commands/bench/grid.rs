//! From what was typed to the cases that will be measured.

use std::fmt;
use std::num::NonZeroUsize;

use burn::tensor::Device;
use rf_sampling::{LeafLaw, QuadraticMap, RffConfig, SamplerConfig};
use rf_softmax::{RowOptimizer, SampledSoftmaxLoss, SampledSoftmaxLossConfig, Sharing};

use super::entrant::Entrant;
use super::measure::Pace;
use super::{inputs, memory};
use crate::args::{Bench, BenchArgs};
use crate::commands::names::names;
use crate::commands::told::grouped;
use crate::exit::{OrBadInput, bad_input};

/// A dense step costs O(n): without `--samplers` it is not asked of larger tables.
const LARGEST_DENSE: usize = 1_000_000;

/// Frequencies D of the published sampler.
const PUBLISHED: usize = 1024;

/// What a bench measures unless told otherwise.
struct Defaults {
    classes: &'static [usize],
    features: &'static [usize],
    draws: usize,
    batch: usize,
    samplers: &'static str,
}

/// The grid of the poster of Rawat et al. 2019 (their times stand there without a machine), and exact samplers that use
/// a processor as it should be used.
const DRAWS: Defaults = Defaults {
    classes: &[10_000, 500_000],
    features: &[50, 200, 500, 1000],
    draws: 10,
    batch: 10,
    samplers: "exp,exp-blocks,exp-gumbel,uniform,log-uniform,unigram,quadratic,rff",
};

/// One step over four sizes of the table, beside what burn does by itself.
const STEP: Defaults = Defaults {
    classes: &[10_000, 100_000, 1_000_000, 10_000_000],
    features: &[256],
    draws: 100,
    batch: 128,
    samplers: "rff-gauss,dense-adam",
};

/// The same with draws shared by the batch, by samplers that have a law for it.
const SHARED_STEP: Defaults = Defaults { samplers: "cluster,rff,unigram", ..STEP };

impl Defaults {
    fn of(args: &BenchArgs) -> Self {
        match (args.what, args.sharing) {
            (Bench::Draws, _) => DRAWS,
            (Bench::Step, Sharing::Query) => STEP,
            (Bench::Step, Sharing::Batch) => SHARED_STEP,
        }
    }
}

/// The cases of a bench, by the number of classes.
#[derive(Debug)]
pub struct Grid {
    /// What will be measured, in this order.
    pub cases: Vec<Case>,
}

/// One row to be.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is timed.
    pub bench: Bench,
    /// Name as it was typed.
    pub name: String,
    /// Who draws.
    pub entrant: Entrant,
    /// Classes n.
    pub classes: usize,
    /// Embedding width d.
    pub dim: usize,
    /// Frequencies D, for samplers with random features.
    pub features: Option<usize>,
    /// Draws: m for each query, or M for the batch.
    pub draws: usize,
    /// Whose the draws are.
    pub sharing: Sharing,
    /// Queries B.
    pub batch: usize,
    /// Seed of rows, queries and draws.
    pub seed: u64,
    /// How often it is repeated.
    pub pace: Pace,
}

impl Grid {
    /// Resolves and checks what was typed.
    pub fn new(args: &BenchArgs) -> anyhow::Result<Self> {
        let defaults = Defaults::of(args);
        let classes = sizes(&args.classes, defaults.classes);
        let draws = args.draws.map_or(defaults.draws, NonZeroUsize::get);
        if let Some(n) = classes.iter().find(|n| **n < draws.max(2)) {
            let why = format!("there must be at least 2 classes and at least as many as draws, {draws}");
            return Err(bad_input(format!("--classes {n}: {why}")));
        }
        let unnamed = if args.samplers.is_some() { &[PUBLISHED] } else { defaults.features };
        let features = sizes(&args.features, unnamed);
        let entrants = entrants(args, defaults.samplers)?;
        let pace = Pace::new(args.what, args.repeat);
        let (dim, batch) = (args.dim.get(), args.batch.map_or(defaults.batch, NonZeroUsize::get));
        let case = |(name, entrant): &(String, Entrant), classes| {
            let (bench, name, entrant) = (args.what, name.clone(), entrant.clone());
            let (sharing, seed) = (args.sharing, args.seed);
            Case { bench, name, entrant, classes, dim, features: None, draws, sharing, batch, seed, pace }
        };
        let asked = |case: &Case| {
            args.samplers.is_some() || case.entrant != Entrant::DenseAdam || case.classes <= LARGEST_DENSE
        };
        let pairs = classes.iter().flat_map(|&classes| entrants.iter().map(move |entrant| (entrant, classes)));
        let cases = pairs.map(|(entrant, classes)| case(entrant, classes)).filter(asked);
        let cases: Vec<Vec<Case>> =
            cases.map(|case| case.with_each(&features, args.leaf_size)).collect::<anyhow::Result<_>>()?;
        Ok(Self { cases: cases.concat() })
    }

    /// Sizes of the sums that the trees of the grid read, in bytes; that of the published tree if there are none.
    pub fn block_bytes(&self) -> Vec<usize> {
        let mut bytes: Vec<usize> =
            self.cases.iter().filter_map(|case| Some(case.number_bytes() * case.width()?)).collect();
        if bytes.is_empty() {
            bytes.push(4 * PUBLISHED);
        }
        bytes.sort_unstable();
        bytes.dedup();
        bytes
    }
}

fn sizes(given: &Option<Vec<NonZeroUsize>>, default: &[usize]) -> Vec<usize> {
    let mut sizes = given.as_ref().map_or(default.to_vec(), |list| list.iter().map(|size| size.get()).collect());
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn entrants(args: &BenchArgs, default: &str) -> anyhow::Result<Vec<(String, Entrant)>> {
    let entrant = |name: String| match Entrant::parse(&name, args.what) {
        Ok(entrant) => Ok((name, entrant)),
        Err(message) => Err(bad_input(format!("--samplers {name}: {message}"))),
    };
    let names = names(args.samplers.as_deref().unwrap_or(default)).into_iter();
    let entrants: Vec<(String, Entrant)> = names.map(entrant).collect::<anyhow::Result<_>>()?;
    if args.sharing == Sharing::Batch {
        check_shared(args.what, &entrants)?;
    }
    Ok(entrants)
}

/// Refuses draws shared by the batch where there are none.
fn check_shared(what: Bench, entrants: &[(String, Entrant)]) -> anyhow::Result<()> {
    if what != Bench::Step {
        return Err(bad_input("--sharing batch: draws are shared in `rfs bench step` only"));
    }
    for (name, entrant) in entrants {
        entrant.check_shared().map_err(|why| bad_input(format!("--sharing batch: {name}: {why}")))?;
    }
    Ok(())
}

impl Case {
    /// One case for each D, if the sampler has random features and its name does not fix them.
    fn with_each(mut self, features: &[usize], leaf_size: Option<NonZeroUsize>) -> anyhow::Result<Vec<Self>> {
        if let Some(leaf_size) = leaf_size {
            self.entrant.set("leaf_size", leaf_size.get().into())?;
        }
        // What a row may take is decided here, not by the sampler.
        self.entrant.set("memory_gib", f64::from(u32::MAX).into())?;
        let Some(config) = self.entrant.rff() else { return Ok(vec![self]) };
        let with = |features: usize| {
            let config = RffConfig { features, leaf_size: Some(config.leaf_size()), ..config.clone() };
            let entrant = Entrant::Sampler(SamplerConfig::Rff(config));
            Self { entrant, features: Some(features), ..self.clone() }
        };
        let fixed = self.name.contains("features=");
        Ok(if fixed { vec![with(config.features)] } else { features.iter().copied().map(with).collect() })
    }

    /// Width F of the feature map, for samplers that draw through a tree of feature sums.
    pub fn width(&self) -> Option<usize> {
        match &self.entrant {
            Entrant::Sampler(SamplerConfig::Rff(config)) => Some(2 * config.features),
            Entrant::Sampler(SamplerConfig::Quadratic(config)) => {
                Some(QuadraticMap::new(self.dim, config.alpha, true).width())
            }
            _ => None,
        }
    }

    /// Children of the root, for clusters: the leaves, or with three levels the groups of about as many leaves each.
    pub fn root_children(&self) -> Option<usize> {
        let Entrant::Sampler(SamplerConfig::Cluster(config)) = &self.entrant else { return None };
        let config = config.resolved(self.classes, true);
        let leaves = self.classes.div_ceil(config.leaf_size.unwrap_or(1).max(1));
        let group = if config.levels == Some(3) { (leaves as f64).sqrt().ceil() as usize } else { 1 };
        Some(leaves.div_ceil(group))
    }

    /// Bytes of a number in the sums of the tree.
    pub fn number_bytes(&self) -> usize {
        match self.entrant.rff() {
            Some(config) if config.leaf_law == LeafLaw::Features => 2,
            _ => 4,
        }
    }

    /// A head with random rows; its sampler is the entrant's, or uniform for rivals with a sampler of their own.
    pub fn head(&self, optimizer: RowOptimizer, device: &Device) -> anyhow::Result<SampledSoftmaxLoss> {
        let config = SampledSoftmaxLossConfig::new(self.classes, self.dim);
        let config = config.with_draws(self.draws).with_sharing(self.sharing);
        let config = config.with_optimizer(optimizer).with_seed(self.seed);
        let config = match &self.entrant {
            Entrant::Sampler(sampler) => config.with_sampler(sampler.clone()),
            _ => config.with_sampler(SamplerConfig::Uniform {}),
        };
        config.with_counts(inputs::zipf_counts(self.classes)).init(device).or_bad_input()
    }

    /// An upper estimate of the memory that measuring takes.
    pub fn needed_bytes(&self) -> u64 {
        memory::needed_bytes(self)
    }

    /// All settings of the sampler, for the record.
    pub fn settings(&self) -> serde_json::Value {
        let Entrant::Sampler(config) = &self.entrant else { return serde_json::Value::Null };
        // By way of text, which keeps a short f32 short.
        let text = serde_json::to_string(config).unwrap_or_default();
        let mut settings: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(table) = settings.as_object_mut() {
            table.remove("memory_gib");
        }
        settings
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, n = {}", self.bench.name(), self.name, grouped(self.classes as u64))?;
        self.features.map_or(Ok(()), |features| write!(f, ", D = {features}"))
    }
}
