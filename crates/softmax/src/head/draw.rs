//! From queries to candidates.

use rf_sampling::{BatchRequest, ClassId, Law, draw_batch, draw_shared, ln_prob_batch};

use super::SampledSoftmaxLoss;
use crate::config::{Estimator, Sharing};
use crate::labels::Terms;
use crate::{Candidates, Error, Labels, LossConfig, Unique};

impl SampledSoftmaxLoss {
    /// Draws the candidates of a batch whose queries have one true class each, or [`IGNORED`](crate::IGNORED).
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits (normalised and multiplied by tau)
    ///
    /// # Errors
    /// As [`draw_for`](Self::draw_for).
    pub fn draw(&self, queries: &[f32], targets: &[ClassId]) -> Result<Candidates, Error> {
        self.draw_for(queries, &Labels::one_each(targets))
    }

    /// Draws the candidates of a batch: a function of the seed and the number of steps taken, and of the place in the
    /// batch where queries draw for themselves. True classes of a query are not among its own.
    ///
    /// Shared draws are from the law of the batch as a whole. Each query leaves its own true classes out; neither `M` nor
    /// `q̄` change for that.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits (normalised and multiplied by tau)
    ///
    /// # Errors
    /// [`Error::Sampler`] if a query is not finite or nothing is left to draw.
    pub fn draw_for(&self, queries: &[f32], labels: &Labels) -> Result<Candidates, Error> {
        let terms = self.terms(labels);
        self.draw_terms(queries, labels, &terms)
    }

    pub(super) fn draw_terms(&self, queries: &[f32], labels: &Labels, terms: &Terms) -> Result<Candidates, Error> {
        let LossConfig { draws, points, sharing, .. } = self.config;
        let request = BatchRequest { queries, draws, points, seed: self.seed, step: self.steps };
        match sharing {
            Sharing::Query => self.draw_each(request, labels, terms),
            Sharing::Batch => self.draw_together(request, labels, terms),
        }
    }

    fn draw_each(&self, request: BatchRequest<'_>, labels: &Labels, terms: &Terms) -> Result<Candidates, Error> {
        let (sampler, classes, draws) = (self.sampler(), self.class_rows(), request.draws);
        let excluded = |query: usize| (!labels.of(query).is_empty()).then(|| labels.excluded(query));
        match self.config.estimator {
            Estimator::Published => {
                Ok(Candidates::from_draws(&draw_batch(sampler, classes, request, excluded)?, draws))
            }
            Estimator::BothCorrected => {
                let drawn = draw_batch(sampler, classes, request, |query| excluded(query).map(|_| &[][..]))?;
                let asked = |query: usize| &terms.ids[terms.range(query)];
                let mut corrections = ln_prob_batch(sampler, classes, request.queries, asked)?;
                corrections.iter_mut().for_each(|ln_prob| *ln_prob += (draws as f32).ln());
                Ok(Candidates::from_draws(&drawn, draws).with_target_correction(&corrections).without_labels(labels))
            }
        }
    }

    fn draw_together(&self, request: BatchRequest<'_>, labels: &Labels, terms: &Terms) -> Result<Candidates, Error> {
        let counted = counted_queries(request.queries, labels, self.dim);
        let request = BatchRequest { queries: counted.as_deref().unwrap_or(request.queries), ..request };
        let (drawn, law) = draw_shared(self.sampler(), self.class_rows(), request)?;
        let candidates = Candidates::from_shared_draws(labels.len(), &drawn, request.draws).without_labels(labels);
        if self.config.estimator == Estimator::Published {
            return Ok(candidates);
        }
        let Unique { ids, positions } = Unique::of(&terms.ids);
        let of_class: Vec<f32> = ids.iter().map(|&id| law.ln_prob(id) + (request.draws as f32).ln()).collect();
        let corrections: Vec<f32> = positions.iter().map(|&at| of_class[at as usize]).collect();
        Ok(candidates.with_target_correction(&corrections))
    }
}

/// The queries that have a true class, if some have none: those have no part in the law of the batch.
fn counted_queries(queries: &[f32], labels: &Labels, dim: usize) -> Option<Vec<f32>> {
    if labels.counted() == labels.len() {
        return None;
    }
    let rows = queries.chunks_exact(dim).enumerate().filter(|(query, _)| !labels.of(*query).is_empty());
    Some(rows.flat_map(|(_, query)| query).copied().collect())
}
