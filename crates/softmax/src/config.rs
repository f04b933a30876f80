//! Settings of a head.

use burn::tensor::Device;
use rf_sampling::{Points, SamplerConfig};
use serde::{Deserialize, Serialize};

use crate::{Error, OtherLabels, Reduction, RowInit, RowOptimizer, SampledSoftmaxLoss};

/// Which loss the class table is trained with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossKind {
    /// Over a target and drawn candidates.
    #[default]
    Sampled,
    /// Over all classes.
    Full,
}

/// How a sampled loss uses its draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Draws from the law without the target; candidates are corrected by `ln(m q')`, the target is not. An estimate of
    /// the full loss, exact for `q = p` (Rawat et al. 2019, section 2; Blanc & Rendle 2018, section 2.2).
    #[default]
    Published,
    /// Draws from the law over all classes; candidates and target are corrected by `ln(m q)`, candidates equal to the
    /// target are left out. As TensorFlow's `sampled_softmax_loss`: no estimate of the full loss.
    BothCorrected,
}

/// Whose the draws of a sampled loss are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Every query draws `m` classes for itself, from its own law, as published.
    #[default]
    Query,
    /// All queries share `M` draws from one law `q̄` of the batch, near the mean of their own. Candidates are corrected
    /// by `ln(M q̄)`, and each query leaves its own target out. The estimate of each query's sum `Z` stays unbiased, of
    /// more variance a draw; the loss becomes three dense matrix products.
    Batch,
}

/// The table `[loss]` of a configuration file: what is minimised, whatever the number of classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// Sampled or full.
    pub kind: LossKind,
    /// Use of the draws.
    pub estimator: Estimator,
    /// Draws per query `m`, or of the whole batch `M` with [`Sharing::Batch`].
    pub draws: usize,
    /// Whose the draws are.
    pub sharing: Sharing,
    /// How the points of the draws are chosen.
    pub points: Points,
    /// What a query with several true classes is trained for. Its true classes are never among its negatives.
    pub reduction: Reduction,
    /// What the other true classes of a query are to the term of one of them.
    pub other_labels: OtherLabels,
    /// Whether queries and class embeddings are divided by their norm.
    pub normalized: bool,
    /// Inverse temperature: `o_i = tau h·c_i + b_i`.
    pub tau: f32,
    /// Whether `tau` is trained, as `ln tau`, with the class table's optimizer.
    pub learn_tau: bool,
    /// Whether classes have a bias.
    pub bias: bool,
    /// Whether the softmax is the absolute one, `p ∝ exp(|o|)` of the whole logit, in the loss and in evaluation: a model
    /// of its own, meant for proposals that are symmetric in the logit, such as the quadratic kernel (Blanc & Rendle 2018,
    /// section 3.3).
    pub absolute: bool,
    /// The proposal.
    pub sampler: SamplerConfig,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            kind: LossKind::Sampled,
            estimator: Estimator::Published,
            draws: 100,
            sharing: Sharing::Query,
            points: Points::Independent,
            reduction: Reduction::default(),
            other_labels: OtherLabels::default(),
            normalized: true,
            // 1 / sqrt(tau) = 0.3, the papers' choice.
            tau: 100.0 / 9.0,
            learn_tau: false,
            bias: false,
            absolute: false,
            sampler: SamplerConfig::default(),
        }
    }
}

impl LossConfig {
    /// Refuses draws shared by a batch from a proposal that has no law for it.
    ///
    /// # Errors
    /// [`rf_sampling::Error::NoSharedLaw`].
    pub fn check_sharing(&self) -> Result<(), rf_sampling::Error> {
        let shared = self.kind == LossKind::Sampled && self.sharing == Sharing::Batch;
        if shared && !self.sampler.shares_draws() { Err(rf_sampling::Error::NoSharedLaw) } else { Ok(()) }
    }
}

/// Configuration of a [`SampledSoftmaxLoss`].
///
/// ```
/// use burn::tensor::Device;
/// use rf_softmax::{RowOptimizer, SampledSoftmaxLossConfig, SamplerConfig};
/// let head = SampledSoftmaxLossConfig::new(1_000, 16)
///     .with_sampler(SamplerConfig::Uniform {})
///     .with_draws(20)
///     .with_optimizer(RowOptimizer::Adagrad)
///     .init(&Device::flex().autodiff())?;
/// assert_eq!(head.classes(), 1_000);
/// # Ok::<(), rf_softmax::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SampledSoftmaxLossConfig {
    pub(crate) classes: usize,
    pub(crate) dim: usize,
    pub(crate) loss: LossConfig,
    pub(crate) optimizer: RowOptimizer,
    pub(crate) init: RowInit,
    pub(crate) rows: Option<Vec<f32>>,
    pub(crate) counts: Vec<u64>,
    pub(crate) seed: u64,
    pub(crate) ignore_index: Option<i64>,
}

impl SampledSoftmaxLossConfig {
    /// `n` classes of `d` components, with the defaults of [`LossConfig`] and lazy Adam.
    pub fn new(classes: usize, dim: usize) -> Self {
        Self {
            classes,
            dim,
            loss: LossConfig::default(),
            optimizer: RowOptimizer::default(),
            init: RowInit::Normal(1.0 / (dim.max(1) as f32).sqrt()),
            rows: None,
            counts: Vec::new(),
            seed: 0,
            ignore_index: None,
        }
    }

    /// All settings of the loss at once.
    pub fn with_loss(self, loss: LossConfig) -> Self {
        Self { loss, ..self }
    }

    /// The proposal.
    pub fn with_sampler(mut self, sampler: SamplerConfig) -> Self {
        self.loss.sampler = sampler;
        self
    }

    /// Full or sampled.
    pub fn with_kind(mut self, kind: LossKind) -> Self {
        self.loss.kind = kind;
        self
    }

    /// Use of the draws.
    pub fn with_estimator(mut self, estimator: Estimator) -> Self {
        self.loss.estimator = estimator;
        self
    }

    /// Draws per query `m`, or of the whole batch `M` where it shares them.
    pub fn with_draws(mut self, draws: usize) -> Self {
        self.loss.draws = draws;
        self
    }

    /// Whose the draws are.
    pub fn with_sharing(mut self, sharing: Sharing) -> Self {
        self.loss.sharing = sharing;
        self
    }

    /// Raw or normalised queries and rows, and the inverse temperature.
    pub fn with_scale(mut self, normalized: bool, tau: f32) -> Self {
        (self.loss.normalized, self.loss.tau) = (normalized, tau);
        self
    }

    /// Whether `tau` is trained.
    pub fn with_learned_tau(mut self, learn_tau: bool) -> Self {
        self.loss.learn_tau = learn_tau;
        self
    }

    /// Whether classes have a bias, which starts at zero.
    pub fn with_bias(mut self, bias: bool) -> Self {
        self.loss.bias = bias;
        self
    }

    /// Whether the softmax is the absolute one, `p ∝ exp(|o|)`.
    pub fn with_absolute(mut self, absolute: bool) -> Self {
        self.loss.absolute = absolute;
        self
    }

    /// Rule that the class rows are stepped with.
    pub fn with_optimizer(self, optimizer: RowOptimizer) -> Self {
        Self { optimizer, ..self }
    }

    /// Law of the first class embeddings; by default normal with variance `1/d`.
    pub fn with_init(self, init: RowInit) -> Self {
        Self { init, ..self }
    }

    /// Given first rows instead of random ones.
    ///
    /// # Shapes
    /// - rows: `[n, d]`, or `[n, d + 1]` with the biases in the last column
    pub fn with_rows(self, rows: Vec<f32>) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// Training counts of the classes, for proposals with a frequency prior.
    pub fn with_counts(self, counts: Vec<u64>) -> Self {
        Self { counts, ..self }
    }

    /// Seed of the first rows, the projection and the draws.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Target that marks queries without one.
    pub fn with_ignore_index(self, index: i64) -> Self {
        Self { ignore_index: Some(index), ..self }
    }

    /// Builds table and sampler. The loss is computed on the device of the queries; the table lives on the host.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a setting out of range; those of the sampler.
    pub fn init(self, device: &Device) -> Result<SampledSoftmaxLoss, Error> {
        self.check()?;
        SampledSoftmaxLoss::new(self, device)
    }

    fn check(&self) -> Result<(), Error> {
        let bad = |field, value: String, why: String| Err(Error::BadSetting { field, value, why });
        let positive = "it must be positive and finite".to_string();
        if self.classes < 2 || self.classes >= u32::MAX as usize {
            return bad("classes", self.classes.to_string(), "there must be at least 2 and fewer than 2^32 - 1".into());
        }
        if self.dim == 0 {
            return bad("dim", "0".into(), "it must be at least 1".into());
        }
        if !(self.loss.tau > 0.0 && self.loss.tau.is_finite()) {
            return bad("loss.tau", self.loss.tau.to_string(), positive);
        }
        if self.loss.kind == LossKind::Sampled && !(1..=self.classes).contains(&self.loss.draws) {
            let why = format!("it must lie between 1 and the number of classes, {}", self.classes);
            return bad("loss.draws", self.loss.draws.to_string(), why);
        }
        if let Err(error) = self.loss.check_sharing() {
            return bad("loss.sharing", "batch".into(), error.to_string());
        }
        let width = self.dim + usize::from(self.loss.bias);
        if let Some(rows) = self.rows.as_ref().filter(|rows| rows.len() != self.classes * width) {
            let why = format!("{} classes need rows of {width}", self.classes);
            return bad("rows", format!("{} numbers", rows.len()), why);
        }
        if !self.counts.is_empty() && self.counts.len() != self.classes {
            let why = format!("there must be one for each of the {} classes", self.classes);
            return bad("counts", format!("{} counts", self.counts.len()), why);
        }
        Ok(())
    }
}
