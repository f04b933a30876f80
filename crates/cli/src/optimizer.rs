//! The section `[optimizer]`.

use rf_training::ScheduleConfig;
use serde::{Deserialize, Serialize};

/// How weights and rows are changed.
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
    pub rows: Option<RowRule>,
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
    pub fn row_rule(&self) -> RowRule {
        self.rows.unwrap_or(match self.kind {
            OptimizerKind::Adam => RowRule::LazyAdam,
            OptimizerKind::Sgd => RowRule::Sgd,
            OptimizerKind::Adagrad => RowRule::Adagrad,
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

/// A rule for the touched rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowRule {
    /// Stochastic gradient descent.
    Sgd,
    /// Adagrad, one accumulator a number.
    Adagrad,
    /// Adagrad, one accumulator a row.
    RowWiseAdagrad,
    /// Adam whose moments move only when their row is touched.
    LazyAdam,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_the_dense_rule_unless_told_otherwise() {
        let rule = |text| toml::from_str::<OptimizerConfig>(text).unwrap().row_rule();
        assert_eq!(rule(""), RowRule::LazyAdam);
        assert_eq!(rule("kind = 'adagrad'"), RowRule::Adagrad);
        assert_eq!(rule("kind = 'sgd'\nrows = 'row-wise-adagrad'"), RowRule::RowWiseAdagrad);
    }
}
