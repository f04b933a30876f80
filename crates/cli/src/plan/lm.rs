//! Plans of language models.

use std::io;
use std::path::Path;

use rf_data::DataConfig;
use rf_lm::{ModelConfig, Settings, Sizes};
use rf_training::TrainConfig;

use super::Plan;
use super::check::{PROBABILITY_BELOW_ONE, at_least_one, in_range, of_data, only_of};
use crate::document::Places;
use crate::task::{Lm, Task, TaskKind};

impl TaskKind for Lm {
    const TASK: Task = Task::Lm;
    type Data = DataConfig;
    type Model = ModelConfig;

    /// Settles whether the training text is a stream, too.
    fn resolve(data: &mut DataConfig, train: &mut TrainConfig, data_root: &Path) -> io::Result<()> {
        Sizes::resolve(train);
        if let DataConfig::Text(text) = data {
            for source in [&mut text.train, &mut text.valid, &mut text.test] {
                *source = source.try_map(|path| std::path::absolute(data_root.join(path)))?;
            }
            if text.is_stream(data_root) {
                text.stream = Some(true);
            }
        }
        Ok(())
    }

    fn check(plan: &Plan<Self>, places: &Places) -> anyhow::Result<()> {
        only_of(places, "train.eval_points", plan.train.eval_points, "classifiers (task = \"xmc\")")?;
        check_sizes(plan, places)?;
        check_data(&plan.data, places)?;
        check_model(&plan.model, places)
    }
}

impl Plan<Lm> {
    /// What the trainer is told.
    pub fn settings(&self) -> Settings {
        Settings {
            seed: self.seed,
            model: self.model.clone(),
            loss: self.loss.clone(),
            optimizer: self.optimizer.clone(),
            train: self.train.clone(),
        }
    }
}

fn check_sizes(plan: &Plan<Lm>, places: &Places) -> anyhow::Result<()> {
    let sizes = [
        ("model.embedding", Some(plan.model.embedding)),
        ("model.hidden", Some(plan.model.hidden)),
        ("model.layers", Some(plan.model.layers)),
        ("model.projection", plan.model.projection),
        ("train.bptt", plan.train.bptt),
        ("train.eval_tokens", plan.train.eval_tokens),
    ];
    at_least_one(places, &sizes)
}

fn check_data(data: &DataConfig, places: &Places) -> anyhow::Result<()> {
    match data {
        DataConfig::Text(text) => match text.vocabulary {
            Some(cap @ 0..3) => {
                let message = format!("{cap} is not allowed; it must be at least 3: <eos>, <unk> and one word");
                Err(places.bad("data.vocabulary", &message))
            }
            _ => Ok(()),
        },
        DataConfig::Synthetic(_) => of_data(places, data.known()),
    }
}

fn check_model(model: &ModelConfig, places: &Places) -> anyhow::Result<()> {
    in_range(places, "model.dropout", model.dropout, PROBABILITY_BELOW_ONE)?;
    in_range(places, "model.recurrent_dropout", model.recurrent_dropout, PROBABILITY_BELOW_ONE)?;
    in_range(places, "model.word_dropout", model.word_dropout, PROBABILITY_BELOW_ONE)?;
    let width = model.query_width();
    if model.tied && model.embedding != width {
        let message = format!(
            "it needs `model.embedding` equal to the width of h, but these are {} and {width}",
            model.embedding
        );
        return Err(places.bad("model.tied", &message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::experiment;
    use crate::plan::AnyPlan;

    const TEXT: &str = "task = 'lm'\n";

    fn plan(text: &str, overrides: &[&str]) -> anyhow::Result<AnyPlan> {
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        AnyPlan::new(experiment::parse("a.toml".as_ref(), text, &overrides)?, "/data".as_ref())
    }

    fn message(overrides: &[&str]) -> String {
        plan(TEXT, overrides).unwrap_err().to_string()
    }

    #[test]
    fn a_size_of_zero_is_refused_with_its_place() {
        for field in ["model.hidden", "model.projection", "train.bptt", "train.eval_tokens"] {
            let change = format!("{field}=0");
            assert_eq!(message(&[&change]), format!("--set {change}: 0 is not allowed; it must be at least 1"));
        }
    }

    #[test]
    fn a_share_outside_its_range_is_refused_with_its_place() {
        for (change, value) in [
            ("model.dropout=1", "1"),
            ("model.dropout=nan", "NaN"),
            ("model.recurrent_dropout=1", "1"),
            ("model.word_dropout=-0.5", "-0.5"),
        ] {
            let rule = "it must be at least 0 and below 1";
            assert_eq!(message(&[change]), format!("--set {change}: {value} is not allowed; {rule}"));
        }
    }

    #[test]
    fn settings_of_classifiers_are_refused() {
        let wanted = "--set train.eval_points=5: only classifiers (task = \"xmc\") have it";
        assert_eq!(message(&["train.eval_points=5"]), wanted);
    }

    #[test]
    fn a_language_or_a_vocabulary_that_cannot_be_is_refused() {
        let change = "data={kind='synthetic', sharing=9}";
        assert_eq!(message(&[change]), format!("--set {change}: 9 is not allowed; it must be 1 to topics = 8"));
        let text = "task = 'lm'\n[data]\nkind = 'synthetic'\nchoices = [4, 3]\n";
        let wanted = "a.toml, line 4, data.choices: 3 is not allowed; it must be a positive multiple of sharing = 2";
        assert_eq!(plan(text, &[]).unwrap_err().to_string(), wanted);
        let change = "data={kind='text', train='a', valid='b', test='c', vocabulary=2}";
        assert!(message(&[change]).ends_with(": 2 is not allowed; it must be at least 3: <eos>, <unk> and one word"));
    }

    #[test]
    fn a_tied_model_needs_classes_as_wide_as_its_embedding() {
        let tied = |more: &[&str]| plan(TEXT, &[&["model.tied=true", "model.embedding=100"], more].concat());
        assert!(tied(&["model.hidden=100"]).is_ok());
        assert!(tied(&["model.projection=100"]).is_ok());
        let wanted =
            "--set model.tied=true: it needs `model.embedding` equal to the width of h, but these are 100 and 50";
        assert_eq!(tied(&["model.hidden=100", "model.projection=50"]).unwrap_err().to_string(), wanted);
    }
}
