//! Tables of which a step touches some rows only.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use rand::distr::Distribution;
use rand_distr::{Normal, Uniform};
use rayon::prelude::*;
use rf_sampling::{Buffer, Purpose, stream};

use crate::row_optimizer::Update;
use crate::state::{NamedTensor, StateSource};
use crate::{Error, RowOptimizer};

/// Rows that one generator fills at the start.
const ROWS_A_STREAM: usize = 1024;

/// A table of `rows` rows of `width` numbers with its optimizer state, on the host.
///
/// [`gather`](RowTable::gather) reads rows as an autodiff leaf, [`step`](RowTable::step) updates the rows that a
/// gradient names: both cost O(touched rows), whatever the size of the table. A clone shares the rows; a step on a
/// shared table is refused, since it would have to copy all of them. It is no burn `Param`: its gradient would be dense.
#[derive(Clone, Debug)]
pub struct RowTable {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rows: usize,
    width: usize,
    data: Buffer,
    optimizer: RowOptimizer,
    state: Vec<Buffer>,
    steps: u64,
}

/// Law of a table's first values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowInit {
    /// Normal with mean 0 and this standard deviation.
    Normal(f32),
    /// Uniform between minus and plus this bound.
    Uniform(f32),
    /// Zero.
    Zeros,
}

impl RowTable {
    /// A table with random rows: a function of `seed` and `place` (a number for each table of a model).
    ///
    /// # Panics
    /// If there are 2³² rows or more, or `width` is zero.
    pub fn new(rows: usize, width: usize, init: RowInit, optimizer: RowOptimizer, seed: u64, place: u64) -> Self {
        assert!(rows < u32::MAX as usize && width > 0, "a table of {rows} rows of {width}");
        let mut data = Buffer::zeros(rows * width);
        data.par_chunks_mut(ROWS_A_STREAM * width).enumerate().for_each(|(chunk, values)| {
            let mut rng = stream(seed, Purpose::Init, place, chunk as u64);
            match init {
                RowInit::Normal(deviation) => fill(values, Normal::new(0.0, deviation).expect("finite"), &mut rng),
                RowInit::Uniform(bound) => {
                    fill(values, Uniform::new_inclusive(-bound, bound).expect("finite"), &mut rng)
                }
                RowInit::Zeros => {}
            }
        });
        Self::from_buffer(data, width, optimizer)
    }

    /// A table with given rows.
    ///
    /// # Shapes
    /// - data: `[rows, width]`
    ///
    /// # Panics
    /// If `data` is no whole number of rows.
    pub fn from_rows(data: Vec<f32>, width: usize, optimizer: RowOptimizer) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "{} numbers are no rows of {width}", data.len());
        Self::from_buffer(Buffer::from(&*data), width, optimizer)
    }

    fn from_buffer(data: Buffer, width: usize, optimizer: RowOptimizer) -> Self {
        let rows = data.len() / width;
        let state = optimizer.state_widths(width).into_iter().map(|width| Buffer::zeros(rows * width)).collect();
        Self { inner: Arc::new(Inner { rows, width, data, optimizer, state, steps: 0 }) }
    }

    /// A table in a given state, as [`optimizer_state`](Self::optimizer_state) tells it.
    #[cfg(feature = "device")]
    pub(crate) fn in_state(
        data: Vec<f32>,
        width: usize,
        optimizer: RowOptimizer,
        state: Vec<Vec<f32>>,
        steps: u64,
    ) -> Self {
        let rows = data.len() / width;
        let state = state.iter().map(|state| Buffer::from(&**state)).collect();
        let inner = Inner { rows, width, data: Buffer::from(&*data), optimizer, state, steps };
        Self { inner: Arc::new(inner) }
    }

    /// The state tables of the optimizer, the optimizer, and the steps so far.
    #[cfg(feature = "device")]
    pub(crate) fn optimizer_state(&self) -> (&[Buffer], RowOptimizer, u64) {
        (&self.inner.state, self.inner.optimizer, self.inner.steps)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.inner.rows
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.inner.width
    }

    /// All rows, `[rows, width]`.
    pub fn data(&self) -> &[f32] {
        &self.inner.data
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, id: u32) -> &[f32] {
        &self.inner.data[id as usize * self.width()..][..self.width()]
    }

    /// Copies rows.
    ///
    /// # Shapes
    /// - output: `[ids.len(), width]`
    ///
    /// # Errors
    /// [`Error::BadRow`] for an id beyond the table.
    pub fn read(&self, ids: &[u32]) -> Result<Vec<f32>, Error> {
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.rows()) {
            return Err(Error::BadRow { id, rows: self.rows() });
        }
        let mut rows = vec![0.0; ids.len() * self.width()];
        rows.par_chunks_mut(self.width())
            .zip(ids)
            .with_min_len(64)
            .for_each(|(to, &id)| to.copy_from_slice(self.row(id)));
        Ok(rows)
    }

    /// Rows as a leaf of the autodiff graph: its gradient is what [`step`](RowTable::step) takes.
    ///
    /// # Shapes
    /// - output: `[ids.len(), width]`
    ///
    /// # Errors
    /// [`Error::BadRow`] for an id beyond the table.
    pub fn gather(&self, ids: &[u32], device: &Device) -> Result<Tensor<2>, Error> {
        let rows = TensorData::new(self.read(ids)?, [ids.len(), self.width()]);
        let leaf = Tensor::from_data(rows, device);
        Ok(if device.is_autodiff() { leaf.require_grad() } else { leaf })
    }

    /// Steps the rows that `gradients` names, at learning rate `rate`.
    ///
    /// # Errors
    /// [`Error::Shared`] while a clone is alive, [`Error::BadRow`] for an id beyond the table. Nothing has changed then.
    pub fn step(&mut self, rate: f64, gradients: &RowGradients) -> Result<(), Error> {
        let rows = self.rows();
        if let Some(&id) = gradients.ids.last().filter(|&&id| id as usize >= rows) {
            return Err(Error::BadRow { id, rows });
        }
        let inner = Arc::get_mut(&mut self.inner).ok_or(Error::Shared)?;
        assert_eq!(gradients.values.len(), gradients.ids.len() * inner.width, "gradients are not [ids, width]");
        inner.steps += 1;
        let update = Update { ids: &gradients.ids, gradients: &gradients.values, rate: rate as f32, step: inner.steps };
        inner.optimizer.step(&mut inner.data, &mut inner.state, inner.width, update);
        Ok(())
    }

    /// Bytes of rows and state.
    pub fn bytes(&self) -> usize {
        size_of_val(self.data()) + self.inner.state.iter().map(|state| size_of_val(&**state)).sum::<usize>()
    }

    /// Rows, state and step count under names beginning with `prefix`, for a checkpoint.
    pub fn state(&self, prefix: &str) -> Vec<NamedTensor<'_>> {
        let Inner { rows, width, data, optimizer, state, steps } = &*self.inner;
        let mut tensors = vec![NamedTensor::f32(format!("{prefix}.rows"), vec![*rows, *width], data)];
        for (name, state) in optimizer.state_names().iter().zip(state) {
            let columns = state.len() / (*rows).max(1);
            tensors.push(NamedTensor::f32(format!("{prefix}.{name}"), vec![*rows, columns], state));
        }
        tensors.push(NamedTensor::u64(format!("{prefix}.steps"), vec![*steps]));
        tensors
    }

    /// Takes up a saved state.
    ///
    /// # Errors
    /// [`Error::Shared`] while a clone is alive; [`Error::MissingState`] or [`Error::WrongState`] if the saved tensors do
    /// not fit. Nothing has changed then.
    pub fn restore(&mut self, prefix: &str, source: &mut dyn StateSource) -> Result<(), Error> {
        *self = self.saved(prefix, source)?;
        Ok(())
    }

    /// A table of this size and optimizer in a saved state.
    pub(crate) fn saved(&self, prefix: &str, source: &mut dyn StateSource) -> Result<Self, Error> {
        if Arc::strong_count(&self.inner) > 1 {
            return Err(Error::Shared);
        }
        let Inner { rows, width, data, optimizer, state, .. } = &*self.inner;
        let data = Buffer::from(&*source.f32(&format!("{prefix}.rows"), data.len())?);
        let names = optimizer.state_names().iter().zip(state);
        let state = names
            .map(|(name, state)| Ok(Buffer::from(&*source.f32(&format!("{prefix}.{name}"), state.len())?)))
            .collect::<Result<_, Error>>()?;
        let steps = source.u64(&format!("{prefix}.steps"), 1)?[0];
        let inner = Inner { rows: *rows, width: *width, data, optimizer: *optimizer, state, steps };
        Ok(Self { inner: Arc::new(inner) })
    }
}

fn fill(values: &mut [f32], law: impl Distribution<f32>, rng: &mut impl rand::Rng) {
    values.iter_mut().for_each(|value| *value = law.sample(rng));
}

/// Gradients of some rows of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowGradients {
    /// The rows, ascending and distinct.
    pub ids: Vec<u32>,
    /// Their gradients, `[ids.len(), width]`.
    pub values: Vec<f32>,
}

impl RowGradients {
    /// One gradient for each distinct id from one for each element of a list: gradients of equal ids are added, in the
    /// order of the list.
    ///
    /// # Shapes
    /// - values: `[list.len(), width]`
    pub fn merge(list: &[u32], values: &[f32], width: usize) -> Self {
        let unique = crate::Unique::of(list);
        let mut merged = vec![0.0; unique.ids.len() * width];
        for (&position, value) in unique.positions.iter().zip(values.chunks_exact(width)) {
            let row = &mut merged[position as usize * width..][..width];
            row.iter_mut().zip(value).for_each(|(sum, value)| *sum += value);
        }
        Self { ids: unique.ids, values: merged }
    }

    /// The sum of two gradients of the same table, for rows used in two places (tied tables).
    pub fn plus(&self, other: &Self, width: usize) -> Self {
        let list: Vec<u32> = self.ids.iter().chain(&other.ids).copied().collect();
        let values: Vec<f32> = self.values.iter().chain(&other.values).copied().collect();
        Self::merge(&list, &values, width)
    }
}
