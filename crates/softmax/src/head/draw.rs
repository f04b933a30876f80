//! From queries to candidates.

use rf_sampling::{BatchRequest, ClassId, Law, draw_batch, draw_shared, ln_prob_batch};

use super::SampledSoftmaxLoss;
use crate::config::{Estimator, Sharing};
use crate::{Candidates, Error, IGNORED, LossConfig, Unique};

impl SampledSoftmaxLoss {
    /// Draws the candidates of a batch: a function of the seed and the number of steps taken, and of the place in the
    /// batch where queries draw for themselves.
    ///
    /// Shared draws are from the law of the batch as a whole. Each query leaves its own target out; neither `M` nor `q̄`
    /// change for that.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits (normalised and multiplied by tau)
    ///
    /// # Errors
    /// [`Error::Sampler`] if a query is not finite or nothing is left to draw.
    pub fn draw(&self, queries: &[f32], targets: &[ClassId]) -> Result<Candidates, Error> {
        let LossConfig { draws, points, sharing, .. } = self.config;
        let request = BatchRequest { queries, draws, points, seed: self.seed, step: self.steps };
        match sharing {
            Sharing::Query => self.draw_each(request, targets),
            Sharing::Batch => self.draw_together(request, targets),
        }
    }

    fn draw_each(&self, request: BatchRequest<'_>, targets: &[ClassId]) -> Result<Candidates, Error> {
        let (sampler, classes, draws) = (&*self.sampler, self.class_rows(), request.draws);
        let target = |query: usize| Some(&targets[query..=query]).filter(|target| target[0] != IGNORED);
        match self.config.estimator {
            Estimator::Published => Ok(Candidates::from_draws(&draw_batch(sampler, classes, request, target)?, draws)),
            Estimator::BothCorrected => {
                let drawn = draw_batch(sampler, classes, request, |query| target(query).map(|_| &[][..]))?;
                let asked = |query: usize| target(query).map(|target| target[0]);
                let mut corrections = ln_prob_batch(sampler, classes, request.queries, asked)?;
                corrections.iter_mut().for_each(|ln_prob| *ln_prob += (draws as f32).ln());
                Ok(Candidates::from_draws(&drawn, draws).with_target_correction(&corrections).without_hits(targets))
            }
        }
    }

    fn draw_together(&self, request: BatchRequest<'_>, targets: &[ClassId]) -> Result<Candidates, Error> {
        let counted = counted_queries(request.queries, targets, self.dim);
        let request = BatchRequest { queries: counted.as_deref().unwrap_or(request.queries), ..request };
        let (drawn, law) = draw_shared(&*self.sampler, self.class_rows(), request)?;
        let candidates = Candidates::from_shared_draws(targets.len(), &drawn, request.draws).without_hits(targets);
        if self.config.estimator == Estimator::Published {
            return Ok(candidates);
        }
        let Unique { ids, positions } = Unique::of(targets);
        let correction =
            |&id: &ClassId| if id == IGNORED { 0.0 } else { law.ln_prob(id) + (request.draws as f32).ln() };
        let of_class: Vec<f32> = ids.iter().map(correction).collect();
        let corrections: Vec<f32> = positions.iter().map(|&at| of_class[at as usize]).collect();
        Ok(candidates.with_target_correction(&corrections))
    }
}

/// The queries that have a target, if some have none: those have no part in the law of the batch.
fn counted_queries(queries: &[f32], targets: &[ClassId], dim: usize) -> Option<Vec<f32>> {
    if !targets.contains(&IGNORED) {
        return None;
    }
    let rows = queries.chunks_exact(dim).zip(targets).filter(|(_, target)| **target != IGNORED);
    Some(rows.flat_map(|(query, _)| query).copied().collect())
}
