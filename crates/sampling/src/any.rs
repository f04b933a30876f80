//! The samplers a configuration can name.

use std::borrow::Cow;

use rand::Rng;
use rand::distr::Distribution;
use serde::{Deserialize, Serialize};

use crate::exp::SoftmaxLaw;
use crate::log_uniform::LogUniformLaw;
use crate::uniform::UniformLaw;
use crate::unigram::UnigramLaw;
use crate::{
    Block, ClassId, Classes, ClusterConfig, ClusterLaw, ClusterSampler, Draw, Error, ExactSoftmax, KernelLaw,
    KernelTree, Law, LeafLaw, LogUniform, Midx, MidxConfig, MidxLaw, MidxVariant, QuadraticConfig, RffConfig, Sampler,
    Uniform, Unigram, UnigramConfig, Work,
};

/// A sampler by name, as in a configuration file: `kind = "uniform"`, `"log-uniform"`, `"unigram"`, `"exp"`,
/// `"quadratic"`, `"rff"`, `"cluster"` or `"midx"`, with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SamplerConfig {
    /// [`Uniform`].
    Uniform {},
    /// [`LogUniform`].
    LogUniform {},
    /// [`Unigram`].
    Unigram(UnigramConfig),
    /// [`ExactSoftmax`].
    Exp {},
    /// [`KernelTree`] over the quadratic kernel.
    Quadratic(QuadraticConfig),
    /// [`KernelTree`] over random Fourier features.
    Rff(RffConfig),
    /// [`ClusterSampler`].
    Cluster(ClusterConfig),
    /// [`Midx`].
    Midx(MidxConfig),
}

/// The cluster proposal: on trained models of three kinds of data it is nearest to the softmax by far, and needs neither
/// unit norms nor a kernel width (`rfs diagnose` measures it).
impl Default for SamplerConfig {
    fn default() -> Self {
        Self::Cluster(ClusterConfig::default())
    }
}

impl SamplerConfig {
    /// Name in configurations and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Uniform {} => "uniform",
            Self::LogUniform {} => "log-uniform",
            Self::Unigram(_) => "unigram",
            Self::Exp {} => "exp",
            Self::Quadratic(_) => "quadratic",
            Self::Rff(_) => "rff",
            Self::Cluster(_) => "cluster",
            Self::Midx(_) => "midx",
        }
    }

    /// Whether the sampler has a law for a whole batch, [`shared_law`](Sampler::shared_law).
    pub fn shares_draws(&self) -> bool {
        match self {
            Self::Uniform {} | Self::LogUniform {} | Self::Unigram(_) | Self::Exp {} | Self::Cluster(_) => true,
            Self::Quadratic(_) => false,
            Self::Rff(config) => config.leaf_law == LeafLaw::Features,
            Self::Midx(config) => config.variant == MidxVariant::Fast,
        }
    }

    /// Builds the sampler over `classes`, with their training counts (empty if unknown).
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a sampler that needs counts without them; those of [`RffConfig::build`]
    /// and [`MidxConfig::build`].
    pub fn build(&self, classes: Classes<'_>, counts: &[u64], seed: u64) -> Result<AnySampler, Error> {
        Ok(match self {
            Self::Uniform {} => AnySampler::Uniform(Uniform),
            Self::LogUniform {} => AnySampler::LogUniform(LogUniform::new(classes.len(), counts)?),
            Self::Unigram(config) => AnySampler::Unigram(config.build(classes.len(), counts)?),
            Self::Exp {} => AnySampler::Exp(ExactSoftmax),
            Self::Quadratic(config) => AnySampler::Tree(Box::new(config.build(classes, counts, seed)?)),
            Self::Rff(config) => AnySampler::Tree(Box::new(config.build(classes, counts, seed)?)),
            Self::Cluster(config) => AnySampler::Cluster(Box::new(config.build(classes, counts, seed)?)),
            Self::Midx(config) => AnySampler::Midx(Box::new(config.build(classes, counts, seed)?)),
        })
    }
}

/// One of the samplers, chosen at run time.
#[derive(Clone, Debug)]
pub enum AnySampler {
    /// Uniform.
    Uniform(Uniform),
    /// Log-uniform.
    LogUniform(LogUniform),
    /// Unigram.
    Unigram(Unigram),
    /// The exact softmax.
    Exp(ExactSoftmax),
    /// A kernel through a tree of feature sums: RF-softmax, or the quadratic kernel.
    Tree(Box<KernelTree>),
    /// Leaves by estimated mass, the softmax inside.
    Cluster(Box<ClusterSampler>),
    /// The softmax of quantised scores.
    Midx(Box<Midx>),
}

/// The law of [`AnySampler`].
#[derive(Clone, Debug)]
pub enum AnyLaw<'a> {
    /// Uniform.
    Uniform(UniformLaw),
    /// Log-uniform.
    LogUniform(LogUniformLaw<'a>),
    /// Unigram.
    Unigram(UnigramLaw<'a>),
    /// The exact softmax.
    Exp(SoftmaxLaw),
    /// Of a kernel tree.
    Tree(KernelLaw<'a>),
    /// Of a cluster sampler.
    Cluster(ClusterLaw<'a>),
    /// Of quantised scores.
    Midx(MidxLaw<'a>),
}

/// The same expression for the member inside, whichever it is.
macro_rules! inside {
    ($any:expr, $member:ident => $value:expr) => {
        match $any {
            Self::Uniform($member) => $value,
            Self::LogUniform($member) => $value,
            Self::Unigram($member) => $value,
            Self::Exp($member) => $value,
            Self::Tree($member) => $value,
            Self::Cluster($member) => $value,
            Self::Midx($member) => $value,
        }
    };
}

impl Sampler for AnySampler {
    type Law<'a> = AnyLaw<'a>;

    fn features(&self, queries: &[f32], classes: Classes<'_>) -> Vec<f32> {
        inside!(self, sampler => sampler.features(queries, classes))
    }

    fn law<'a>(
        &'a self,
        query: &'a [f32],
        features: Cow<'a, [f32]>,
        classes: Classes<'a>,
    ) -> Result<AnyLaw<'a>, Error> {
        Ok(match self {
            Self::Uniform(sampler) => AnyLaw::Uniform(sampler.law(query, features, classes)?),
            Self::LogUniform(sampler) => AnyLaw::LogUniform(sampler.law(query, features, classes)?),
            Self::Unigram(sampler) => AnyLaw::Unigram(sampler.law(query, features, classes)?),
            Self::Exp(sampler) => AnyLaw::Exp(sampler.law(query, features, classes)?),
            Self::Tree(sampler) => AnyLaw::Tree(sampler.law(query, features, classes)?),
            Self::Cluster(sampler) => AnyLaw::Cluster(sampler.law(query, features, classes)?),
            Self::Midx(sampler) => AnyLaw::Midx(sampler.law(query, features, classes)?),
        })
    }

    fn shared_law<'a>(&'a self, queries: &[f32], classes: Classes<'a>) -> Result<AnyLaw<'a>, Error> {
        Ok(match self {
            Self::Uniform(sampler) => AnyLaw::Uniform(sampler.shared_law(queries, classes)?),
            Self::LogUniform(sampler) => AnyLaw::LogUniform(sampler.shared_law(queries, classes)?),
            Self::Unigram(sampler) => AnyLaw::Unigram(sampler.shared_law(queries, classes)?),
            Self::Exp(sampler) => AnyLaw::Exp(sampler.shared_law(queries, classes)?),
            Self::Tree(sampler) => AnyLaw::Tree(sampler.shared_law(queries, classes)?),
            Self::Cluster(sampler) => AnyLaw::Cluster(sampler.shared_law(queries, classes)?),
            Self::Midx(sampler) => AnyLaw::Midx(sampler.shared_law(queries, classes)?),
        })
    }

    fn draw_block(&self, block: &Block<'_>) -> Result<Vec<Vec<Draw>>, Error> {
        inside!(self, sampler => sampler.draw_block(block))
    }

    fn reads_before(&self) -> bool {
        inside!(self, sampler => sampler.reads_before())
    }

    fn refresh(&mut self, changed: &[ClassId], before: &[f32], classes: Classes<'_>) -> Result<(), Error> {
        inside!(self, sampler => sampler.refresh(changed, before, classes))
    }

    fn bytes(&self) -> usize {
        inside!(self, sampler => sampler.bytes())
    }

    fn work(&self) -> Work {
        inside!(self, sampler => sampler.work())
    }
}

impl Distribution<ClassId> for AnyLaw<'_> {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        inside!(self, law => law.sample(rng))
    }
}

impl Law for AnyLaw<'_> {
    fn ln_prob(&self, class: ClassId) -> f32 {
        inside!(self, law => law.ln_prob(class))
    }

    fn ln_probs(&self, n: usize) -> Vec<f32> {
        inside!(self, law => law.ln_probs(n))
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        inside!(self, law => law.draw_at(points, excluded, out))
    }
}
