//! Plans of extreme classification.

use std::io;
use std::path::Path;

use rf_data::XcDataConfig;
use rf_training::TrainConfig;
use rf_xmc::{ModelConfig, Settings};

use super::Plan;
use super::check::{PROBABILITY_BELOW_ONE, at_least_one, in_range, of_data, only_of};
use crate::document::Places;
use crate::task::{Task, TaskKind, Xmc};

impl TaskKind for Xmc {
    const TASK: Task = Task::Xmc;
    type Data = XcDataConfig;
    type Model = ModelConfig;

    fn resolve(data: &mut XcDataConfig, train: &mut TrainConfig, data_root: &Path) -> io::Result<()> {
        train.batch_size.get_or_insert(Settings::BATCH_SIZE);
        train.eval_batch_size.get_or_insert(Settings::EVAL_BATCH_SIZE);
        if let XcDataConfig::Xc(config) = data {
            *config = config.try_map(|path| std::path::absolute(data_root.join(path)))?;
        }
        Ok(())
    }

    fn check(plan: &Plan<Self>, places: &Places) -> anyhow::Result<()> {
        let Plan { data, model, train, .. } = plan;
        only_of(places, "train.bptt", train.bptt, "language models")?;
        only_of(places, "train.eval_tokens", train.eval_tokens, "language models")?;
        let valid_points = if let XcDataConfig::Xc(files) = data { files.valid_points } else { None };
        let sizes = [
            ("data.valid_points", valid_points),
            ("model.dim", Some(model.dim)),
            ("model.hidden", model.hidden.iter().min().copied()),
            ("train.eval_points", train.eval_points),
        ];
        at_least_one(places, &sizes)?;
        of_data(places, data.check())?;
        in_range(places, "model.dropout", model.dropout, PROBABILITY_BELOW_ONE)?;
        in_range(places, "model.feature_dropout", model.feature_dropout, PROBABILITY_BELOW_ONE)
    }
}

impl Plan<Xmc> {
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

#[cfg(test)]
mod tests {
    use crate::experiment;
    use crate::plan::AnyPlan;

    fn message(data: &str, overrides: &[&str]) -> String {
        let text = format!("task = 'xmc'\n[data]\n{data}");
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        let document = experiment::parse("a.toml".as_ref(), &text, &overrides).unwrap();
        AnyPlan::new(document, "/data".as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn a_size_of_zero_is_refused_with_its_place() {
        for change in
            ["model.dim=0", "model.hidden=[3, 0]", "train.eval_points=0", "train.batch_size=0", "loss.draws=0"]
        {
            let wanted = format!("--set {change}: 0 is not allowed; it must be at least 1");
            assert_eq!(message("kind = 'synthetic'\n", &[change]), wanted);
        }
    }

    #[test]
    fn a_dropout_of_all_is_refused_with_its_place() {
        for field in ["model.dropout", "model.feature_dropout"] {
            let wanted = format!("--set {field}=1: 1 is not allowed; it must be at least 0 and below 1");
            assert_eq!(message("kind = 'synthetic'\n", &[&format!("{field}=1")]), wanted);
        }
    }

    #[test]
    fn settings_of_language_models_are_refused() {
        for field in ["train.bptt", "train.eval_tokens"] {
            let wanted = format!("--set {field}=5: only language models have it");
            assert_eq!(message("kind = 'synthetic'\n", &[&format!("{field}=5")]), wanted);
        }
    }

    #[test]
    fn points_that_cannot_be_are_refused_with_their_place() {
        let wanted = "a.toml, line 4, data.inclusion: 1.5 is not allowed; it must be above 0 and at most 1";
        assert_eq!(message("kind = 'synthetic'\ninclusion = [0.5, 1.5]\n", &[]), wanted);
        let files = "kind = 'xc'\ntrain = 'a'\ntest = 'b'\n";
        for (keys, wanted) in [
            ("hashed_features = 0\n", "hashed_features: 0 is not allowed; it must be 1 to 4294967295"),
            ("valid_points = 0\n", "valid_points: 0 is not allowed; it must be at least 1"),
            ("propensity = { a = nan }\n", "propensity.a: NaN is not allowed; it must be 0 to 100"),
        ] {
            assert_eq!(message(&format!("{files}{keys}"), &[]), format!("a.toml, line 6, data.{wanted}"));
        }
    }
}
