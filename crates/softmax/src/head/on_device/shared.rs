//! A step whose candidates are shared by the batch: products of matrices by burn, all between them by kernels.

use burn::tensor::Tensor;
use rf_device::{Batch, Buffer, Candidates, Draws, Lists, SharedCandidates, SharedLoss, SharedRows, Touched};

use super::sampler::DeviceSampler;
use super::{OnDevice, Pass};
use crate::config::Estimator;
use crate::device::{buffer_of, tensor_of};
use crate::labels::Terms;
use crate::{Error, Labels};

impl OnDevice {
    /// Draws, loss and gradients of a batch that shares its candidates, as [`pass`](Self::pass) for queries that draw for themselves.
    ///
    /// With `M` candidates `6 B M width` operations, and `2 B L 2d` for the law of a cluster sampler of `L` leaves. Candidates that were
    /// drawn more than once are computed as often.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, outside autodiff
    pub(super) fn pass_together(
        &self,
        queries: Tensor<2>,
        labels: &Labels,
        terms: &Terms,
        draws: Draws,
    ) -> Result<Pass, Error> {
        let ([batch, dim], width, count) = (queries.dims(), self.table.rows.width(), self.config.draws);
        let (normalized, device) = (self.config.normalized, queries.device());
        let lists = self.lists(labels, terms, 0)?;
        let mut edges = lists.edges();
        let numbers = buffer_of(queries.clone());
        let shared = self.draw_together(&queries, &numbers, draws, &lists, &mut edges);
        let rows = SharedRows::of(&self.table.rows, dim, normalized, &shared);
        let candidates: Tensor<2> = tensor_of(&rows.rows, [count, width], &device);
        let extended =
            if width > dim { Tensor::cat(vec![queries, Tensor::ones([batch, 1], &device)], 1) } else { queries };
        let logits = buffer_of(candidates.clone().matmul(extended.clone().transpose()));
        let loss = SharedLoss::of(logits, &numbers, &self.table.rows, normalized, &lists, &edges, &shared);
        let weights: Tensor<2> = tensor_of(&loss.weights, [count, batch], &device);
        let by_terms = loss.terms.query_gradients(&self.table.rows, dim, &lists, &edges);
        let by_candidates = weights.clone().transpose().matmul(candidates).narrow(1, 0, dim);
        let gradient = buffer_of(by_candidates + tensor_of(&by_terms, [batch, dim], &device));
        let of_rows = buffer_of(weights.matmul(extended));
        let batch =
            Batch { queries: &numbers, dim, table: &self.table.rows, normalized, edges: &edges, loss: &loss.terms };
        let touched = Touched::of_shared(batch, &shared, &rows, of_rows, self.sampler.places());
        Ok(Pass { total: loss.terms.total(), counted: lists.counted, gradient, touched: vec![touched] })
    }

    /// Draws the candidates of a batch, and corrects its true classes where the estimator asks for it.
    fn draw_together(
        &self,
        queries: &Tensor<2>,
        numbers: &Buffer<f32>,
        draws: Draws,
        lists: &Lists,
        edges: &mut Candidates,
    ) -> SharedCandidates {
        let (count, both) = (self.config.draws, self.config.estimator == Estimator::BothCorrected);
        match &self.sampler {
            DeviceSampler::Static(law) => {
                if both {
                    law.correct_terms(lists, edges, count);
                }
                law.draw_shared(draws, count)
            }
            DeviceSampler::Cluster(cluster) => {
                let shares = cluster.shares(numbers, lists);
                let columns = if cluster.moments() > self.dim {
                    Tensor::cat(vec![queries.clone(), queries.clone() * queries.clone()], 1)
                } else {
                    queries.clone()
                };
                let by_leaf: Tensor<2> =
                    tensor_of(&shares, [shares.len() / lists.batch, lists.batch], &queries.device());
                let law = cluster.mixture(&shares, &buffer_of(by_leaf.matmul(columns)));
                if both {
                    cluster.correct_terms(&law, &self.table.rows, lists, edges, count);
                }
                cluster.draw_shared(&law, &self.table.rows, draws, count)
            }
            DeviceSampler::Tree(tree) => tree.draw_shared(numbers, &self.table.rows, draws, count),
        }
    }
}
