//! Which samplers are measured, and what they are called.

use std::collections::BTreeSet;

use rf_sampling::{
    ClusterConfig, FeatureMapKind, Grouping, LeafLaw, MidxConfig, QuadraticConfig, Quantizer, RffConfig, SamplerConfig,
    UnigramConfig,
};
use rf_softmax::{LossConfig, LossKind};
use rf_training::RunFolder;
use serde_json::{Map, Value, json};

use crate::args::{DiagnoseArgs, Sweep};
use crate::commands::names::names;
use crate::document::Override;
use crate::exit::bad_input;
use crate::plan::AnyPlan;

/// Name of a row, and its sampler at D frequencies.
type Named = (&'static str, fn(usize) -> SamplerConfig);

/// The table. The row `rff` is the published setting; `rff-gauss` and `rff-exact` are the same tree with those leaf laws.
const ROWS: &[Named] = &[
    ("uniform", |_| SamplerConfig::Uniform {}),
    ("log-uniform", |_| SamplerConfig::LogUniform {}),
    ("unigram", |_| SamplerConfig::Unigram(UnigramConfig { power: 1.0 })),
    ("unigram^0.75", |_| SamplerConfig::Unigram(UnigramConfig { power: 0.75 })),
    ("quadratic", |_| SamplerConfig::Quadratic(QuadraticConfig::default())),
    ("rff", |features| SamplerConfig::Rff(published(features))),
    ("rff-gauss", |features| SamplerConfig::Rff(RffConfig { leaf_law: LeafLaw::Gauss, ..published(features) })),
    ("rff-exact", |features| SamplerConfig::Rff(RffConfig { leaf_law: LeafLaw::Exact, ..published(features) })),
    ("rff:features=128,nu=2,prior=0.75", |_| SamplerConfig::Rff(RffConfig { nu: 2.0, prior: 0.75, ..published(128) })),
    ("rff-orthogonal", |features| SamplerConfig::Rff(with_map(FeatureMapKind::Orthogonal, features))),
    ("rff-positive", |features| SamplerConfig::Rff(with_map(FeatureMapKind::Positive, features))),
    ("midx-pq", |_| SamplerConfig::Midx(MidxConfig { quantizer: Quantizer::Pq, ..Default::default() })),
    ("midx-rq", |_| SamplerConfig::Midx(MidxConfig::default())),
    ("cluster", |_| SamplerConfig::Cluster(ClusterConfig::default())),
    ("cluster-similarity", |_| SamplerConfig::Cluster(by_similarity())),
    ("exp", |_| SamplerConfig::Exp {}),
];

const SWEPT_NU: [f32; 4] = [1.0, 2.0, 4.0, 8.0];
const SWEPT_FEATURES: [usize; 3] = [128, 1024, 4096];

/// The table that holds a sampler in a plan.
const SAMPLER: &str = "loss.sampler";

fn published(features: usize) -> RffConfig {
    RffConfig { features, ..RffConfig::default() }
}

fn with_map(map: FeatureMapKind, features: usize) -> RffConfig {
    RffConfig { map, ..published(features) }
}

fn by_similarity() -> ClusterConfig {
    ClusterConfig { grouping: Some(Grouping::Similarity), ..ClusterConfig::default() }
}

/// One row to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it is called in outputs.
    pub name: String,
    /// The sampler.
    pub config: SamplerConfig,
    /// Whether somebody asked for it by name or by its settings: then it must be possible.
    pub is_asked: bool,
    /// Whether the run trains with it.
    pub is_own: bool,
}

/// All rows: those of the table or those chosen from it, the run's own, a sweep's, and one for each `--set`. A sampler
/// that is there already makes no second row.
pub fn entries(args: &DiagnoseArgs, plan: &AnyPlan, folder: &RunFolder) -> anyhow::Result<Vec<Entry>> {
    let mut entries = match &args.samplers {
        None => table(args, false),
        Some(list) => chosen(table(args, true), list)?,
    };
    let own = own(plan.loss());
    if let (None, Some(config)) = (&args.samplers, own) {
        add(&mut entries, config.clone(), false);
    }
    args.sweep.iter().flat_map(|sweep| swept(*sweep, args.features.get())).for_each(|rff| add(&mut entries, rff, true));
    for change in &args.set {
        add(&mut entries, changed(folder, change)?, true);
    }
    entries.iter_mut().for_each(|entry| entry.is_own = Some(&entry.config) == own);
    Ok(entries)
}

fn table(args: &DiagnoseArgs, is_asked: bool) -> Vec<Entry> {
    let entry = |(name, config): &Named| Entry {
        name: (*name).into(),
        config: config(args.features.get()),
        is_asked,
        is_own: false,
    };
    ROWS.iter().map(entry).collect()
}

/// The entries that a list names, in their own order.
fn chosen(mut entries: Vec<Entry>, list: &str) -> anyhow::Result<Vec<Entry>> {
    let wanted: BTreeSet<String> = names(list).into_iter().collect();
    if let Some(unknown) = wanted.iter().find(|name| !ROWS.iter().any(|row| row.0 == **name)) {
        let known = ROWS.iter().map(|row| format!("`{}`", row.0)).collect::<Vec<_>>().join(", ");
        let message = format!("no row has this name; there are {known}, and any other sampler by --set {SAMPLER}=…");
        return Err(bad_input(format!("--samplers {unknown}: {message}")));
    }
    entries.retain(|entry| wanted.contains(&entry.name));
    Ok(entries)
}

fn add(entries: &mut Vec<Entry>, config: SamplerConfig, is_asked: bool) {
    match entries.iter_mut().find(|entry| entry.config == config) {
        Some(entry) => entry.is_asked |= is_asked,
        None => entries.push(Entry { name: name_of(&config), config, is_asked, is_own: false }),
    }
}

/// The sampler that the run trains with, if it has one.
fn own(loss: &LossConfig) -> Option<&SamplerConfig> {
    (loss.kind == LossKind::Sampled).then_some(&loss.sampler)
}

fn swept(sweep: Sweep, features: usize) -> Vec<SamplerConfig> {
    match sweep {
        Sweep::Nu => SWEPT_NU.map(|nu| SamplerConfig::Rff(RffConfig { nu, ..published(features) })).to_vec(),
        Sweep::Features => SWEPT_FEATURES.map(|features| SamplerConfig::Rff(published(features))).to_vec(),
    }
}

/// The sampler of the run's plan under a change.
fn changed(folder: &RunFolder, change: &Override) -> anyhow::Result<SamplerConfig> {
    if !change.is_within(SAMPLER) {
        let message =
            format!("only `{SAMPLER}` can be set here, for example --set \"{SAMPLER}={{kind='rff', nu=2.0}}\"");
        return Err(bad_input(format!("{change}: {message}")));
    }
    // Here every query draws for itself, so a sampler that cannot share is as good as any.
    let alone: Override = "loss.sharing=query".parse().map_err(|error: String| bad_input(error))?;
    Ok(AnyPlan::load_under(folder, &[alone, change.clone()])?.loss().sampler.clone())
}

/// The kind, and the settings that differ from its defaults: `rff:features=128,nu=2`. D is always told.
fn name_of(config: &SamplerConfig) -> String {
    let defaults =
        serde_json::from_value(json!({ "kind": config.name() })).map_or(Map::new(), |plain| settings(&plain));
    let is_told = |(key, value): &(String, Value)| {
        key != "kind" && !value.is_null() && (key == "features" || defaults.get(key) != Some(value))
    };
    let told: Vec<String> =
        settings(config).into_iter().filter(is_told).map(|(key, value)| shown(&key, &value)).collect();
    if told.is_empty() { config.name().into() } else { format!("{}:{}", config.name(), told.join(",")) }
}

fn shown(key: &str, value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("{key}={}", text.strip_suffix(".0").unwrap_or(&text))
}

/// All settings of a sampler.
pub fn settings(config: &SamplerConfig) -> Map<String, Value> {
    // By way of text, which keeps a short f32 short.
    let text = serde_json::to_string(config).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};
    use crate::experiment;

    const OWN: &str = "task = 'lm'\n[loss]\nsharing = 'batch'\n[loss.sampler]\nkind = 'rff'\nfeatures = 16\n";

    /// The entries that are typed after `rfs diagnose r`, for a run of the file `text`.
    fn typed(text: &str, more: &[&str]) -> anyhow::Result<Vec<Entry>> {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        let plan = AnyPlan::new(experiment::parse(Path::new("a.toml"), text, &[])?, Path::new("/data"))?;
        plan.save(&folder)?;
        let Command::Diagnose(args) = Args::parse_from([&["rfs", "diagnose", "r"], more].concat()).command else {
            panic!("not diagnose")
        };
        entries(&args, &plan, &folder)
    }

    fn called(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn the_row_rff_is_the_published_setting_whatever_the_run_has() {
        let entries = typed(OWN, &["--features", "64"]).unwrap();
        let wanted = RffConfig { features: 64, ..RffConfig::default() };
        let rff = entries.iter().find(|entry| entry.name == "rff").unwrap();
        assert_eq!(rff.config, SamplerConfig::Rff(wanted));
        let own: Vec<&str> = entries.iter().filter(|entry| entry.is_own).map(|entry| entry.name.as_str()).collect();
        assert!(entries.len() == ROWS.len() + 1 && own == ["rff:features=16"] && entries[ROWS.len()].is_own);
    }

    #[test]
    fn rows_named_by_settings_carry_the_name_that_their_settings_give() {
        let named = ROWS.iter().filter(|row| row.0.contains(':'));
        named.for_each(|(name, config)| assert_eq!(name_of(&config(1024)), *name));
        assert_eq!(name_of(&SamplerConfig::Uniform {}), "uniform");
        assert_eq!(
            name_of(&SamplerConfig::Rff(RffConfig { leaf_law: LeafLaw::Gauss, ..published(32) })),
            "rff:features=32,leaf_law=gauss"
        );
    }

    #[test]
    fn the_sampler_of_a_run_is_no_second_row_and_a_full_softmax_has_none() {
        let published = typed("task = 'lm'\n[loss.sampler]\nkind = 'rff'\n", &[]).unwrap();
        let is_rff = |entry: &Entry| entry.is_own == (entry.name == "rff");
        assert!(published.len() == ROWS.len() && published.iter().all(is_rff));
        let full = typed("task = 'lm'\n[loss]\nkind = 'full'\n", &[]).unwrap();
        assert!(full.len() == ROWS.len() && full.iter().all(|entry| !entry.is_own && !entry.is_asked));
    }

    #[test]
    fn each_set_is_a_row_and_may_be_a_setting_of_the_runs_own_sampler() {
        let quadratic = "loss.sampler={kind='quadratic', alpha=7.0}";
        let more =
            ["--samplers", "exp", "--set", quadratic, "--set", "loss.sampler.nu=2", "--set", "loss.sampler.kind=exp"];
        let entries = typed(OWN, &more).unwrap();
        assert_eq!(called(&entries), ["exp", "quadratic:alpha=7", "rff:features=16,nu=2"]);
        assert!(entries.iter().all(|entry| entry.is_asked));
    }

    #[test]
    fn a_sweep_adds_what_is_not_there() {
        let entries = typed(OWN, &["--samplers", "rff", "--sweep", "nu", "--sweep", "features"]).unwrap();
        let wanted = [
            "rff",
            "rff:features=1024,nu=1",
            "rff:features=1024,nu=2",
            "rff:features=1024,nu=8",
            "rff:features=128",
            "rff:features=4096",
        ];
        assert_eq!(called(&entries), wanted);
    }

    #[test]
    fn what_cannot_be_a_row_is_refused_with_its_flag() {
        let message = |more: &[&str]| typed(OWN, more).unwrap_err().to_string();
        let unknown = message(&["--set", "loss.sampler={kind='rff', fetures=3}"]);
        assert!(
            unknown.starts_with("--set loss.sampler={kind='rff', fetures=3}: unknown field `fetures`"),
            "{unknown}"
        );
        let range = message(&["--set", "loss.sampler={kind='rff', nu=-1.0}"]);
        assert!(range.ends_with("-1 is not allowed; it must be positive and finite"), "{range}");
        let other = message(&["--set", "loss.draws=3"]);
        assert!(other.starts_with("--set loss.draws=3: only `loss.sampler` can be set here"), "{other}");
        let name = message(&["--samplers", "rff,foo"]);
        assert!(name.starts_with("--samplers foo: no row has this name; there are `uniform`, "), "{name}");
    }
}
