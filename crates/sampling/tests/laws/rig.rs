//! Tables, queries and samplers to try the laws on.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{
    AnySampler, ClassId, Classes, ClusterConfig, ClusterSampler, Dispersion, FeatureMapKind, Grouping, KernelTree,
    LeafLaw, MidxConfig, MidxVariant, Purpose, QuadraticConfig, Quantizer, RffConfig, SamplerConfig, UnigramConfig,
    stream,
};

pub const N: usize = 37;
pub const D: usize = 6;
pub const SEED: u64 = 11;

pub struct Table {
    pub name: &'static str,
    pub rows: Vec<f32>,
    pub width: usize,
    pub normalized: bool,
}

impl Table {
    pub fn classes(&self) -> Classes<'_> {
        classes_of(self, &self.rows)
    }
}

pub fn classes_of<'a>(table: &Table, rows: &'a [f32]) -> Classes<'a> {
    let classes = Classes::new(rows, table.width);
    let classes = if table.width > D { classes.with_bias() } else { classes };
    if table.normalized { classes.normalized() } else { classes }
}

pub fn normals(count: usize, place: u64) -> Vec<f32> {
    let mut rng = stream(SEED, Purpose::Init, 0, place);
    (0..count).map(|_| StandardNormal.sample(&mut rng)).collect()
}

pub fn tables() -> Vec<Table> {
    let table = |name, width, normalized| Table { name, rows: normals(N * width, 1), width, normalized };
    vec![table("normalised", D, true), table("normalised with bias", D + 1, true), table("raw with bias", D + 1, false)]
}

/// A query at inverse temperature 5.
pub fn query() -> Vec<f32> {
    let raw = normals(D, 2);
    let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.iter().map(|x| 5.0 * x / norm).collect()
}

pub fn counts() -> Vec<u64> {
    (0..N as u64).map(|i| 1_000 / (i + 1)).collect()
}

pub fn samplers() -> Vec<(String, SamplerConfig)> {
    let mut all = vec![
        ("uniform".into(), SamplerConfig::Uniform {}),
        ("exp".into(), SamplerConfig::Exp {}),
        ("log-uniform".into(), SamplerConfig::LogUniform {}),
    ];
    for power in [0.75, -0.5] {
        all.push((format!("unigram {power}"), SamplerConfig::Unigram(UnigramConfig { power })));
    }
    for (leaf_size, prior) in [(Some(1), 0.0), (Some(4), 0.75), (None, 0.0), (Some(64), 0.0)] {
        let config = QuadraticConfig { leaf_size, prior, ..Default::default() };
        all.push((format!("quadratic leaf {leaf_size:?} prior {prior}"), SamplerConfig::Quadratic(config)));
    }
    for leaf_law in [LeafLaw::Features, LeafLaw::Gauss, LeafLaw::Exact] {
        for (floor, leaf_size, prior) in [(0.0, 4, 0.0), (0.01, 5, 0.0), (0.3, 1, 0.75), (2.0, 3, 0.5), (0.01, 64, 0.0)]
        {
            let config =
                RffConfig { features: 48, leaf_law, leaf_size: Some(leaf_size), floor, prior, ..Default::default() };
            let name = format!("rff {leaf_law:?} floor {floor} leaf {leaf_size} prior {prior}");
            all.push((name, SamplerConfig::Rff(config)));
        }
    }
    for (leaf_law, grouping, growth) in [
        (LeafLaw::Features, Grouping::Frequency, 1.0),
        (LeafLaw::Features, Grouping::Similarity, 1.0),
        (LeafLaw::Gauss, Grouping::Similarity, 1.0),
        (LeafLaw::Exact, Grouping::Frequency, 2.0),
    ] {
        let config = RffConfig {
            features: 48,
            leaf_law,
            leaf_size: Some(5),
            grouping,
            growth,
            prior: 0.5,
            ..Default::default()
        };
        all.push((format!("rff {leaf_law:?} {grouping:?} growth {growth}"), SamplerConfig::Rff(config)));
    }
    let config = QuadraticConfig { leaf_size: Some(4), grouping: Grouping::Similarity, ..Default::default() };
    all.push(("quadratic Similarity".into(), SamplerConfig::Quadratic(config)));
    let clusters = [
        ("index, no dispersion", Grouping::Index, Dispersion::None, 2, 0.0),
        ("frequency, scalar", Grouping::Frequency, Dispersion::Scalar, 2, 0.1),
        ("similarity, diagonal", Grouping::Similarity, Dispersion::Diagonal, 2, 0.01),
        ("similarity, three levels", Grouping::Similarity, Dispersion::Diagonal, 3, 0.05),
        ("index, three levels", Grouping::Index, Dispersion::Diagonal, 3, 1.0),
    ];
    for (name, grouping, dispersion, levels, epsilon) in clusters {
        let levels = Some(levels);
        let grouping = Some(grouping);
        let config = ClusterConfig { leaf_size: Some(4), grouping, dispersion, levels, epsilon, ..Default::default() };
        all.push((format!("cluster {name}"), SamplerConfig::Cluster(config)));
    }
    let growing = ClusterConfig { leaf_size: Some(6), ..Default::default() };
    all.push(("cluster growing".into(), SamplerConfig::Cluster(growing)));
    all.extend(midxs(0).map(|(name, config)| (name, SamplerConfig::Midx(config))));
    for (map, leaf_law, floor, prior) in [
        (FeatureMapKind::Orthogonal, LeafLaw::Features, 0.01, 0.0),
        (FeatureMapKind::Structured, LeafLaw::Features, 0.0, 0.75),
        (FeatureMapKind::Positive, LeafLaw::Features, 0.0, 0.0),
        (FeatureMapKind::Positive, LeafLaw::Gauss, 0.01, 0.75),
    ] {
        let config = RffConfig { map, features: 48, leaf_law, leaf_size: Some(4), floor, prior, ..Default::default() };
        all.push((format!("rff {map:?} {leaf_law:?} floor {floor} prior {prior}"), SamplerConfig::Rff(config)));
    }
    all
}

/// MIDX with every quantiser and variant, with and without a prior.
pub fn midxs(refresh_every: u64) -> impl Iterator<Item = (String, MidxConfig)> {
    let quantizers = [Quantizer::Pq, Quantizer::Rq].into_iter();
    let both = quantizers.flat_map(|q| [MidxVariant::Fast, MidxVariant::Exact].map(|variant| (q, variant)));
    both.flat_map(move |(quantizer, variant)| {
        [(4, 0.0), (50, 0.75)].map(|(codewords, prior)| {
            let name = format!("midx {quantizer:?} {variant:?} K {codewords} prior {prior}");
            (name, MidxConfig { quantizer, variant, codewords, prior, refresh_every, ..Default::default() })
        })
    })
}

/// Whether a sampler knows neither queries nor rows.
pub fn is_blind(name: &str) -> bool {
    ["uniform", "log-uniform", "unigram"].iter().any(|blind| name.starts_with(blind))
}

/// The samplers that keep sums of what they know of the rows.
pub fn sums() -> impl Iterator<Item = (String, SamplerConfig)> {
    samplers().into_iter().filter(|(_, config)| ["rff", "quadratic", "cluster"].contains(&config.name()))
}

/// The kernel trees among them.
pub fn trees() -> impl Iterator<Item = (String, SamplerConfig)> {
    sums().filter(|(_, config)| config.name() != "cluster")
}

/// The samplers that keep something of the rows, and so refuse rows that are not finite.
pub fn keepers() -> impl Iterator<Item = (String, SamplerConfig)> {
    samplers().into_iter().filter(|(_, config)| ["rff", "quadratic", "cluster", "midx"].contains(&config.name()))
}

/// Runs a law on every sampler over every table.
pub fn each(law: impl Fn(&str, &AnySampler, &Table)) {
    for table in tables() {
        for (name, config) in samplers() {
            let sampler = config.build(table.classes(), &counts(), SEED).unwrap();
            law(&format!("{name}, {}", table.name), &sampler, &table);
        }
    }
}

/// Changes some rows and returns the ids and their rows before.
pub fn change(rows: &mut [f32], width: usize, ids: &[ClassId]) -> Vec<f32> {
    let mut rng = stream(SEED, Purpose::Order, 0, 0);
    let mut before = Vec::new();
    for &id in ids {
        let row = &mut rows[id as usize * width..][..width];
        before.extend_from_slice(row);
        row.iter_mut().for_each(|x| *x += 0.5 * rng.random::<f32>());
    }
    before
}

pub fn tree(config: &SamplerConfig, classes: Classes<'_>) -> KernelTree {
    match config.build(classes, &counts(), SEED).unwrap() {
        AnySampler::Tree(tree) => *tree,
        other => panic!("{other:?} is no tree"),
    }
}

/// The settings of a tree with groups of similar classes made anew after every third step.
pub fn regrouping(config: SamplerConfig) -> SamplerConfig {
    match config {
        SamplerConfig::Rff(config) => SamplerConfig::Rff(RffConfig { regroup_every: 3, ..config }),
        SamplerConfig::Quadratic(config) => SamplerConfig::Quadratic(QuadraticConfig { regroup_every: 3, ..config }),
        other => panic!("{other:?} is no tree"),
    }
}

pub fn cluster(config: &SamplerConfig, classes: Classes<'_>) -> ClusterSampler {
    match config.build(classes, &counts(), SEED).unwrap() {
        AnySampler::Cluster(cluster) => *cluster,
        other => panic!("{other:?} is no cluster sampler"),
    }
}
