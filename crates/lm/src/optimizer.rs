//! The rule for the dense weights.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdaGradConfig, AdamConfig, ModuleOptimizer, SgdConfig};
use rf_training::{OptimizerConfig, OptimizerKind};

/// The optimizer of the encoder. Its constants are those of the tables' rules; burn's own default for epsilon is 1e-5.
pub(crate) fn dense_optimizer(config: &OptimizerConfig) -> ModuleOptimizer {
    let decay = (config.weight_decay > 0.0).then(|| WeightDecayConfig::new(config.weight_decay as f32));
    match config.kind {
        OptimizerKind::Adam => AdamConfig::new().with_epsilon(1e-8).with_weight_decay(decay).init(),
        OptimizerKind::Sgd => SgdConfig::new().with_weight_decay(decay).init(),
        OptimizerKind::Adagrad => AdaGradConfig::new().with_epsilon(1e-10).with_weight_decay(decay).init(),
    }
}
