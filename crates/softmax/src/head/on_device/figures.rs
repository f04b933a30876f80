//! What a pass tells about itself, read when it is asked for.

use std::sync::OnceLock;

use rf_device::Buffer;

/// Loss and number of distinct classes of a pass, on a card until somebody asks.
#[derive(Debug)]
pub(in crate::head) struct CardFigures {
    /// Sum of the losses, `[1]`.
    total: Buffer<f32>,
    /// Queries with a true class.
    counted: usize,
    /// Distinct classes of each part of the table, `[1]` each.
    distinct: Vec<Buffer<u32>>,
    read: OnceLock<(f64, usize)>,
}

impl CardFigures {
    pub fn new(total: Buffer<f32>, counted: usize, distinct: Vec<Buffer<u32>>) -> Self {
        Self { total, counted, distinct, read: OnceLock::new() }
    }

    /// Mean loss and number of distinct classes; waits for the card, once.
    pub fn wait(&self) -> (f64, usize) {
        *self.read.get_or_init(|| {
            let distinct = self.distinct.iter().map(|count| count.download()[0] as usize).sum();
            (f64::from(self.total.download()[0]) / self.counted as f64, distinct)
        })
    }
}
