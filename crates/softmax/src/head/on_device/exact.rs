//! What looks at all classes, on a device: their logits are made and taken up a chunk at a time.

use burn::tensor::{Device, Tensor};
use rf_device::{AllRows, Best, Chunk, ChunkRows, Lists, LossInput, Settled, Softmax};
use rf_sampling::ClassId;

use super::{OnDevice, Pass};
use crate::device::{buffer_of, plain, tensor_of};
use crate::labels::Terms;
use crate::loss::Ranked;
use crate::{Labels, OtherLabels, to_vec};

impl OnDevice {
    /// Loss of each query over all classes, in nats, `[B]`; 0 for queries without a true class.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits, outside autodiff
    pub fn nll(&self, queries: Tensor<2>, labels: &Labels, terms: &Terms) -> Vec<f32> {
        let device = queries.device();
        let settled = self.settled(&queries, labels, terms);
        to_vec(tensor_of(&settled.nll, [labels.len()], &device))
    }

    /// The best `k` classes of each query.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits, outside autodiff
    pub fn top_k(&self, queries: Tensor<2>, k: usize, left_out: Option<&Labels>) -> Vec<Vec<Ranked>> {
        let (batch, k) = (queries.dims()[0], k.min(self.table.rows.rows()));
        if k == 0 {
            return vec![Vec::new(); batch];
        }
        let (starts, ids) = listed(batch, |query| left_out.map_or(&[], |lists| lists.of(query)));
        let best = Best::new(self.table.rows.client(), k, &starts, &ids);
        for chunk in self.chunks(batch) {
            best.add(&buffer_of(self.logits(&queries, chunk).1), chunk);
        }
        let ranked = |(class, score)| Ranked { class, score };
        best.download().into_iter().map(|found| found.into_iter().map(ranked).collect()).collect()
    }

    /// The full loss, and its gradients for queries and all rows. Logits are made twice, so that none is kept.
    ///
    /// # Shapes
    /// - queries: `[B, d]`, as they enter the logits, outside autodiff
    pub(super) fn pass_full(&self, queries: &Tensor<2>, labels: &Labels, terms: &Terms) -> Pass {
        let settled = self.settled(queries, labels, terms);
        let mut gradient = queries.zeros_like();
        let all = AllRows::new(&self.table.rows);
        for chunk in self.chunks(queries.dims()[0]) {
            let (rows, logits) = self.logits(queries, chunk);
            let weights = buffer_of(logits);
            settled.weigh(&weights, chunk);
            let weights = tensor_of(&weights, [queries.dims()[0], chunk.count], &queries.device());
            gradient = gradient + weights.clone().matmul(self.dense(&rows, &queries.device()));
            let of_biases = buffer_of(weights.clone().sum_dim(0));
            let of_rows = buffer_of(weights.transpose().matmul(queries.clone()));
            all.set(chunk, &rows, &of_rows, &of_biases, self.config.normalized);
        }
        let (total, counted) = (settled.total(), terms.counted);
        Pass { total, counted, gradient: buffer_of(gradient), touched: all.into_touched() }
    }

    fn settled(&self, queries: &Tensor<2>, labels: &Labels, terms: &Terms) -> Settled {
        let softmax = Softmax::new(self.all_lists(labels, terms));
        for chunk in self.chunks(labels.len()) {
            softmax.add(&buffer_of(self.logits(queries, chunk).1), chunk);
        }
        softmax.settle()
    }

    fn chunks(&self, batch: usize) -> Vec<Chunk> {
        Chunk::of(&self.table.rows, Chunk::rows_for(batch, &self.table.rows))
    }

    /// The rows of a chunk, and its logits, `[B, count]`.
    fn logits(&self, queries: &Tensor<2>, chunk: Chunk) -> (ChunkRows, Tensor<2>) {
        let (device, rows) = (queries.device(), chunk.rows(&self.table.rows, self.dim, self.config.normalized));
        let products = queries.clone().matmul(self.dense(&rows, &device).transpose());
        let logits =
            if self.config.bias { products + tensor_of(&rows.biases, [1, chunk.count], &device) } else { products };
        (rows, logits)
    }

    /// The rows of a chunk, `[count, d]`.
    fn dense(&self, rows: &ChunkRows, device: &Device) -> Tensor<2> {
        tensor_of(&rows.rows, [rows.biases.len(), self.dim], &plain(device))
    }

    /// The lists of a batch whose negatives are all other classes.
    fn all_lists(&self, labels: &Labels, terms: &Terms) -> Lists {
        let (excluded_start, excluded) = listed(labels.len(), |query| labels.excluded(query));
        let term_start: Vec<u32> = terms.offsets.iter().map(|&offset| offset as u32).collect();
        let input = LossInput {
            term_start: &term_start,
            term_ids: &terms.ids,
            term_weights: &terms.weights,
            excluded_start: &excluded_start,
            excluded: &excluded,
            draws: 1,
            included: self.config.other_labels == OtherLabels::Included,
        };
        Lists::upload(self.table.rows.client(), input)
    }

    /// Copies the class table to the host, `[n, width]`.
    pub fn rows(&self) -> Vec<f32> {
        self.table.rows.download()
    }
}

/// Lists one after the other: where each begins, and the end of the last, and their classes.
fn listed<'a>(lists: usize, of: impl Fn(usize) -> &'a [ClassId]) -> (Vec<u32>, Vec<ClassId>) {
    let (mut starts, mut ids) = (vec![0u32], Vec::new());
    for list in 0..lists {
        ids.extend_from_slice(of(list));
        starts.push(ids.len() as u32);
    }
    (starts, ids)
}
