use rf_softmax::RowOptimizer;
use serde::{Deserialize, Serialize};

use crate::ScheduleConfig;

/// The table `[optimizer]` of a configuration file: how weights and rows are changed.
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
            rows: None,
            schedule: ScheduleConfig::default(),
        }
    }
}

impl OptimizerConfig {
    /// The rule for rows: the one given, or the one that goes with the dense rule.
    pub fn row_rule(&self) -> RowOptimizer {
        self.rows.unwrap_or(match self.kind {
            OptimizerKind::Adam => RowOptimizer::LazyAdam,
            OptimizerKind::Sgd => RowOptimizer::Sgd,
            OptimizerKind::Adagrad => RowOptimizer::Adagrad,
        })
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
    fn rows_follow_the_dense_rule_unless_told_otherwise() {
        let rule = |text| serde_json::from_str::<OptimizerConfig>(text).unwrap().row_rule();
        assert_eq!(rule("{}"), RowOptimizer::LazyAdam);
        assert_eq!(rule(r#"{"kind":"adagrad"}"#), RowOptimizer::Adagrad);
        assert_eq!(rule(r#"{"kind":"sgd","rows":"row-wise-adagrad"}"#), RowOptimizer::RowWiseAdagrad);
    }
}
