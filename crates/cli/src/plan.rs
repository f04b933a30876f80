//! What will be done: an experiment whose every value is resolved and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rf_training::{RunFolder, replace_file};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::document::{Document, Places};
use crate::exit::OrBadInput;
use crate::experiment::{Experiment, Task};
use crate::optimizer::OptimizerConfig;
use crate::sections::{self, DataConfig, LossConfig, ModelConfig, TrainConfig};

/// Keys that may grow when a run is resumed.
const MAY_GROW: [&str; 2] = ["train.epochs", "train.steps"];

/// A checked experiment; `plan.toml` of a run folder is its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What is learnt.
    pub task: Task,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Section `[data]`, its paths absolute.
    pub data: DataConfig,
    /// Section `[model]`.
    pub model: ModelConfig,
    /// Section `[loss]`.
    pub loss: LossConfig,
    /// Section `[optimizer]`, with the rule for rows.
    pub optimizer: OptimizerConfig,
    /// Section `[train]`, with either `epochs` or `steps`.
    pub train: TrainConfig,
}

impl Plan {
    /// Resolves and checks `experiment`.
    pub fn new(experiment: Experiment) -> anyhow::Result<Self> {
        Self::with_data_root(experiment, &sections::data_root())
    }

    fn with_data_root(experiment: Experiment, data_root: &Path) -> anyhow::Result<Self> {
        let Experiment { task, seed, mut data, model, loss, mut optimizer, mut train, places } = experiment;
        sections::resolve_data_paths(&mut data, data_root)?;
        optimizer.rows = Some(optimizer.row_rule());
        if train.steps.is_none() {
            train.epochs.get_or_insert(1);
        }
        let plan = Self { task, seed, data, model, loss, optimizer, train };
        plan.check(&places)?;
        Ok(plan)
    }

    /// Reads the plan of the run in `folder`.
    pub fn load(folder: &RunFolder) -> anyhow::Result<Self> {
        let path = folder.plan();
        let text =
            std::fs::read_to_string(&path).map_err(|source| rf_training::Error::Io { path: path.clone(), source });
        let (plan, places) = Document::parse(&path, &text.or_bad_input()?)?.read::<Self>()?;
        plan.check(&places)?;
        Ok(plan)
    }

    /// Stores the plan in `folder`.
    pub fn save(&self, folder: &RunFolder) -> anyhow::Result<()> {
        let text = toml::to_string(self)?;
        Ok(replace_file(&folder.plan(), |file| file.write_all(text.as_bytes()))?)
    }

    /// The settings in which this plan is not a continuation of `saved`: `train.batch_size: 20 there, 40 here`.
    pub fn differences(&self, saved: &Self) -> anyhow::Result<Vec<String>> {
        let (here, there) = (self.flat()?, saved.flat()?);
        let keys: BTreeSet<_> = here.keys().chain(there.keys()).collect();
        let text = |value: Option<&Value>| value.map_or("not set".into(), Value::to_string);
        let differences = keys.into_iter().filter_map(|key| {
            let (here, there) = (here.get(key), there.get(key));
            let same = here == there || (MAY_GROW.contains(&key.as_str()) && grows(there, here));
            (!same).then(|| format!("{key}: {} there, {} here", text(there), text(here)))
        });
        Ok(differences.collect())
    }

    /// Every setting by its dotted key.
    fn flat(&self) -> anyhow::Result<BTreeMap<String, Value>> {
        let mut flat = BTreeMap::new();
        flatten("", Table::try_from(self)?, &mut flat);
        Ok(flat)
    }

    /// Refuses values outside their ranges, naming where they were set.
    fn check(&self, places: &Places) -> anyhow::Result<()> {
        self.check_sizes(places)?;
        self.check_rates(places)?;
        match (self.train.epochs, self.train.steps) {
            (Some(_), Some(_)) => Err(places.bad("train.steps", "a run has either `epochs` or `steps`, not both")),
            _ => Ok(()),
        }
    }

    fn check_sizes(&self, places: &Places) -> anyhow::Result<()> {
        let (model, train) = (&self.model, &self.train);
        let sizes = [
            ("model.embedding", Some(model.embedding)),
            ("model.hidden", Some(model.hidden)),
            ("model.layers", Some(model.layers)),
            ("train.epochs", train.epochs),
            ("train.batch_size", Some(train.batch_size)),
            ("train.bptt", Some(train.bptt)),
            ("train.eval_batch_size", Some(train.eval_batch_size)),
        ];
        let steps = [
            ("train.steps", train.steps),
            ("train.evaluate_every", train.evaluate_every),
            ("train.checkpoint_every", train.checkpoint_every),
            ("train.log_every", Some(train.log_every)),
        ];
        let sizes = sizes.into_iter().filter(|(_, size)| *size == Some(0)).map(|(field, _)| field);
        let steps = steps.into_iter().filter(|(_, steps)| *steps == Some(0)).map(|(field, _)| field);
        match sizes.chain(steps).next() {
            Some(field) => Err(places.bad(field, "0 is not allowed; it must be at least 1")),
            None => Ok(()),
        }
    }

    fn check_rates(&self, places: &Places) -> anyhow::Result<()> {
        let optimizer = &self.optimizer;
        if !(0.0..1.0).contains(&self.model.dropout) {
            let message = format!("{} is not allowed; it must be at least 0 and below 1", self.model.dropout);
            return Err(places.bad("model.dropout", &message));
        }
        let rates =
            [("optimizer.learning_rate", Some(optimizer.learning_rate)), ("optimizer.clip_norm", optimizer.clip_norm)];
        for (field, rate) in rates {
            if let Some(rate) = rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
                return Err(places.bad(field, &format!("{rate} is not allowed; it must be positive and finite")));
            }
        }
        match optimizer.schedule.check() {
            Err(rf_training::Error::BadSetting { field, value, why }) => {
                Err(places.bad(&format!("optimizer.schedule.{field}"), &format!("{value} is not allowed; {why}")))
            }
            other => other.or_bad_input(),
        }
    }
}

fn grows(from: Option<&Value>, to: Option<&Value>) -> bool {
    let number = |value: Option<&Value>| value.and_then(Value::as_integer);
    matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to)
}

fn flatten(prefix: &str, table: Table, flat: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        match value {
            Value::Table(table) => flatten(&format!("{prefix}{key}."), table, flat),
            value => drop(flat.insert(format!("{prefix}{key}"), value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::RowRule;

    const TEXT: &str = "task = 'lm'\n[data]\nkind = 'text'\ntrain = 'ptb.txt'\n[loss]\nkind = 'sampled'\ntau = 11.1\n\
                        [loss.sampler]\nkind = 'uniform'\n";

    fn plan(text: &str, overrides: &[&str]) -> anyhow::Result<Plan> {
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        Plan::with_data_root(Experiment::parse(Path::new("a.toml"), text, &overrides)?, Path::new("/data"))
    }

    #[test]
    fn every_value_is_resolved() {
        let plan = plan(TEXT, &[]).unwrap();
        assert_eq!(plan.data["train"].as_str(), Some("/data/ptb.txt"));
        assert_eq!((plan.train.epochs, plan.optimizer.rows), (Some(1), Some(RowRule::LazyAdam)));
    }

    #[test]
    fn a_plan_is_read_back_as_it_was_written() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        let overrides =
            ["train.steps=70", "optimizer.clip_norm=5", "optimizer.schedule={kind='step',from_epoch=2,factor=0.1}"];
        for overrides in [&[][..], &overrides] {
            let plan = plan(TEXT, overrides).unwrap();
            plan.save(&folder).unwrap();
            assert_eq!(Plan::load(&folder).unwrap(), plan);
        }
    }

    #[test]
    fn a_value_outside_its_range_is_refused_with_its_place() {
        let message = |change: &str| plan(TEXT, &[change]).unwrap_err().to_string();
        for (change, wanted) in [
            ("model.hidden=0", "0 is not allowed; it must be at least 1"),
            ("train.log_every=0", "0 is not allowed; it must be at least 1"),
            ("model.dropout=1", "1 is not allowed; it must be at least 0 and below 1"),
            ("model.dropout=nan", "NaN is not allowed; it must be at least 0 and below 1"),
            ("optimizer.learning_rate=-0.5", "-0.5 is not allowed; it must be positive and finite"),
            ("optimizer.clip_norm=inf", "inf is not allowed; it must be positive and finite"),
        ] {
            assert_eq!(message(change), format!("--set {change}: {wanted}"));
        }
        let text = format!("{TEXT}[train]\nbatch_size = 0\n");
        let wanted = "a.toml, line 11, train.batch_size: 0 is not allowed; it must be at least 1";
        assert_eq!(plan(&text, &[]).unwrap_err().to_string(), wanted);
    }

    #[test]
    fn a_schedule_is_checked_too() {
        let text = format!("{TEXT}[optimizer.schedule]\nkind = 'step'\nfrom_epoch = 0\nfactor = 0.5\n");
        let wanted = "a.toml, line 12, optimizer.schedule.from_epoch: 0 is not allowed; epochs are counted from 1";
        assert_eq!(plan(&text, &[]).unwrap_err().to_string(), wanted);
    }

    #[test]
    fn a_file_with_epochs_and_steps_is_refused() {
        let text = format!("{TEXT}[train]\nepochs = 2\nsteps = 7\n");
        let wanted = "a.toml, line 12, train.steps: a run has either `epochs` or `steps`, not both";
        assert_eq!(plan(&text, &[]).unwrap_err().to_string(), wanted);
        assert_eq!(plan(&text, &["train.epochs=3"]).unwrap().train.epochs, Some(3));
    }

    #[test]
    fn a_longer_run_is_a_continuation_and_any_other_change_is_named() {
        let differences =
            |there: &[&str], here: &[&str]| plan(TEXT, here).unwrap().differences(&plan(TEXT, there).unwrap()).unwrap();
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
}
