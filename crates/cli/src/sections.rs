//! Sections of an experiment file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The section `[data]`.
pub type DataConfig = toml::Table;

/// The section `[loss]`.
pub type LossConfig = toml::Table;

/// The section `[model]`: the language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Width `d` of the embeddings of words.
    pub embedding: usize,
    /// Units of an LSTM layer.
    pub hidden: usize,
    /// LSTM layers.
    pub layers: usize,
    /// Probability that a value between two layers is left out, in `[0, 1)`.
    pub dropout: f64,
    /// Whether inputs and classes share one table.
    pub tied: bool,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { embedding: 200, hidden: 200, layers: 1, dropout: 0.1, tied: false }
    }
}

/// The section `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Length of the run in epochs; 1 when `steps` is not given either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Length of the run in steps, instead of `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Streams of text that are read side by side.
    pub batch_size: usize,
    /// Words of a stream in a step: the gradient goes back no further.
    pub bptt: usize,
    /// Streams of text side by side in evaluation.
    pub eval_batch_size: usize,
    /// Steps from one evaluation on the validation data to the next; at the end of each epoch when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<u64>,
    /// Steps from one checkpoint to the next; at the end of each epoch when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<u64>,
    /// Steps from one line of progress to the next.
    pub log_every: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: None,
            steps: None,
            batch_size: 20,
            bptt: 35,
            eval_batch_size: 10,
            evaluate_every: None,
            checkpoint_every: None,
            log_every: 100,
        }
    }
}

/// Length of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many passes over the training data.
    Epochs(usize),
    /// So many steps.
    Steps(u64),
}

impl TrainConfig {
    /// Length of the run; a plan never has both.
    pub fn length(&self) -> Length {
        match self.steps {
            Some(steps) => Length::Steps(steps),
            None => Length::Epochs(self.epochs.unwrap_or(1)),
        }
    }
}

/// Folder that data paths are relative to: the environment's `RFS_DATA`, or `datasets`.
pub fn data_root() -> PathBuf {
    std::env::var_os("RFS_DATA").filter(|path| !path.is_empty()).map_or_else(|| "datasets".into(), PathBuf::from)
}

/// Makes the data paths absolute, `root` being the folder that relative ones start from.
pub fn resolve_data_paths(data: &mut DataConfig, root: &Path) -> std::io::Result<()> {
    for key in ["train", "valid", "test"] {
        if let Some(toml::Value::String(path)) = data.get_mut(key) {
            *path = std::path::absolute(root.join(&path))?.display().to_string();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_paths_start_at_the_root_unless_absolute() {
        let mut data: DataConfig = toml::from_str("kind = 'text'\ntrain = 'ptb/a.txt'\ntest = '/far/b.txt'").unwrap();
        resolve_data_paths(&mut data, Path::new("/data")).unwrap();
        assert_eq!((data["kind"].as_str(), data["train"].as_str()), (Some("text"), Some("/data/ptb/a.txt")));
        assert_eq!(data["test"].as_str(), Some("/far/b.txt"));
    }

    #[test]
    fn a_run_without_a_length_is_one_epoch() {
        assert_eq!(TrainConfig::default().length(), Length::Epochs(1));
        assert_eq!(TrainConfig { steps: Some(9), ..Default::default() }.length(), Length::Steps(9));
    }
}
