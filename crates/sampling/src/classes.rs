//! The class table as samplers see it.

use crate::{ClassId, Error};

/// Smallest norm that normalisation divides by, as in PyTorch's `normalize`.
pub const MIN_NORM: f32 = 1e-12;

/// A borrowed table of `n` class rows.
///
/// The logit of class `i` for a query `h` is `h · c_i + b_i`, with `c_i` the first `d` columns of row `i` (divided by
/// their norm if the table is normalised) and `b_i` the last column if the table has a bias.
#[derive(Clone, Copy, Debug)]
pub struct Classes<'a> {
    rows: &'a [f32],
    width: usize,
    bias: bool,
    normalized: bool,
    absolute: bool,
}

impl<'a> Classes<'a> {
    /// Rows of `d` columns, used as they are.
    ///
    /// # Shapes
    /// - rows: `[n, dim]`
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn new(rows: &'a [f32], dim: usize) -> Self {
        assert!(dim > 0 && rows.len().is_multiple_of(dim), "{} numbers are no rows of {dim}", rows.len());
        Self { rows, width: dim, bias: false, normalized: false, absolute: false }
    }

    /// The last column of each row is the class's bias.
    ///
    /// # Panics
    /// If rows have one column only.
    pub fn with_bias(self) -> Self {
        assert!(self.width > 1, "rows of one column have no room for a bias");
        Self { bias: true, ..self }
    }

    /// Embeddings count divided by their Euclidean norm.
    pub fn normalized(self) -> Self {
        Self { normalized: true, ..self }
    }

    /// The softmax over these classes is the absolute one, `p ∝ exp(|o|)` (Blanc & Rendle 2018, section 3.3), which goes
    /// with symmetric kernels. Proposals that follow the softmax, the exact one and leaves of the law `exact`, follow it;
    /// to the others it makes no difference.
    pub fn absolute(self) -> Self {
        Self { absolute: true, ..self }
    }

    /// A table of the same kind with other rows.
    ///
    /// # Shapes
    /// - rows: `[n, width]`
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn with_rows<'b>(&self, rows: &'b [f32]) -> Classes<'b> {
        let Self { width, bias, normalized, absolute, .. } = *self;
        Classes { bias, normalized, absolute, ..Classes::new(rows, width) }
    }

    /// Number of classes `n`.
    pub fn len(&self) -> usize {
        self.rows.len() / self.width
    }

    /// Whether there are no classes.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Embedding width `d`.
    pub fn dim(&self) -> usize {
        self.width - usize::from(self.bias)
    }

    /// Columns of a row: `d`, and one more with a bias.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether embeddings are normalised.
    pub fn is_normalized(&self) -> bool {
        self.normalized
    }

    /// Whether the last column is a bias.
    pub fn has_bias(&self) -> bool {
        self.bias
    }

    /// Whether the softmax is the absolute one.
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }

    /// All rows, `[n, width]`.
    pub fn rows(&self) -> &'a [f32] {
        self.rows
    }

    /// The `d` embedding columns of a class, before normalisation.
    pub fn embedding(&self, class: usize) -> &'a [f32] {
        &self.rows[class * self.width..][..self.dim()]
    }

    /// The bias of a class, 0 without a bias column.
    pub fn bias(&self, class: usize) -> f32 {
        if self.bias { self.rows[class * self.width + self.width - 1] } else { 0.0 }
    }

    /// A logit as the softmax takes it.
    pub(crate) fn score(&self, logit: f32) -> f32 {
        if self.absolute { logit.abs() } else { logit }
    }

    /// Factor that normalises the embedding of a class to length one.
    pub(crate) fn inverse_norm(&self, class: usize) -> f32 {
        let row = self.embedding(class);
        1.0 / crate::dot(row, row).sqrt().max(MIN_NORM)
    }

    /// Refuses rows with NaN or infinite components (or so large that their squared norm overflows).
    pub(crate) fn check(&self, class: usize, id: ClassId) -> Result<(), Error> {
        let row = self.embedding(class);
        let finite = crate::dot(row, row).is_finite() && self.bias(class).is_finite();
        if finite { Ok(()) } else { Err(Error::NotFinite(id)) }
    }
}
