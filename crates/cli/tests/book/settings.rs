//! The page of all settings, made from the code.

use std::fmt::Write;

use rf_data::{DataConfig, Propensity, SyntheticConfig, XcDataConfig, XcSyntheticConfig};
use rf_sampling::{ClusterConfig, MidxConfig, QuadraticConfig, RffConfig, UnigramConfig};
use rf_softmax::LossConfig;
use rf_training::{Cosine, OptimizerConfig, Plateau, TrainConfig};
use serde::Serialize;
use toml::{Table, Value};

use crate::source::{Source, enum_name};

/// Files that settings are in.
const FILES: [&str; 27] = [
    "cli/src/plan/mod.rs",
    "cli/src/task.rs",
    "data/src/config.rs",
    "data/src/synthetic/config.rs",
    "data/src/xc/config.rs",
    "data/src/xc/propensity.rs",
    "data/src/xc/synthetic/config.rs",
    "data/src/xc/weighting.rs",
    "lm/src/config.rs",
    "sampling/src/any.rs",
    "sampling/src/cluster/config.rs",
    "sampling/src/draw.rs",
    "sampling/src/feature_map/kind.rs",
    "sampling/src/grouping/mod.rs",
    "sampling/src/midx/config.rs",
    "sampling/src/tree/config.rs",
    "sampling/src/tree/quadratic.rs",
    "sampling/src/unigram.rs",
    "softmax/src/config.rs",
    "softmax/src/labels.rs",
    "softmax/src/row_optimizer/mod.rs",
    "training/src/optimizer.rs",
    "training/src/schedule/cosine.rs",
    "training/src/schedule/plateau.rs",
    "training/src/schedule/step.rs",
    "training/src/train_config.rs",
    "xmc/src/config.rs",
];

/// What stands above the tables.
const INTRODUCTION: &str = "# Every setting

<!-- Made from the code by `cargo test --workspace --test book`; RFS_WRITE_BOOK=1 before it writes this page anew. -->

An experiment is one TOML file. Every key has a default unless it is marked as required; an unknown key is refused with the
allowed ones. `--set key=value` changes a key from the command line, `--set key=none` takes it away. `plan.toml` in the run folder
holds the value of every key. A default of – means that the key is not set; its description says what that means.

";

/// A table of settings.
struct Section {
    heading: &'static str,
    about: &'static str,
    of: &'static str,
    defaults: Table,
    /// Fields that are left out, being sections of their own or none of this table's.
    without: &'static [&'static str],
    /// Whether a field without a default must be given.
    required: &'static [&'static str],
}

fn section(heading: &'static str, of: &'static str, defaults: impl Serialize) -> Section {
    let defaults = Table::try_from(defaults).unwrap();
    Section { heading, about: "", of, defaults, without: &[], required: &[] }
}

fn sections() -> Vec<Section> {
    let top = Table::from_iter([("seed".to_string(), Value::Integer(1))]);
    let text: DataConfig = toml::from_str("kind = 'text'\ntrain = 'a'\nvalid = 'a'\ntest = 'a'").unwrap();
    let points: XcDataConfig = toml::from_str("kind = 'xc'\ntrain = 'a'\ntest = 'a'").unwrap();
    let about = |about, section| Section { about, ..section };
    let text = Section {
        about: "Text files: one sentence a line, words between white space, plain or gzip.",
        required: &["train", "valid", "test"],
        ..section("`[data]` of a language model, `kind = \"text\"`", "data::TextConfig", text)
    };
    let points = Section {
        about: "Files of the Extreme Classification Repository, plain or gzip.",
        required: &["train", "test"],
        ..section("`[data]` of a classifier, `kind = \"xc\"`", "data::XcConfig", points)
    };
    vec![
        Section {
            required: &["task"],
            without: &["data", "model", "loss", "optimizer", "train"],
            ..section("Top of the file", "cli::Plan", top)
        },
        text,
        about(
            "Generated text of known entropy, the default.",
            section(
                "`[data]` of a language model, `kind = \"synthetic\"`",
                "data::SyntheticConfig",
                SyntheticConfig::default(),
            ),
        ),
        points,
        section("`[data.propensity]` of a classifier", "data::Propensity", Propensity::default()),
        about(
            "Generated points with planted labels, the default.",
            section(
                "`[data]` of a classifier, `kind = \"synthetic\"`",
                "data::XcSyntheticConfig",
                XcSyntheticConfig::default(),
            ),
        ),
        section("`[model]` of a language model", "lm::ModelConfig", rf_lm::ModelConfig::default()),
        section("`[model]` of a classifier", "xmc::ModelConfig", rf_xmc::ModelConfig::default()),
        Section { without: &["sampler"], ..section("`[loss]`", "softmax::LossConfig", LossConfig::default()) },
        about(
            "The cluster proposal, the default. `uniform`, `log-uniform` and `exp` have no settings.",
            section("`[loss.sampler]`, `kind = \"cluster\"`", "sampling::ClusterConfig", ClusterConfig::default()),
        ),
        section("`[loss.sampler]`, `kind = \"rff\"`", "sampling::RffConfig", RffConfig::default()),
        section("`[loss.sampler]`, `kind = \"quadratic\"`", "sampling::QuadraticConfig", QuadraticConfig::default()),
        section("`[loss.sampler]`, `kind = \"midx\"`", "sampling::MidxConfig", MidxConfig::default()),
        section("`[loss.sampler]`, `kind = \"unigram\"`", "sampling::UnigramConfig", UnigramConfig::default()),
        Section {
            without: &["schedule"],
            ..section("`[optimizer]`", "training::OptimizerConfig", OptimizerConfig::default())
        },
        about(
            "The schedule of `kind = \"constant\"`, the default, has no settings.",
            Section {
                required: &["from_epoch", "factor"],
                ..section("`[optimizer.schedule]`, `kind = \"step\"`", "training::StepDecay", Table::new())
            },
        ),
        section("`[optimizer.schedule]`, `kind = \"plateau\"`", "training::Plateau", Plateau::default()),
        section("`[optimizer.schedule]`, `kind = \"cosine\"`", "training::Cosine", Cosine::default()),
        section("`[train]`", "training::TrainConfig", TrainConfig::default()),
    ]
}

impl Section {
    fn write(&self, source: &Source, page: &mut String) {
        writeln!(page, "## {}\n", self.heading).unwrap();
        if !self.about.is_empty() {
            writeln!(page, "{}\n", self.about).unwrap();
        }
        page.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for field in source.fields(self.of).iter().filter(|field| !self.without.contains(&field.name.as_str())) {
            let (name, kind) = (&field.name, source.words(&field.kind));
            let values = enum_name(&field.kind).and_then(|name| source.variants(&name)).unwrap_or_default();
            let values: String =
                values.iter().map(|value| format!("<br>`\"{}\"`: {}", value.name, value.doc)).collect();
            writeln!(page, "| `{name}` | {kind} | {} | {}{values} |", self.default(name), field.doc).unwrap();
        }
        page.push('\n');
    }

    fn default(&self, name: &str) -> String {
        match self.defaults.get(name) {
            _ if self.required.contains(&name) => "required".into(),
            Some(Value::Table(_)) => "below".into(),
            Some(Value::Float(number)) => format!("`{}`", *number as f32),
            Some(value) => format!("`{value}`"),
            None => "–".into(),
        }
    }
}

fn page() -> String {
    let mut source = Source::default();
    FILES.iter().for_each(|file| source.read(file));
    let mut page = INTRODUCTION.to_string();
    sections().iter().for_each(|section| section.write(&source, &mut page));
    page.truncate(page.trim_end().len());
    page + "\n"
}

#[test]
fn the_page_of_settings_is_what_the_code_says() {
    let (path, page) = (crate::root().join("docs/src/settings.md"), page());
    if std::env::var_os("RFS_WRITE_BOOK").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let hint = "write it anew with RFS_WRITE_BOOK=1 cargo test --workspace --test book";
    assert!(written == page, "docs/src/settings.md is not what the code says: {hint}");
}

#[test]
fn every_default_of_the_code_stands_on_the_page() {
    let mut source = Source::default();
    FILES.iter().for_each(|file| source.read(file));
    for section in sections() {
        let names: Vec<_> = source.fields(section.of).iter().map(|field| field.name.as_str()).collect();
        for key in section.defaults.keys().filter(|key| *key != "kind") {
            assert!(names.contains(&key.as_str()), "{}: {key}", section.of);
        }
    }
}
