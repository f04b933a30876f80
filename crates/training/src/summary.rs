use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::run_folder::{read_file, replace_file};

/// What an evaluation measured: one figure, or several by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Score {
    /// One figure, such as a perplexity.
    Value(f64),
    /// Several figures, such as `P@1` and `nDCG@5`.
    Values(BTreeMap<String, f64>),
}

impl Score {
    /// The figure called `name`; a figure that stands alone has any name.
    pub fn figure(&self, name: &str) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Values(values) => values.get(name).copied(),
        }
    }
}

/// The outcome of a run, stored as `summary.json` when everything else is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// `lm` or `xmc`.
    pub task: String,
    /// Kind of the loss: `sampled` or `full`.
    pub loss: String,
    /// Kind of the sampler; `none` for the full softmax.
    pub sampler: String,
    /// Steps done.
    pub steps: u64,
    /// Epochs begun.
    pub epochs: usize,
    /// Whether the run ended before its length, because validation no longer improved.
    #[serde(default)]
    pub stopped_early: bool,
    /// Steps of the model that `valid` and `test` are scores of: the best on the validation data where it is kept, else
    /// the last; `null` where that is not recorded.
    #[serde(default)]
    pub scored_step: Option<u64>,
    /// What `valid`, `test` and `floor` measure.
    pub metric: String,
    /// Score on the validation data; `null` where there is none.
    pub valid: Option<Score>,
    /// Score on the test data; `null` where there is none.
    pub test: Option<Score>,
    /// Training examples a second, evaluation left out.
    pub examples_per_second: f64,
    /// Seconds of training, evaluation left out.
    pub train_seconds: f64,
    /// Largest memory the process held; `null` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// Best value of `metric` that any model can reach, where the data's law is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Further figures of the task.
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl Summary {
    /// Stores the summary at `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let bad = |source| Error::BadJson { path: path.to_owned(), source };
        let mut text = serde_json::to_string_pretty(self).map_err(bad)?;
        text.push('\n');
        replace_file(path, |file| file.write_all(text.as_bytes()))
    }

    /// Reads the summary at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when it is not there, [`Error::BadJson`] when it is no summary.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = read_file(path)?;
        serde_json::from_str(&text).map_err(|source| Error::BadJson { path: path.to_owned(), source })
    }
}

/// Largest resident memory of this process so far; `None` where the system does not tell (only Linux does).
pub fn peak_memory_bytes() -> Option<u64> {
    peak_memory(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        Summary {
            task: "lm".into(),
            loss: "full".into(),
            sampler: "none".into(),
            steps: 30,
            epochs: 2,
            stopped_early: false,
            scored_step: Some(30),
            metric: "perplexity".into(),
            valid: Some(Score::Value(93.1)),
            test: None,
            examples_per_second: 4850.5,
            train_seconds: 12.25,
            peak_memory_bytes: Some(1 << 20),
            floor: None,
            extra: BTreeMap::from([("classes".into(), 10_000.into())]),
        }
    }

    #[test]
    fn a_summary_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        for floor in [None, Some(17.5)] {
            let wanted = Summary { floor, ..summary() };
            wanted.save(&path).unwrap();
            assert_eq!(Summary::load(&path).unwrap(), wanted);
            assert_eq!(read_file(&path).unwrap().contains("floor"), floor.is_some());
        }
    }

    #[test]
    fn further_figures_stand_beside_the_fixed_ones() {
        let value = serde_json::to_value(summary()).unwrap();
        assert_eq!((&value["classes"], &value["sampler"]), (&10_000.into(), &"none".into()));
        assert_eq!((&value["valid"], value["test"].is_null()), (&93.1.into(), true));
    }

    #[test]
    fn several_figures_are_an_object() {
        let score = Score::Values(BTreeMap::from([("P@1".into(), 0.5)]));
        assert_eq!(serde_json::to_string(&score).unwrap(), r#"{"P@1":0.5}"#);
        assert_eq!(serde_json::from_str::<Score>(r#"{"P@1":0.5}"#).unwrap(), score);
        assert_eq!((score.figure("P@1"), score.figure("P@3")), (Some(0.5), None));
    }

    #[test]
    fn the_peak_is_read_in_bytes() {
        assert_eq!(peak_memory("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(peak_memory("Name: rfs\n"), None);
    }
}
