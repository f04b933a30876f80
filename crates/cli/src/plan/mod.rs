//! What will be done: an experiment whose every value is resolved and checked.

mod check;
mod lm;
mod xmc;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rf_softmax::LossConfig;
use rf_training::{OptimizerConfig, RunFolder, TrainConfig, replace_file};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::document::{Document, Override};
use crate::exit::OrBadInput;
use crate::experiment::{self, Experiment};
use crate::task::{Lm, Task, TaskKind, Xmc};

/// Keys that may grow when a run is resumed.
const MAY_GROW: [&str; 2] = ["train.epochs", "train.steps"];

/// Keys that may be others when a run is resumed: what a checkpoint holds has the same meaning under any of their values.
const MAY_CHANGE: [&str; 9] = [
    "optimizer.learning_rate",
    "optimizer.clip_norm",
    "optimizer.weight_decay",
    "optimizer.warmup_steps",
    "train.evaluate_every",
    "train.checkpoint_every",
    "train.log_every",
    "train.patience",
    "train.min_improvement",
];

/// How two plans of a run differ, each setting as `train.batch_size: 20 there, 40 here`.
#[derive(Debug, Default, PartialEq)]
pub struct Differences {
    /// What may be another when a run is resumed.
    pub allowed: Vec<String>,
    /// What may not.
    pub refused: Vec<String>,
}

/// A plan of any task; `plan.toml` of a run folder is its text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnyPlan {
    /// A language model.
    Lm(Plan<Lm>),
    /// Extreme classification.
    Xmc(Plan<Xmc>),
}

/// A checked experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub struct Plan<T: TaskKind> {
    /// What is learnt.
    pub task: Task,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Section `[data]`, its paths absolute.
    pub data: T::Data,
    /// Section `[model]`.
    pub model: T::Model,
    /// Section `[loss]`.
    pub loss: LossConfig,
    /// Section `[optimizer]`, with the rule for rows.
    pub optimizer: OptimizerConfig,
    /// Section `[train]`, with either `epochs` or `steps`.
    pub train: TrainConfig,
}

impl<T: TaskKind> Plan<T> {
    /// Resolves and checks `experiment`, the data paths being below `data_root`.
    fn new(experiment: Experiment<T>, data_root: &Path) -> anyhow::Result<Self> {
        let Experiment { task, seed, mut data, model, loss, mut optimizer, mut train, places } = experiment;
        T::resolve(&mut data, &mut train, data_root)?;
        optimizer.rows = Some(optimizer.row_rule());
        if train.steps.is_none() {
            train.epochs.get_or_insert(1);
        }
        let plan = Self { task, seed, data, model, loss, optimizer, train };
        check::check(&plan, &places)?;
        Ok(plan)
    }

    /// Reads a plan that was stored.
    fn read(document: Document) -> anyhow::Result<Self> {
        let (plan, places) = document.read::<Self>()?;
        check::check(&plan, &places)?;
        Ok(plan)
    }
}

impl AnyPlan {
    /// The plan of the experiment file at `path` under `overrides`.
    pub fn of_file(path: &Path, overrides: &[Override]) -> anyhow::Result<Self> {
        Self::new(experiment::load(path, overrides)?, &rf_data::data_root())
    }

    /// Resolves and checks an experiment.
    pub fn new(document: Document, data_root: &Path) -> anyhow::Result<Self> {
        Ok(match document.task()? {
            Lm::TASK => Self::Lm(Plan::new(Experiment::read(document)?, data_root)?),
            Xmc::TASK => Self::Xmc(Plan::new(Experiment::read(document)?, data_root)?),
        })
    }

    /// Reads the plan of the run in `folder`.
    pub fn load(folder: &RunFolder) -> anyhow::Result<Self> {
        Self::load_under(folder, &[])
    }

    /// Reads the plan of the run in `folder` with `overrides` laid over it.
    pub fn load_under(folder: &RunFolder, overrides: &[Override]) -> anyhow::Result<Self> {
        let path = folder.plan();
        let text =
            std::fs::read_to_string(&path).map_err(|source| rf_training::Error::Io { path: path.clone(), source });
        let document = experiment::parse(&path, &text.or_bad_input()?, overrides)?;
        Ok(match document.task()? {
            Lm::TASK => Self::Lm(Plan::read(document)?),
            Xmc::TASK => Self::Xmc(Plan::read(document)?),
        })
    }

    /// Seed of all random numbers.
    pub fn seed(&self) -> u64 {
        match self {
            Self::Lm(plan) => plan.seed,
            Self::Xmc(plan) => plan.seed,
        }
    }

    /// Section `[loss]`.
    pub fn loss(&self) -> &LossConfig {
        match self {
            Self::Lm(plan) => &plan.loss,
            Self::Xmc(plan) => &plan.loss,
        }
    }

    /// Stores the plan in `folder`.
    pub fn save(&self, folder: &RunFolder) -> anyhow::Result<()> {
        let text = toml::to_string(self)?;
        Ok(replace_file(&folder.plan(), |file| file.write_all(text.as_bytes()))?)
    }

    /// How this plan differs from `saved`, the plan of a run that it is to continue.
    pub fn differences(&self, saved: &Self) -> anyhow::Result<Differences> {
        let (here, there) = (self.flat()?, saved.flat()?);
        let keys: BTreeSet<_> = here.keys().chain(there.keys()).collect();
        let text = |value: Option<&Value>| value.map_or("not set".into(), Value::to_string);
        let mut differences = Differences::default();
        for key in keys {
            let (here, there) = (here.get(key), there.get(key));
            let is_allowed = may_change(key) || (MAY_GROW.contains(&key.as_str()) && grows(there, here));
            let list = if is_allowed { &mut differences.allowed } else { &mut differences.refused };
            if here != there {
                list.push(format!("{key}: {} there, {} here", text(there), text(here)));
            }
        }
        Ok(differences)
    }

    /// Every setting by its dotted key.
    fn flat(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        Ok(flat(&Table::try_from(self)?))
    }
}

/// Every setting of a plan by its dotted key.
pub fn flat(plan: &Table) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    flatten("", plan, &mut flat);
    flat
}

fn may_change(key: &str) -> bool {
    MAY_CHANGE.contains(&key) || key.starts_with("optimizer.schedule.")
}

fn grows(from: Option<&Value>, to: Option<&Value>) -> bool {
    let number = |value: Option<&Value>| value.and_then(Value::as_integer);
    matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to)
}

fn flatten(prefix: &str, table: &Table, flat: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        match value {
            Value::Table(table) => flatten(&format!("{prefix}{key}."), table, flat),
            value => drop(flat.insert(format!("{prefix}{key}"), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use rf_data::{DataConfig, XcDataConfig};
    use rf_softmax::RowOptimizer;

    use super::*;

    const TEXT: &str = "task = 'lm'\n[data]\nkind = 'text'\ntrain = 'a.txt'\nvalid = 'b.txt'\ntest = '/far/c.txt'\n\
                        [loss]\ntau = 11.1\n[loss.sampler]\nkind = 'uniform'\n";

    const POINTS: &str = "task = 'xmc'\n[data]\nkind = 'xc'\ntrain = { features = 'a', labels = '/far/b' }\n\
                          test = 'c'\nlabel_names = 'd'\n[loss.sampler]\nkind = 'uniform'\n";

    fn any(text: &str, overrides: &[&str]) -> anyhow::Result<AnyPlan> {
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        AnyPlan::new(experiment::parse(Path::new("a.toml"), text, &overrides)?, Path::new("/data"))
    }

    fn lm(text: &str, overrides: &[&str]) -> Plan<Lm> {
        let AnyPlan::Lm(plan) = any(text, overrides).unwrap() else { panic!("not lm") };
        plan
    }

    #[test]
    fn every_value_is_resolved() {
        let plan = lm(TEXT, &[]);
        assert_eq!((plan.train.epochs, plan.optimizer.rows), (Some(1), Some(RowOptimizer::LazyAdam)));
        let TrainConfig { batch_size, bptt, eval_batch_size, .. } = plan.train;
        assert_eq!([batch_size, bptt, eval_batch_size], [Some(20), Some(35), Some(10)]);
        let DataConfig::Text(text) = plan.data else { panic!("not text") };
        assert_eq!((text.train, text.test, text.stream), ("/data/a.txt".into(), "/far/c.txt".into(), None));
    }

    #[test]
    fn every_value_of_points_is_resolved() {
        let AnyPlan::Xmc(plan) = any(POINTS, &[]).unwrap() else { panic!("not xmc") };
        assert_eq!((plan.task, plan.train.epochs, plan.train.bptt), (Task::Xmc, Some(1), None));
        assert_eq!((plan.train.batch_size, plan.train.eval_batch_size), (Some(256), Some(1024)));
        let XcDataConfig::Xc(data) = plan.data else { panic!("not files") };
        let paths: Vec<_> = data.train.paths().into_iter().chain(data.test.paths()).collect();
        assert_eq!(paths, ["/data/a", "/far/b", "/data/c"].map(Path::new));
        assert_eq!(data.label_names, Some("/data/d".into()));
    }

    #[test]
    fn the_task_is_read_before_what_depends_on_it() {
        let message = |text| any(text, &[]).unwrap_err().to_string();
        assert_eq!(message("seed = 1\n"), "a.toml: missing field `task`");
        let wanted = "a.toml, line 2, task: unknown variant `ml`, expected `lm` or `xmc`";
        assert_eq!(message("sed = 1\ntask = 'ml'\n"), wanted);
        let wanted = "a.toml, line 3, model.embedding: unknown field `embedding`, expected one of `dim`";
        assert!(message("task = 'xmc'\n[model]\nembedding = 3\n").starts_with(wanted));
    }

    #[test]
    fn a_text_of_several_files_is_a_stream() {
        let plan = lm(&TEXT.replace("'a.txt'", "['a', '/far/b']"), &[]);
        let DataConfig::Text(text) = plan.data else { panic!("not text") };
        let paths = ["/data/a", "/far/b"].map(std::path::PathBuf::from);
        assert_eq!((text.train.paths(), text.stream), (&paths[..], Some(true)));
    }

    #[test]
    fn every_config_in_configs_parses_into_a_plan() {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")];
        let mut plans = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.ends_with("sweeps") {
                    // No experiments; crate::sweep has a test of them.
                } else if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "toml") {
                    AnyPlan::of_file(&path, &[]).unwrap();
                    plans += 1;
                }
            }
        }
        assert!(plans >= 5, "{plans}");
    }

    #[test]
    fn a_plan_is_read_back_as_it_was_written() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        let overrides =
            ["train.steps=70", "optimizer.clip_norm=5", "optimizer.schedule={kind='step',from_epoch=2,factor=0.1}"];
        let more = ["train.patience=3", "optimizer.schedule.kind=plateau", "model.variational=true"];
        for overrides in [&[][..], &overrides, &more, &["optimizer.schedule.kind=cosine"]] {
            let plan = any(TEXT, overrides).unwrap();
            plan.save(&folder).unwrap();
            assert_eq!(AnyPlan::load(&folder).unwrap(), plan);
        }
        for overrides in [&[][..], &["data={kind='synthetic', inclusion=[0.5]}", "model.hidden=[64, 32]"]] {
            let plan = any(POINTS, overrides).unwrap();
            plan.save(&folder).unwrap();
            assert_eq!(AnyPlan::load(&folder).unwrap(), plan);
        }
    }

    #[test]
    fn a_longer_run_is_a_continuation_and_any_other_change_is_named() {
        let differences = |there: &[&str], here: &[&str]| {
            any(TEXT, here).unwrap().differences(&any(TEXT, there).unwrap()).unwrap().refused
        };
        assert!(differences(&["train.epochs=2"], &["train.epochs=3"]).is_empty());
        assert_eq!(differences(&["train.epochs=3"], &["train.epochs=2"]), ["train.epochs: 3 there, 2 here"]);
        assert_eq!(
            differences(&["train.steps=3"], &["train.epochs=2"]),
            ["train.epochs: not set there, 2 here", "train.steps: 3 there, not set here"]
        );
        assert_eq!(
            differences(&[], &["loss.sampler.kind=exp", "seed=2"]),
            ["loss.sampler.kind: \"uniform\" there, \"exp\" here", "seed: 1 there, 2 here"]
        );
    }

    #[test]
    fn a_run_of_one_task_is_not_continued_by_another() {
        let refused = any(POINTS, &[]).unwrap().differences(&any(TEXT, &[]).unwrap()).unwrap().refused;
        assert!(refused.contains(&"task: \"lm\" there, \"xmc\" here".to_owned()), "{refused:?}");
    }

    #[test]
    fn another_rate_or_schedule_is_allowed_and_told() {
        let schedule = "optimizer.schedule={kind='step', from_epoch=2, factor=0.1}";
        let here = any(TEXT, &["optimizer.learning_rate=0.5", "train.patience=3", "train.epochs=2", schedule]).unwrap();
        let Differences { allowed, refused } = here.differences(&any(TEXT, &[]).unwrap()).unwrap();
        assert!(refused.is_empty(), "{refused:?}");
        let wanted = [
            "optimizer.learning_rate: 0.001 there, 0.5 here",
            "optimizer.schedule.factor: not set there, 0.1 here",
            "optimizer.schedule.from_epoch: not set there, 2 here",
            "optimizer.schedule.kind: \"constant\" there, \"step\" here",
            "train.epochs: 1 there, 2 here",
            "train.patience: not set there, 3 here",
        ];
        assert_eq!(allowed, wanted);
        for key in ["optimizer.kind=sgd", "train.keep_best=false", "model.dropout=0.5", "train.bptt=3"] {
            assert!(!any(TEXT, &[key]).unwrap().differences(&here).unwrap().refused.is_empty(), "{key}");
        }
    }
}
