//! The laws that every sampler obeys. A new sampler adds one row to `samplers()`.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{
    AnySampler, BatchRequest, ClassId, Classes, ClusterConfig, ClusterSampler, Dispersion, Draw, Error, ExactSoftmax,
    FeatureMapKind, Grouping, KernelTree, Law, LeafLaw, Midx, MidxConfig, MidxVariant, Points, Purpose,
    QuadraticConfig, Quantizer, RffConfig, Sampler, SamplerConfig, UnigramConfig, draw_batch, draw_shared,
    ln_prob_batch, stream,
};

const N: usize = 37;
const D: usize = 6;
const SEED: u64 = 11;

/// False-alarm rate of each chi-squared test. Seeds are fixed: a test that passes once passes always.
const NORMAL_QUANTILE: f64 = 4.75; // one-sided 1e-6

struct Table {
    name: &'static str,
    rows: Vec<f32>,
    width: usize,
    normalized: bool,
}

impl Table {
    fn classes(&self) -> Classes<'_> {
        classes_of(self, &self.rows)
    }
}

fn classes_of<'a>(table: &Table, rows: &'a [f32]) -> Classes<'a> {
    let classes = Classes::new(rows, table.width);
    let classes = if table.width > D { classes.with_bias() } else { classes };
    if table.normalized { classes.normalized() } else { classes }
}

fn normals(count: usize, place: u64) -> Vec<f32> {
    let mut rng = stream(SEED, Purpose::Init, 0, place);
    (0..count).map(|_| StandardNormal.sample(&mut rng)).collect()
}

fn tables() -> Vec<Table> {
    let table = |name, width, normalized| Table { name, rows: normals(N * width, 1), width, normalized };
    vec![table("normalised", D, true), table("normalised with bias", D + 1, true), table("raw with bias", D + 1, false)]
}

/// A query at inverse temperature 5.
fn query() -> Vec<f32> {
    let raw = normals(D, 2);
    let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.iter().map(|x| 5.0 * x / norm).collect()
}

fn counts() -> Vec<u64> {
    (0..N as u64).map(|i| 1_000 / (i + 1)).collect()
}

fn samplers() -> Vec<(String, SamplerConfig)> {
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
fn midxs(refresh_every: u64) -> impl Iterator<Item = (String, MidxConfig)> {
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
fn is_blind(name: &str) -> bool {
    ["uniform", "log-uniform", "unigram"].iter().any(|blind| name.starts_with(blind))
}

/// The samplers that keep sums of what they know of the rows.
fn sums() -> impl Iterator<Item = (String, SamplerConfig)> {
    samplers().into_iter().filter(|(_, config)| ["rff", "quadratic", "cluster"].contains(&config.name()))
}

/// The kernel trees among them.
fn trees() -> impl Iterator<Item = (String, SamplerConfig)> {
    sums().filter(|(_, config)| config.name() != "cluster")
}

/// The samplers that keep something of the rows, and so refuse rows that are not finite.
fn keepers() -> impl Iterator<Item = (String, SamplerConfig)> {
    samplers().into_iter().filter(|(_, config)| ["rff", "quadratic", "cluster", "midx"].contains(&config.name()))
}

/// Runs a law on every sampler over every table.
fn each(law: impl Fn(&str, &AnySampler, &Table)) {
    for table in tables() {
        for (name, config) in samplers() {
            let sampler = config.build(table.classes(), &counts(), SEED).unwrap();
            law(&format!("{name}, {}", table.name), &sampler, &table);
        }
    }
}

#[test]
fn probabilities_sum_to_one_under_every_floor() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let total: f64 = law.ln_probs(N).iter().map(|&ln_q| f64::from(ln_q).exp()).sum();
        assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
    });
}

#[test]
fn one_probability_is_what_all_of_them_say() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        for (class, want) in law.ln_probs(N).into_iter().enumerate() {
            let got = law.ln_prob(class as ClassId);
            assert!(got == want || (got - want).abs() < 1e-5, "{name}: class {class}: {got} and {want}");
        }
    });
}

/// Upper quantile of the chi-squared law (Wilson & Hilferty 1931).
fn critical(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + NORMAL_QUANTILE * spread.sqrt()).powi(3)
}

/// Draws `walks` times at `points`-chosen points and compares the counts with the law without the excluded classes.
fn chi_squared(name: &str, law: &impl Law, draws: usize, points: Points, excluded: &[ClassId]) {
    let walks = 40_000 / draws;
    let mut observed = vec![0.0; N];
    for walk in 0..walks {
        let mut rng = stream(SEED, Purpose::Draws, walk as u64, draws as u64);
        let mut out: Vec<Draw> = Vec::new();
        law.draw_at(&points.choose(draws, &mut rng), excluded, &mut out).unwrap();
        assert_eq!(out.iter().map(|draw| draw.count as usize).sum::<usize>(), draws, "{name}: draws were lost");
        out.iter().for_each(|draw| observed[draw.class as usize] += f64::from(draw.count));
    }
    let mut probabilities: Vec<f64> = law.ln_probs(N).iter().map(|&ln_q| f64::from(ln_q).exp()).collect();
    excluded.iter().for_each(|&class| probabilities[class as usize] = 0.0);
    compare(name, &observed, probabilities);
}

/// The chi-squared test of counts against probabilities up to a factor.
fn compare(name: &str, observed: &[f64], probabilities: Vec<f64>) {
    let kept: f64 = probabilities.iter().sum();
    let total: f64 = observed.iter().sum();
    let (mut statistic, mut cells, mut rest) = (0.0, 0.0, (0.0, 0.0));
    for (&observed, probability) in observed.iter().zip(probabilities) {
        let expected = total * probability / kept;
        if expected < 5.0 {
            rest = (rest.0 + observed, rest.1 + expected);
        } else {
            statistic += (observed - expected).powi(2) / expected;
            cells += 1.0;
        }
    }
    if rest.1 > 0.0 {
        statistic += (rest.0 - rest.1).powi(2) / rest.1;
        cells += 1.0;
    } else {
        assert_eq!(rest.0, 0.0, "{name}: a class of no probability was drawn");
    }
    assert!(cells < 2.0 || statistic < critical(cells - 1.0), "{name}: chi-squared {statistic} in {cells} cells");
}

#[test]
fn draws_follow_the_law() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        chi_squared(name, &law, 1, Points::Independent, &[]);
        chi_squared(name, &law, 25, Points::Independent, &[]);
        // Systematic points of one walk depend on each other: one point a walk.
        chi_squared(name, &law, 1, Points::Systematic, &[]);
    });
}

/// What is drawn one at a time, by `rand`'s interface.
#[test]
fn single_draws_follow_the_law() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let mut observed = vec![0.0; N];
        let rng = stream(SEED, Purpose::Draws, 1, 1);
        (&law).sample_iter(rng).take(20_000).for_each(|class| observed[class as usize] += 1.0);
        compare(name, &observed, law.ln_probs(N).iter().map(|&ln_q| f64::from(ln_q).exp()).collect());
    });
}

#[test]
fn draws_follow_the_law_without_the_excluded_classes() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let best = law.ln_probs(N).iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 as ClassId;
        chi_squared(name, &law, 25, Points::Independent, &[best]);
        chi_squared(name, &law, 25, Points::Independent, &[0, 1, 2, 3, 4, 5, 6, 7, 20, 36]);
    });
}

#[test]
fn excluded_classes_are_never_drawn_and_the_rest_is_renormalised() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let ln_probs = law.ln_probs(N);
        let kept = [9, 17, 30];
        let excluded: Vec<ClassId> = (0..N as ClassId).filter(|class| !kept.contains(class)).collect();
        let mass: f64 = kept.iter().map(|&class| f64::from(ln_probs[class as usize]).exp()).sum();
        let mut out = Vec::new();
        let points = Points::Independent.choose(500, &mut stream(SEED, Purpose::Draws, 0, 0));
        match law.draw_at(&points, &excluded, &mut out) {
            Err(Error::NothingLeft) => assert!(mass == 0.0, "{name}"),
            other => other.unwrap(),
        }
        for draw in out {
            assert!(kept.contains(&draw.class), "{name}: drew {}", draw.class);
            let want = f64::from(ln_probs[draw.class as usize]) - mass.ln();
            assert!((f64::from(draw.ln_prob) - want).abs() < 1e-4, "{name}: {} and {want}", draw.ln_prob);
        }
    });
}

#[test]
fn excluding_everything_is_an_error() {
    each(|name, sampler, table| {
        let query = query();
        let all: Vec<ClassId> = (0..N as ClassId).collect();
        let outcome = sampler.at(&query, table.classes()).unwrap().draw_at(&[0.5], &all, &mut Vec::new());
        assert_eq!(outcome, Err(Error::NothingLeft), "{name}");
    });
}

#[test]
fn systematic_counts_have_the_right_mean_and_differ_from_it_by_less_than_one() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let probabilities: Vec<f64> = law.ln_probs(N).iter().map(|&ln_q| f64::from(ln_q).exp()).collect();
        let (draws, walks) = (20, 4_000);
        let mut mean = [0.0; N];
        for walk in 0..walks {
            let mut out = Vec::new();
            let mut rng = stream(SEED, Purpose::Draws, walk, 9);
            law.draw_at(&Points::Systematic.choose(draws, &mut rng), &[], &mut out).unwrap();
            for draw in out {
                let expected = draws as f64 * probabilities[draw.class as usize];
                assert!((f64::from(draw.count) - expected).abs() < 1.0 + 1e-4, "{name}: class {}", draw.class);
                mean[draw.class as usize] += f64::from(draw.count) / walks as f64;
            }
        }
        for (mean, probability) in mean.into_iter().zip(probabilities) {
            let expected = draws as f64 * probability;
            // The variance of a systematic count is f (1 - f), f the fraction of its mean.
            let deviation = (expected.fract() * (1.0 - expected.fract()) / walks as f64).sqrt();
            assert!((mean - expected).abs() < 5.0 * deviation + 2e-3, "{name}: {mean} for {expected}");
        }
    });
}

/// Changes some rows and returns the ids and their rows before.
fn change(rows: &mut [f32], width: usize, ids: &[ClassId]) -> Vec<f32> {
    let mut rng = stream(SEED, Purpose::Order, 0, 0);
    let mut before = Vec::new();
    for &id in ids {
        let row = &mut rows[id as usize * width..][..width];
        before.extend_from_slice(row);
        row.iter_mut().for_each(|x| *x += 0.5 * rng.random::<f32>());
    }
    before
}

#[test]
fn refreshing_some_or_all_classes_equals_building_anew() {
    let some: Vec<ClassId> = vec![0, 3, 11, 12, 36];
    let all: Vec<ClassId> = (0..N as ClassId).collect();
    for table in tables() {
        // Codes stand still between quantisations: MIDX has tests of its own below.
        for (name, config) in samplers().into_iter().filter(|(_, config)| config.name() != "midx") {
            for ids in [&some, &all] {
                let mut rows = table.rows.clone();
                let mut sampler = config.build(table.classes(), &counts(), SEED).unwrap();
                let query = query();
                let old = sampler.at(&query, table.classes()).unwrap().ln_probs(N);
                let before = change(&mut rows, table.width, ids);
                let classes = classes_of(&table, &rows);
                sampler.refresh(ids, &before, classes).unwrap();
                let refreshed = sampler.at(&query, classes).unwrap().ln_probs(N);
                let rebuilt = rebuilt(&config, &sampler, classes).at(&query, classes).unwrap().ln_probs(N);
                // Where an estimate lies at zero, rounding decides on which side of the clamp: compare probabilities.
                for class in 0..N {
                    let (a, b) = (refreshed[class].exp(), rebuilt[class].exp());
                    assert!((a - b).abs() < 1e-4, "{name}, {}: class {class}: {a} and {b}", table.name);
                }
                // A floor above every estimate leaves the weights alone, which no embedding moves.
                let blind = is_blind(&name) || name.contains("floor 0.3") || name.contains("floor 2");
                assert!(blind || old != refreshed, "{name}: the refresh changed nothing");
            }
        }
    }
}

/// The sampler made anew of the rows; groups of similar classes stay as they are until a regrouping.
fn rebuilt(config: &SamplerConfig, refreshed: &AnySampler, classes: Classes<'_>) -> AnySampler {
    match refreshed {
        AnySampler::Cluster(cluster) => {
            let mut cluster = cluster.clone();
            cluster.rebuild(classes).unwrap();
            AnySampler::Cluster(cluster)
        }
        AnySampler::Tree(tree) if tree.regroups() => {
            let mut tree = tree.clone();
            tree.rebuild(classes).unwrap();
            AnySampler::Tree(tree)
        }
        _ => config.build(classes, &counts(), SEED).unwrap(),
    }
}

#[test]
fn rows_that_are_not_finite_are_refused_and_the_sampler_stays_whole() {
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        for table in tables() {
            for (name, config) in keepers() {
                let mut rows = table.rows.clone();
                let mut sampler = config.build(table.classes(), &counts(), SEED).unwrap();
                let query = query();
                let before = change(&mut rows, table.width, &[2, 8]);
                rows[8 * table.width + 1] = bad;
                let old = sampler.at(&query, table.classes()).unwrap().ln_probs(N);
                let outcome = sampler.refresh(&[2, 8], &before, classes_of(&table, &rows));
                assert_eq!(outcome, Err(Error::NotFinite(8)), "{name}");
                assert_eq!(sampler.at(&query, table.classes()).unwrap().ln_probs(N), old, "{name}");
            }
        }
    }
}

#[test]
fn a_bias_of_any_finite_size_keeps_a_law() {
    let table = &tables()[2];
    for bias in [-1e4, -95.0, 95.0, 1e4] {
        let mut rows = table.rows.clone();
        rows[5 * table.width + D] = bias;
        let classes = classes_of(table, &rows);
        for (name, config) in keepers() {
            let sampler = config.build(classes, &counts(), SEED).unwrap();
            let total: f64 =
                sampler.at(&query(), classes).unwrap().ln_probs(N).iter().map(|&q| f64::from(q).exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{name}, bias {bias}: {total}");
        }
    }
}

#[test]
fn queries_that_are_not_finite_are_refused() {
    each(|name, sampler, table| {
        let query = [f32::NAN; D];
        let refused = matches!(sampler.at(&query, table.classes()), Err(Error::BadQuery));
        assert!(refused || is_blind(name), "{name}");
    });
}

#[test]
fn a_batch_draws_the_same_on_any_number_of_threads_and_as_single_queries_do() {
    let queries = normals(70 * D, 5);
    each(|name, sampler, table| {
        let request = BatchRequest { queries: &queries, draws: 9, points: Points::Independent, seed: 3, step: 8 };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| draw_batch(sampler, table.classes(), request, |_| Some(&[4][..])).unwrap())
        };
        let batch = on(1);
        assert_eq!(batch, on(2), "{name}");
        if name.starts_with("exp") {
            return; // its logits come from one product for the block, equal to the single query's only up to rounding
        }
        for (place, want) in batch.iter().enumerate() {
            let law = sampler.at(&queries[place * D..][..D], table.classes()).unwrap();
            let points = request.points.choose(9, &mut stream(3, Purpose::Draws, 8, place as u64));
            let mut got = Vec::new();
            law.draw_at(&points, &[4], &mut got).unwrap();
            assert_eq!(&got, want, "{name}: query {place}");
        }
    });
}

#[test]
fn probabilities_asked_for_a_batch_are_those_of_single_queries() {
    let queries = normals(70 * D, 5);
    each(|name, sampler, table| {
        let ids: Vec<ClassId> = (0..N as ClassId).collect();
        let asked = |query: usize| &ids[query % N..][..(query % 3).min(N - query % N)];
        let batch = ln_prob_batch(sampler, table.classes(), &queries, asked).unwrap();
        let pairs = (0..70).flat_map(|query| asked(query).iter().map(move |&class| (query, class)));
        assert_eq!(batch.len(), pairs.clone().count());
        for ((query, class), got) in pairs.zip(batch) {
            let law = sampler.at(&queries[query * D..][..D], table.classes()).unwrap();
            let want = law.ln_prob(class);
            assert!(got == want || (got - want).abs() < 1e-5, "{name}: query {query}: {got} and {want}");
        }
    });
}

/// The laws that batches share: those of every sampler that has one.
fn each_shared(law: impl Fn(&str, &AnySampler, &Table, &[f32])) {
    let queries: Vec<f32> = normals(70 * D, 5).iter().map(|x| 2.0 * x).collect();
    let mut shared = 0;
    for table in tables() {
        for (name, config) in samplers() {
            let sampler = config.build(table.classes(), &counts(), SEED).unwrap();
            let name = format!("{name}, {}", table.name);
            if config.shares_draws() {
                law(&name, &sampler, &table, &queries);
                shared += 1;
            } else {
                assert!(matches!(sampler.shared_law(&queries, table.classes()), Err(Error::NoSharedLaw)), "{name}");
            }
        }
    }
    assert!(shared >= 3 * 10, "{shared}");
}

#[test]
fn shared_probabilities_sum_to_one_and_each_is_what_all_of_them_say() {
    each_shared(|name, sampler, table, queries| {
        let law = sampler.shared_law(queries, table.classes()).unwrap();
        let all = law.ln_probs(N);
        let total: f64 = all.iter().map(|&ln_q| f64::from(ln_q).exp()).sum();
        assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
        for (class, want) in all.into_iter().enumerate() {
            let got = law.ln_prob(class as ClassId);
            assert!(got == want || (got - want).abs() < 1e-5, "{name}: class {class}: {got} and {want}");
        }
    });
}

#[test]
fn shared_draws_follow_the_shared_law() {
    each_shared(|name, sampler, table, queries| {
        let law = sampler.shared_law(queries, table.classes()).unwrap();
        chi_squared(name, &law, 1, Points::Independent, &[]);
        chi_squared(name, &law, 200, Points::Independent, &[]);
        chi_squared(name, &law, 1, Points::Systematic, &[]);
    });
}

#[test]
fn the_shared_law_of_equal_queries_is_the_law_of_one() {
    each_shared(|name, sampler, table, _| {
        let query = query();
        let shared = sampler.shared_law(&query.repeat(70), table.classes()).unwrap().ln_probs(N);
        let single = sampler.at(&query, table.classes()).unwrap().ln_probs(N);
        for (class, (shared, single)) in shared.into_iter().zip(single).enumerate() {
            let (shared, single) = (shared.exp(), single.exp());
            assert!((shared - single).abs() < 1e-5, "{name}: class {class}: {shared} and {single}");
        }
    });
}

#[test]
fn a_batch_shares_the_same_draws_on_any_number_of_threads_and_others_at_every_step() {
    each_shared(|name, sampler, table, queries| {
        let request = BatchRequest { queries, draws: 200, points: Points::Independent, seed: 3, step: 8 };
        let on = |threads, request| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| draw_shared(sampler, table.classes(), request).unwrap().0)
        };
        let draws = on(1, request);
        assert_eq!(draws, on(3, request), "{name}");
        assert_ne!(draws, on(1, BatchRequest { step: 9, ..request }), "{name}");
        assert_eq!(draws.iter().map(|draw| draw.count).sum::<u32>(), 200, "{name}");
        let law = sampler.shared_law(queries, table.classes()).unwrap();
        for draw in draws {
            let want = law.ln_prob(draw.class);
            assert!((draw.ln_prob - want).abs() < 1e-5, "{name}: class {}: {} and {want}", draw.class, draw.ln_prob);
        }
    });
}

#[test]
fn a_query_that_is_not_finite_has_no_part_in_a_shared_law() {
    each_shared(|name, sampler, table, queries| {
        let mut queries = queries.to_vec();
        queries[66 * D] = f32::INFINITY;
        let refused = matches!(sampler.shared_law(&queries, table.classes()), Err(Error::BadQuery));
        assert!(refused || is_blind(name), "{name}");
    });
}

fn tree(config: &SamplerConfig, classes: Classes<'_>) -> KernelTree {
    match config.build(classes, &counts(), SEED).unwrap() {
        AnySampler::Tree(tree) => *tree,
        other => panic!("{other:?} is no tree"),
    }
}

/// The settings of a tree with groups of similar classes made anew after every third step.
fn regrouping(config: SamplerConfig) -> SamplerConfig {
    match config {
        SamplerConfig::Rff(config) => SamplerConfig::Rff(RffConfig { regroup_every: 3, ..config }),
        SamplerConfig::Quadratic(config) => SamplerConfig::Quadratic(QuadraticConfig { regroup_every: 3, ..config }),
        other => panic!("{other:?} is no tree"),
    }
}

#[test]
fn a_restored_tree_is_equal_to_the_last_bit_and_regroups_at_the_same_step() {
    for table in tables() {
        for (name, config) in trees() {
            let (config, query) = (regrouping(config), query());
            let mut rows = table.rows.clone();
            let mut walked = tree(&config, table.classes());
            let steps = [&[1, 2, 30][..], &[0, 7, 8, 9], &[5], &[11, 12]];
            for ids in steps {
                let before = change(&mut rows, table.width, ids);
                walked.refresh(ids, &before, classes_of(&table, &rows)).unwrap();
            }
            let classes = classes_of(&table, &rows);
            let mut restored = tree(&config, classes);
            let order = walked.order();
            restored
                .restore(classes, walked.leaf_sums(), order.clone(), walked.next_rebuild(), walked.steps())
                .unwrap();
            let probabilities = |tree: &KernelTree| tree.at(&query, classes).unwrap().ln_probs(N);
            assert_eq!(probabilities(&walked), probabilities(&restored), "{name}, {}", table.name);
            for ids in steps {
                let before = change(&mut rows, table.width, ids);
                let classes = classes_of(&table, &rows);
                let after = |tree: &mut KernelTree| {
                    tree.refresh(ids, &before, classes).unwrap();
                    tree.at(&query, classes).unwrap().ln_probs(N)
                };
                assert_eq!(after(&mut walked), after(&mut restored), "{name}, {}", table.name);
            }
            assert_eq!(walked.leaves(), restored.leaves(), "{name}, {}", table.name);
            assert_eq!(walked.order() != order, walked.regroups(), "{name}: two regroupings that change nothing");
        }
    }
}

#[test]
fn a_tree_that_has_just_regrouped_is_one_that_is_built_anew() {
    for table in tables() {
        for (name, config) in trees() {
            let config = regrouping(config);
            let mut rows = table.rows.clone();
            let mut walked = tree(&config, table.classes());
            if !walked.regroups() {
                continue;
            }
            for ids in [&[1, 2, 30][..], &[0, 7, 8, 9], &[5]] {
                let before = change(&mut rows, table.width, ids);
                walked.refresh(ids, &before, classes_of(&table, &rows)).unwrap();
            }
            let (classes, query) = (classes_of(&table, &rows), query());
            let built = tree(&config, classes);
            assert_ne!(walked.leaves(), tree(&config, table.classes()).leaves(), "{name}");
            assert_eq!(walked.leaves(), built.leaves(), "{name}");
            let probabilities = |tree: &KernelTree| tree.at(&query, classes).unwrap().ln_probs(N);
            assert_eq!(probabilities(&walked), probabilities(&built), "{name}, {}", table.name);
        }
    }
}

#[test]
fn a_state_of_another_tree_is_refused() {
    let table = &tables()[0];
    let config = |grouping| RffConfig { features: 8, grouping, leaf_law: LeafLaw::Gauss, ..Default::default() };
    let order: Vec<ClassId> = (0..N as ClassId).rev().collect();
    for (grouping, wrong) in [
        (Grouping::Similarity, Vec::new()),
        (Grouping::Similarity, order[1..].to_vec()),
        (Grouping::Similarity, vec![3; N]),
        (Grouping::Frequency, order.clone()),
    ] {
        let mut tree = tree(&SamplerConfig::Rff(config(grouping)), table.classes());
        let (old, sums) = (tree.leaves().clone(), tree.leaf_sums().to_vec());
        let refused = tree.restore(table.classes(), &sums, wrong, 0, 0);
        assert!(matches!(refused, Err(Error::WrongState { .. })), "{grouping:?}: {refused:?}");
        let right = if tree.regroups() { order.clone() } else { Vec::new() };
        let refused = tree.restore(table.classes(), &sums[1..], right.clone(), 0, 0);
        assert!(matches!(refused, Err(Error::WrongState { .. })), "{grouping:?}: {refused:?}");
        assert_eq!(tree.leaves(), &old);
        tree.restore(table.classes(), &sums, right.clone(), 0, 0).unwrap();
        assert_eq!(tree.order(), right);
    }
}

fn cluster(config: &SamplerConfig, classes: Classes<'_>) -> ClusterSampler {
    match config.build(classes, &counts(), SEED).unwrap() {
        AnySampler::Cluster(cluster) => *cluster,
        other => panic!("{other:?} is no cluster sampler"),
    }
}

#[test]
fn a_restored_cluster_sampler_is_equal_to_the_last_bit_and_regroups_at_the_same_step() {
    for table in tables() {
        for (name, config) in sums().filter(|(_, config)| config.name() == "cluster") {
            let SamplerConfig::Cluster(config) = config else { unreachable!() };
            let config = SamplerConfig::Cluster(ClusterConfig { regroup_every: 3, ..config });
            let mut rows = table.rows.clone();
            let mut walked = cluster(&config, table.classes());
            let steps = [&[1, 2, 30][..], &[0, 7, 8, 9], &[5], &[11, 12]];
            for ids in steps {
                let before = change(&mut rows, table.width, ids);
                walked.refresh(ids, &before, classes_of(&table, &rows)).unwrap();
            }
            let mut restored = cluster(&config, classes_of(&table, &rows));
            let (sums, order) = (walked.sums().to_vec(), walked.order());
            let now = classes_of(&table, &rows);
            restored.restore(now, &sums, order, walked.next_rebuild(), walked.steps()).unwrap();
            for ids in steps {
                let before = change(&mut rows, table.width, ids);
                let classes = classes_of(&table, &rows);
                let query = query();
                let after = |sampler: &mut ClusterSampler| {
                    sampler.refresh(ids, &before, classes).unwrap();
                    sampler.at(&query, classes).unwrap().ln_probs(N)
                };
                assert_eq!(after(&mut walked), after(&mut restored), "{name}, {}", table.name);
            }
            let refused = restored.restore(classes_of(&table, &rows), &sums[1..], Vec::new(), 0, 0);
            assert!(matches!(refused, Err(Error::WrongState { .. })), "{name}");
        }
    }
}

#[test]
fn a_regrouping_over_a_row_that_is_not_finite_changes_nothing() {
    for table in tables() {
        let config = ClusterConfig { grouping: Some(Grouping::Similarity), regroup_every: 1, ..Default::default() };
        let config = ClusterConfig { leaf_size: Some(4), ..config };
        let mut sampler = cluster(&SamplerConfig::Cluster(config), table.classes());
        let (query, mut rows) = (query(), table.rows.clone());
        let before = change(&mut rows, table.width, &[2]);
        // The row of a class that the step did not touch.
        rows[9 * table.width] = f32::NAN;
        let old = (sampler.at(&query, table.classes()).unwrap().ln_probs(N), sampler.order(), sampler.steps());
        assert_eq!(sampler.refresh(&[2], &before, classes_of(&table, &rows)), Err(Error::NotFinite(9)));
        let now = (sampler.at(&query, table.classes()).unwrap().ln_probs(N), sampler.order(), sampler.steps());
        assert_eq!(old, now, "{}", table.name);
    }
}

#[test]
fn a_defensive_mixture_bounds_the_weights() {
    let table = &tables()[0];
    let query: Vec<f32> = query().iter().map(|x| 10.0 * x).collect();
    let worst = |epsilon: f32| {
        let config = ClusterConfig { leaf_size: Some(4), growth: Some(1.0), epsilon, ..Default::default() };
        let sampler = config.build(table.classes(), &counts(), SEED).unwrap();
        let ln_q = sampler.at(&query, table.classes()).unwrap().ln_probs(N);
        let ln_p = ExactSoftmax.at(&query, table.classes()).unwrap().ln_probs(N);
        ln_p.iter().zip(ln_q).map(|(p, q)| p - q).fold(f32::NEG_INFINITY, f32::max)
    };
    // p(leaf) <= 1 and u(leaf) >= 4 classes of the least count, of 4,178 draws and one more for each class.
    let bound = (0.1f32 * 4.0 * 28.0 / 4_250.0).recip().ln();
    assert!(worst(0.1) <= bound, "{} for {bound}", worst(0.1));
}

#[test]
fn drift_stays_bounded_over_many_steps() {
    let table = &tables()[0];
    let gauss = RffConfig { features: 40, leaf_law: LeafLaw::Gauss, leaf_size: Some(8), ..Default::default() };
    let quadratic = QuadraticConfig { leaf_size: Some(8), ..Default::default() };
    for config in [SamplerConfig::Rff(gauss), SamplerConfig::Quadratic(quadratic)] {
        let (mut rows, mut walked) = (table.rows.clone(), tree(&config, table.classes()));
        for step in 0..2_000u32 {
            let id = [step % N as u32];
            let before = rows[id[0] as usize * D..][..D].to_vec();
            rows[id[0] as usize * D + step as usize % D] += 0.1;
            walked.refresh(&id, &before, classes_of(table, &rows)).unwrap();
        }
        let rebuilt = tree(&config, classes_of(table, &rows));
        let worst = walked.leaf_sums().iter().zip(rebuilt.leaf_sums()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{}: the sums drifted by {worst}", config.name());
    }
}

fn ln_probs(midx: &Midx, classes: Classes<'_>) -> Vec<f32> {
    midx.at(&query(), classes).unwrap().ln_probs(N)
}

#[test]
fn the_exact_midx_is_the_softmax_and_stays_it_when_rows_leave_their_codes() {
    for table in tables() {
        for (name, config) in midxs(0).filter(|(_, config)| config.variant == MidxVariant::Exact && config.prior == 0.0)
        {
            let mut rows = table.rows.clone();
            let mut midx = config.build(table.classes(), &[], SEED).unwrap();
            for _ in 0..2 {
                for classes in [classes_of(&table, &rows), classes_of(&table, &rows).absolute()] {
                    let softmax = ExactSoftmax.at(&query(), classes).unwrap().ln_probs(N);
                    for (class, (got, want)) in ln_probs(&midx, classes).into_iter().zip(softmax).enumerate() {
                        assert!((got - want).abs() < 1e-4, "{name}, {}: class {class}: {got} and {want}", table.name);
                    }
                }
                let before = change(&mut rows, table.width, &[0, 3, 36]);
                midx.refresh(&[0, 3, 36], &before, classes_of(&table, &rows)).unwrap();
            }
        }
    }
}

/// Embeddings that moved keep their codes, but biases count at once: what is refreshed is what the same codes over the
/// new table say.
#[test]
fn between_quantisations_midx_follows_its_codes_and_the_biases() {
    let ids = [0, 3, 11, 12, 36];
    for table in tables() {
        for (name, config) in midxs(0).filter(|(_, config)| config.variant == MidxVariant::Fast) {
            let mut rows = table.rows.clone();
            let mut midx = config.build(table.classes(), &counts(), SEED).unwrap();
            let (old, codes, codewords) = (ln_probs(&midx, table.classes()), midx.codes(), midx.codewords());
            change(&mut rows, table.width, &ids);
            let classes = classes_of(&table, &rows);
            midx.refresh(&ids, &[], classes).unwrap();
            let new = ln_probs(&midx, classes);
            let total: f64 = new.iter().map(|&ln_q| f64::from(ln_q).exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
            assert_eq!((old == new, midx.codes()), (table.width == D, codes.clone()), "{name}, {}", table.name);

            let mut other = config.build(classes, &counts(), SEED + 1).unwrap();
            other.restore(classes, &codewords, &codes, 1).unwrap();
            assert_eq!(ln_probs(&other, classes), new, "{name}, {}", table.name);
        }
    }
}

#[test]
fn a_quantisation_comes_when_it_is_due_and_lowers_the_error() {
    for table in tables() {
        for (name, config) in midxs(3) {
            let mut rows = table.rows.clone();
            let mut midx = config.build(table.classes(), &counts(), SEED).unwrap();
            let ids: Vec<ClassId> = (0..N as ClassId).collect();
            let (mut errors, mut codes) = (Vec::new(), vec![midx.codes()]);
            for _ in 0..3 {
                let before = change(&mut rows, table.width, &ids);
                let classes = classes_of(&table, &rows);
                let stale = midx.quantization_error(classes);
                midx.refresh(&ids, &before, classes).unwrap();
                errors.push((stale, midx.quantization_error(classes)));
                codes.push(midx.codes());
            }
            assert!(errors[0].0 == errors[0].1 && errors[1].0 == errors[1].1, "{name}: {errors:?}");
            assert!(codes[0] == codes[1] && codes[1] == codes[2], "{name}");
            assert!(errors[2].1 < 0.9 * errors[2].0, "{name}, {}: {errors:?}", table.name);
            let total: f64 = ln_probs(&midx, classes_of(&table, &rows)).iter().map(|&q| f64::from(q).exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
        }
    }
}

#[test]
fn a_restored_midx_is_equal_to_the_last_bit_and_goes_on_so() {
    for table in tables() {
        for (name, config) in midxs(3) {
            let mut rows = table.rows.clone();
            let mut walked = config.build(table.classes(), &counts(), SEED).unwrap();
            for ids in [&[1, 2, 30][..], &[0, 7, 8, 9], &[5], &[2, 3]] {
                let before = change(&mut rows, table.width, ids);
                walked.refresh(ids, &before, classes_of(&table, &rows)).unwrap();
            }
            let mut restored = config.build(table.classes(), &counts(), SEED).unwrap();
            let classes = classes_of(&table, &rows);
            restored.restore(classes, &walked.codewords(), &walked.codes(), walked.steps()).unwrap();
            for _ in 0..3 {
                assert_eq!(ln_probs(&walked, classes), ln_probs(&restored, classes), "{name}, {}", table.name);
                walked.refresh(&[4], &[], classes).unwrap();
                restored.refresh(&[4], &[], classes).unwrap();
            }
            assert_eq!(walked.codewords(), restored.codewords(), "{name}");
        }
    }
}

#[test]
fn a_state_that_does_not_fit_is_refused_and_midx_stays_whole() {
    let table = &tables()[0];
    let classes = table.classes();
    let mut midx = MidxConfig { codewords: 4, ..Default::default() }.build(classes, &[], SEED).unwrap();
    let (old, codewords, codes) = (ln_probs(&midx, classes), midx.codewords(), midx.codes());
    let strange: Vec<u32> = codes.iter().map(|_| 16).collect();
    for (codewords, codes) in [(&codewords[1..], &codes[..]), (&codewords, &codes[1..]), (&codewords, &strange)] {
        assert!(matches!(midx.restore(classes, codewords, codes, 0), Err(Error::WrongState { .. })));
        assert_eq!(ln_probs(&midx, classes), old);
    }
}

#[test]
fn midx_quantises_the_same_on_any_number_of_threads() {
    let rows = normals(5_000 * D, 1);
    let classes = Classes::new(&rows, D);
    for quantizer in [Quantizer::Pq, Quantizer::Rq] {
        let config = MidxConfig { quantizer, codewords: 8, refresh_every: 1, ..Default::default() };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut midx = config.build(classes, &[], SEED).unwrap();
                midx.refresh(&[], &[], classes).unwrap();
                (midx.codewords(), midx.codes())
            })
        };
        assert_eq!(on(1), on(3));
    }
}

#[test]
fn moments_drift_no_further_over_many_steps() {
    let table = &tables()[0];
    for levels in [2, 3] {
        let config = ClusterConfig { leaf_size: Some(8), levels: Some(levels), ..Default::default() };
        let config = SamplerConfig::Cluster(config);
        let (mut rows, mut walked) = (table.rows.clone(), cluster(&config, table.classes()));
        for step in 0..2_000u32 {
            let id = [step % N as u32];
            let before = rows[id[0] as usize * D..][..D].to_vec();
            rows[id[0] as usize * D + step as usize % D] += 0.1;
            walked.refresh(&id, &before, classes_of(table, &rows)).unwrap();
        }
        let rebuilt = cluster(&config, classes_of(table, &rows));
        let worst = walked.sums().iter().zip(rebuilt.sums()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{levels} levels: the sums drifted by {worst}");
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let table = &tables()[0];
    let any = |config: SamplerConfig, counts: &[u64]| config.build(table.classes(), counts, SEED).unwrap_err();
    let refused = |config: RffConfig, counts: &[u64]| any(SamplerConfig::Rff(config), counts);
    let field = |error| match error {
        Error::BadSetting { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(refused(RffConfig { features: 0, ..Default::default() }, &[])), "features");
    assert_eq!(field(refused(RffConfig { nu: -1.0, ..Default::default() }, &[])), "nu");
    let positive = RffConfig { map: FeatureMapKind::Positive, nu: 40.5, ..Default::default() };
    assert_eq!(field(refused(positive.clone(), &[])), "nu");
    assert!(RffConfig { map: FeatureMapKind::Orthogonal, ..positive }.build(table.classes(), &[], SEED).is_ok());
    assert_eq!(field(refused(RffConfig { floor: f32::NAN, ..Default::default() }, &[])), "floor");
    assert_eq!(field(refused(RffConfig { leaf_size: Some(0), ..Default::default() }, &[])), "leaf_size");
    assert_eq!(field(refused(RffConfig { prior: 0.5, ..Default::default() }, &[1, 2])), "prior");
    assert_eq!(field(refused(RffConfig { growth: 0.5, ..Default::default() }, &[])), "growth");
    let similar = RffConfig { grouping: Grouping::Similarity, growth: 2.0, ..Default::default() };
    assert_eq!(field(refused(similar, &[])), "growth");
    let frequent = RffConfig { grouping: Grouping::Frequency, ..Default::default() };
    assert_eq!(field(refused(frequent.clone(), &[])), "grouping");
    assert_eq!(field(refused(frequent, &[1, 2])), "counts");
    let small = RffConfig { memory_gib: 1e-6, ..Default::default() };
    assert!(matches!(refused(small, &[]), Error::TooLarge { .. }));

    let refused = |config: ClusterConfig, counts: &[u64]| any(SamplerConfig::Cluster(config), counts);
    assert_eq!(field(refused(ClusterConfig { leaf_size: Some(0), ..Default::default() }, &counts())), "leaf_size");
    assert_eq!(field(refused(ClusterConfig { epsilon: 1.5, ..Default::default() }, &counts())), "epsilon");
    assert_eq!(field(refused(ClusterConfig { epsilon: f32::NAN, ..Default::default() }, &counts())), "epsilon");
    assert_eq!(field(refused(ClusterConfig { levels: Some(4), ..Default::default() }, &counts())), "levels");
    assert_eq!(field(refused(ClusterConfig { growth: Some(0.5), ..Default::default() }, &counts())), "growth");
    assert_eq!(field(refused(ClusterConfig::default(), &[1, 2])), "counts");

    let refused = |config: QuadraticConfig| any(SamplerConfig::Quadratic(config), &[]);
    assert_eq!(field(refused(QuadraticConfig { alpha: 0.0, ..Default::default() })), "alpha");
    assert_eq!(field(refused(QuadraticConfig { leaf_size: Some(0), ..Default::default() })), "leaf_size");
    assert_eq!(field(refused(QuadraticConfig { prior: 0.5, ..Default::default() })), "prior");
    let small = QuadraticConfig { memory_gib: 1e-6, ..Default::default() };
    assert!(matches!(refused(small), Error::TooLarge { .. }));

    let refused = |config: MidxConfig| any(SamplerConfig::Midx(config), &[]);
    assert_eq!(field(refused(MidxConfig { codewords: 0, ..Default::default() })), "codewords");
    assert_eq!(field(refused(MidxConfig { codewords: 1 << 16, ..Default::default() })), "codewords");
    assert_eq!(field(refused(MidxConfig { iterations: 0, ..Default::default() })), "iterations");
    assert_eq!(field(refused(MidxConfig { prior: 0.5, ..Default::default() })), "prior");
    assert!(matches!(refused(MidxConfig { memory_gib: 1e-6, ..Default::default() }), Error::TooLarge { .. }));
    let thin = SamplerConfig::Midx(MidxConfig { quantizer: Quantizer::Pq, ..Default::default() });
    assert_eq!(field(thin.build(Classes::new(&table.rows, 1), &[], SEED).unwrap_err()), "quantizer");

    let unigram = |power| SamplerConfig::Unigram(UnigramConfig { power });
    assert_eq!(field(any(unigram(f32::NAN), &counts())), "power");
    for config in [unigram(0.75), SamplerConfig::LogUniform {}] {
        assert_eq!(field(any(config.clone(), &[])), "kind");
        assert_eq!(field(any(config, &[1, 2])), "kind");
    }
}
