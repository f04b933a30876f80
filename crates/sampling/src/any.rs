//! The samplers a configuration can name.

use std::borrow::Cow;

use rand::Rng;
use rand::distr::Distribution;
use serde::{Deserialize, Serialize};

use crate::exp::SoftmaxLaw;
use crate::uniform::UniformLaw;
use crate::{
    Block, ClassId, Classes, Draw, Error, ExactSoftmax, Law, RffConfig, RffLaw, RffTree, Sampler, Uniform, Work,
};

/// A sampler by name, as in a configuration file: `kind = "uniform"`, `"exp"` or `"rff"` with its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SamplerConfig {
    /// [`Uniform`].
    Uniform {},
    /// [`ExactSoftmax`].
    Exp {},
    /// [`RffTree`].
    Rff(RffConfig),
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self::Rff(RffConfig::default())
    }
}

impl SamplerConfig {
    /// Name in configurations and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Uniform {} => "uniform",
            Self::Exp {} => "exp",
            Self::Rff(_) => "rff",
        }
    }

    /// Builds the sampler over `classes`, with their training counts (empty if unknown).
    ///
    /// # Errors
    /// Those of [`RffConfig::build`].
    pub fn build(&self, classes: Classes<'_>, counts: &[u64], seed: u64) -> Result<AnySampler, Error> {
        Ok(match self {
            Self::Uniform {} => AnySampler::Uniform(Uniform),
            Self::Exp {} => AnySampler::Exp(ExactSoftmax),
            Self::Rff(config) => AnySampler::Rff(Box::new(config.build(classes, counts, seed)?)),
        })
    }
}

/// One of the samplers, chosen at run time.
#[derive(Clone, Debug)]
pub enum AnySampler {
    /// Uniform.
    Uniform(Uniform),
    /// The exact softmax.
    Exp(ExactSoftmax),
    /// RF-softmax.
    Rff(Box<RffTree>),
}

/// The law of [`AnySampler`].
#[derive(Clone, Debug)]
pub enum AnyLaw<'a> {
    /// Uniform.
    Uniform(UniformLaw),
    /// The exact softmax.
    Exp(SoftmaxLaw),
    /// RF-softmax.
    Rff(RffLaw<'a>),
}

impl Sampler for AnySampler {
    type Law<'a> = AnyLaw<'a>;

    fn features(&self, queries: &[f32], classes: Classes<'_>) -> Vec<f32> {
        match self {
            Self::Uniform(sampler) => sampler.features(queries, classes),
            Self::Exp(sampler) => sampler.features(queries, classes),
            Self::Rff(sampler) => sampler.features(queries, classes),
        }
    }

    fn law<'a>(
        &'a self,
        query: &'a [f32],
        features: Cow<'a, [f32]>,
        classes: Classes<'a>,
    ) -> Result<AnyLaw<'a>, Error> {
        Ok(match self {
            Self::Uniform(sampler) => AnyLaw::Uniform(sampler.law(query, features, classes)?),
            Self::Exp(sampler) => AnyLaw::Exp(sampler.law(query, features, classes)?),
            Self::Rff(sampler) => AnyLaw::Rff(sampler.law(query, features, classes)?),
        })
    }

    fn draw_block(&self, block: &Block<'_>) -> Result<Vec<Vec<Draw>>, Error> {
        match self {
            Self::Uniform(sampler) => sampler.draw_block(block),
            Self::Exp(sampler) => sampler.draw_block(block),
            Self::Rff(sampler) => sampler.draw_block(block),
        }
    }

    fn refresh(&mut self, changed: &[ClassId], before: &[f32], classes: Classes<'_>) -> Result<(), Error> {
        match self {
            Self::Uniform(sampler) => sampler.refresh(changed, before, classes),
            Self::Exp(sampler) => sampler.refresh(changed, before, classes),
            Self::Rff(sampler) => sampler.refresh(changed, before, classes),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Uniform(sampler) => sampler.bytes(),
            Self::Exp(sampler) => sampler.bytes(),
            Self::Rff(sampler) => sampler.bytes(),
        }
    }

    fn work(&self) -> Work {
        match self {
            Self::Uniform(sampler) => sampler.work(),
            Self::Exp(sampler) => sampler.work(),
            Self::Rff(sampler) => sampler.work(),
        }
    }
}

impl Distribution<ClassId> for AnyLaw<'_> {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        match self {
            Self::Uniform(law) => law.sample(rng),
            Self::Exp(law) => law.sample(rng),
            Self::Rff(law) => law.sample(rng),
        }
    }
}

impl Law for AnyLaw<'_> {
    fn ln_prob(&self, class: ClassId) -> f32 {
        match self {
            Self::Uniform(law) => law.ln_prob(class),
            Self::Exp(law) => law.ln_prob(class),
            Self::Rff(law) => law.ln_prob(class),
        }
    }

    fn ln_probs(&self, n: usize) -> Vec<f32> {
        match self {
            Self::Uniform(law) => law.ln_probs(n),
            Self::Exp(law) => law.ln_probs(n),
            Self::Rff(law) => law.ln_probs(n),
        }
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        match self {
            Self::Uniform(law) => law.draw_at(points, excluded, out),
            Self::Exp(law) => law.draw_at(points, excluded, out),
            Self::Rff(law) => law.draw_at(points, excluded, out),
        }
    }
}
