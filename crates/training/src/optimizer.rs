use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdaGradConfig, AdamConfig, ModuleOptimizer, SgdConfig};
use rf_softmax::RowOptimizer;
use serde::{Deserialize, Serialize};

use crate::{History, Moment, ScheduleConfig};

/// The table `[optimizer]` of a configuration file: how weights and rows are changed.
///
/// Rates and norms are for the gradient of the mean loss over all examples of a step. Recipes for Penn Treebank (Zaremba
/// et al. 2014, arXiv 1409.2329) take the mean over the batch and the sum over T time steps: their learning rate 1 and
/// clipping at 5 are `learning_rate = T` and `clip_norm = 5/T` here, 35 and 0.142857 for T = 35.
///
/// # Example
/// ```
/// use rf_training::OptimizerConfig;
/// let config: OptimizerConfig = serde_json::from_str(r#"{"kind": "adagrad", "learning_rate": 0.1}"#)?;
/// assert_eq!(config.row_rule(), rf_softmax::RowOptimizer::Adagrad);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Rule for the dense weights.
    pub kind: OptimizerKind,
    /// Learning rate at the beginning, for weights and rows alike.
    pub learning_rate: f64,
    /// Largest Euclidean norm of a step's whole gradient; no limit when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// This times the weight is added to the clipped gradient of each dense weight. Tables do not decay: it would touch
    /// every row.
    pub weight_decay: f64,
    /// Steps over which the rate rises in a straight line from zero to what the schedule says.
    pub warmup_steps: u64,
    /// Rule for the rows of tables; the one that goes with `kind` when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowOptimizer>,
    /// How the learning rate moves.
    pub schedule: ScheduleConfig,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            learning_rate: 1e-3,
            clip_norm: None,
            weight_decay: 0.0,
            warmup_steps: 0,
            rows: None,
            schedule: ScheduleConfig::default(),
        }
    }
}

impl OptimizerConfig {
    /// Learning rate of step `step` of `steps` (counted from 1) in `epoch` (counted from 1), after the validations of
    /// `history`: `learning_rate · share of the schedule · min(1, step / warmup_steps)`.
    pub fn rate(&self, epoch: usize, step: u64, steps: u64, history: &History) -> f64 {
        let at = Moment { epoch, step, steps, warmup: self.warmup_steps };
        let rate = self.learning_rate * self.schedule.share(at, history);
        if step < self.warmup_steps { rate * step as f64 / self.warmup_steps as f64 } else { rate }
    }

    /// The rule for rows: the one given, or the one that goes with the dense rule.
    pub fn row_rule(&self) -> RowOptimizer {
        self.rows.unwrap_or(match self.kind {
            OptimizerKind::Adam => RowOptimizer::LazyAdam,
            OptimizerKind::Sgd => RowOptimizer::Sgd,
            OptimizerKind::Adagrad => RowOptimizer::Adagrad,
        })
    }

    /// The optimizer of the dense weights. Its constants are those of the tables' rules; burn's own default for epsilon
    /// is 1e-5.
    pub fn dense_optimizer(&self) -> ModuleOptimizer {
        let decay = (self.weight_decay > 0.0).then(|| WeightDecayConfig::new(self.weight_decay as f32));
        match self.kind {
            OptimizerKind::Adam => AdamConfig::new().with_epsilon(1e-8).with_weight_decay(decay).init(),
            OptimizerKind::Sgd => SgdConfig::new().with_weight_decay(decay).init(),
            OptimizerKind::Adagrad => AdaGradConfig::new().with_epsilon(1e-10).with_weight_decay(decay).init(),
        }
    }

    /// Largest norm of a step's gradient: `clip_norm`, or infinity.
    pub fn max_norm(&self) -> f64 {
        self.clip_norm.unwrap_or(f64::INFINITY)
    }
}

/// A rule for dense weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam.
    Adam,
    /// Stochastic gradient descent.
    Sgd,
    /// Adagrad.
    Adagrad,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_warms_up_under_every_schedule() {
        for schedule in [r#"{"kind":"constant"}"#, r#"{"kind":"cosine"}"#, r#"{"kind":"plateau"}"#] {
            let text = format!(r#"{{"learning_rate":0.4,"warmup_steps":4,"schedule":{schedule}}}"#);
            let config: OptimizerConfig = serde_json::from_str(&text).unwrap();
            let rates = [1, 2, 3, 4].map(|step| config.rate(1, step, 9, &History::default()));
            assert!(rates.iter().zip([0.1, 0.2, 0.3, 0.4]).all(|(rate, wanted)| (rate - wanted).abs() < 1e-12));
        }
    }

    #[test]
    fn schedule_and_rate_are_multiplied() {
        let text = r#"{"learning_rate":0.4,"schedule":{"kind":"step","from_epoch":2,"factor":0.5}}"#;
        let config: OptimizerConfig = serde_json::from_str(text).unwrap();
        assert_eq!([1, 2].map(|epoch| config.rate(epoch, 1, 9, &History::default())), [0.4, 0.2]);
    }

    #[test]
    fn rows_follow_the_dense_rule_unless_told_otherwise() {
        let rule = |text| serde_json::from_str::<OptimizerConfig>(text).unwrap().row_rule();
        assert_eq!(rule("{}"), RowOptimizer::LazyAdam);
        assert_eq!(rule(r#"{"kind":"adagrad"}"#), RowOptimizer::Adagrad);
        assert_eq!(rule(r#"{"kind":"sgd","rows":"row-wise-adagrad"}"#), RowOptimizer::RowWiseAdagrad);
    }
}
