use serde::{Deserialize, Serialize};

/// The table `[train]` of a configuration file: how long, and how much at a time.
///
/// # Example
/// ```
/// use rf_training::{Length, TrainConfig};
/// let config: TrainConfig = serde_json::from_str(r#"{"steps": 500, "batch_size": 32}"#)?;
/// assert_eq!(config.length(), Length::Steps(500));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Length of the run in epochs; 1 when `steps` is not given either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Length of the run in steps, instead of `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Streams of text that are read side by side, or points of a step; the task's own number when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Words of a stream in a step: the gradient goes back no further. Language models alone have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bptt: Option<usize>,
    /// Streams of text, or points, side by side in evaluation; the task's own number when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_batch_size: Option<usize>,
    /// Tokens at the start of the validation text that an evaluation scores; the whole text when not given. The test
    /// text is always scored whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_tokens: Option<usize>,
    /// Points of the validation data that an evaluation scores, in extreme classification; all of them when not given.
    /// The test data is always scored whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_points: Option<usize>,
    /// Steps from one evaluation on the validation data to the next; at the end of each epoch when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<u64>,
    /// Steps from one checkpoint to the next; at the end of each epoch when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<u64>,
    /// Steps from one line of progress to the next.
    pub log_every: u64,
    /// Validations in a row without improvement after which the run ends; it runs to its length when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Relative improvement on the best validation so far above which `patience` counts it as one.
    pub min_improvement: f64,
    /// Whether the best checkpoint by validation is kept beside the latest, and scored at the end. A checkpoint is then
    /// also stored at every improvement; it takes no second write, and the space of a second file from the next one on.
    pub keep_best: bool,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: None,
            steps: None,
            batch_size: None,
            bptt: None,
            eval_batch_size: None,
            eval_tokens: None,
            eval_points: None,
            evaluate_every: None,
            checkpoint_every: None,
            log_every: 100,
            patience: None,
            min_improvement: 0.0,
            keep_best: true,
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
    /// Length of the run: `steps` where given, else `epochs`, else one epoch.
    pub fn length(&self) -> Length {
        match self.steps {
            Some(steps) => Length::Steps(steps),
            None => Length::Epochs(self.epochs.unwrap_or(1)),
        }
    }

    /// The part of the validation text that is scored.
    pub fn validation<'t>(&self, tokens: &'t [u32]) -> &'t [u32] {
        &tokens[..self.eval_tokens.unwrap_or(tokens.len()).min(tokens.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_length_is_one_epoch() {
        assert_eq!(TrainConfig::default().length(), Length::Epochs(1));
        assert_eq!(TrainConfig { steps: Some(9), ..Default::default() }.length(), Length::Steps(9));
    }

    #[test]
    fn sizes_that_the_task_decides_are_not_written() {
        let written = serde_json::to_value(TrainConfig::default()).unwrap();
        let written: Vec<_> = written.as_object().unwrap().keys().collect();
        assert_eq!(written, ["keep_best", "log_every", "min_improvement"]);
        assert!(serde_json::from_str::<TrainConfig>(r#"{"batchsize": 3}"#).is_err());
    }

    #[test]
    fn a_slice_of_the_validation_text_is_its_start_and_no_longer_than_it() {
        let slice = |eval_tokens| TrainConfig { eval_tokens, ..Default::default() }.validation(&[5, 6, 7]).to_vec();
        assert_eq!([slice(None), slice(Some(2)), slice(Some(9))], [vec![5, 6, 7], vec![5, 6], vec![5, 6, 7]]);
    }
}
