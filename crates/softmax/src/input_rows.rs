//! The input table of a model: word rows, feature rows.

use burn::tensor::{Device, Gradients, Tensor};

#[cfg(feature = "device")]
mod on_card;

#[cfg(feature = "device")]
pub(crate) use self::on_card::{CardGradients, CardRows};
use crate::state::{NamedTensor, StateSource};
use crate::{ClipFactor, Error, RowGradients, RowTable, SparseGradients, SquaredNorm, to_vec};

/// A table of input rows where a model's tensors are, on the host or on a graphics card.
///
/// As of a [`RowTable`], a step gathers some rows, and steps these.
#[derive(Debug)]
pub struct InputRows(Place);

#[derive(Debug)]
enum Place {
    Host(RowTable),
    #[cfg(feature = "device")]
    Card(Box<CardRows>),
}

/// Gradients of some rows of an input table.
#[derive(Debug)]
pub struct InputGradients(Kind);

#[derive(Debug)]
enum Kind {
    Host(RowGradients),
    /// A step spends them.
    #[cfg(feature = "device")]
    Card(Box<CardGradients>),
}

impl InputRows {
    /// Puts a table where `device` keeps its tensors.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if a graphics card has no room for it.
    pub fn new(table: RowTable, device: &Device) -> Result<Self, Error> {
        #[cfg(feature = "device")]
        if let Some(client) = crate::device::client_of(device) {
            return Ok(Self(Place::Card(Box::new(CardRows::upload(client, &table, crate::device::plain(device))?))));
        }
        let _ = device;
        Ok(Self(Place::Host(table)))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        match &self.0 {
            Place::Host(table) => table.rows(),
            #[cfg(feature = "device")]
            Place::Card(table) => table.rows(),
        }
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        match &self.0 {
            Place::Host(table) => table.width(),
            #[cfg(feature = "device")]
            Place::Card(table) => table.width(),
        }
    }

    /// The table on the host; that of a graphics card is copied, once until it changes.
    pub fn table(&self) -> &RowTable {
        match &self.0 {
            Place::Host(table) => table,
            #[cfg(feature = "device")]
            Place::Card(table) => table.mirror(),
        }
    }

    /// Rows as a leaf of the autodiff graph, on the device of the table, or outside autodiff.
    ///
    /// # Shapes
    /// - ids: ascending and distinct
    /// - output: `[ids.len(), width]`
    ///
    /// # Errors
    /// [`Error::BadRow`] for an id beyond the table.
    pub fn gather(&self, ids: &[u32], device: &Device) -> Result<Tensor<2>, Error> {
        match &self.0 {
            Place::Host(table) => table.gather(ids, device),
            #[cfg(feature = "device")]
            Place::Card(table) => table.gather(ids, device),
        }
    }

    /// Moves the gradient of a leaf that [`gather`](Self::gather) gave for `ids` out of `grads`.
    pub fn gradient(&self, ids: &[u32], leaf: &Tensor<2>, grads: &mut Gradients) -> InputGradients {
        let gradient = leaf.grad_remove(grads);
        InputGradients(match &self.0 {
            Place::Host(_) => {
                Kind::Host(RowGradients { ids: ids.to_vec(), values: gradient.map(to_vec).unwrap_or_default() })
            }
            #[cfg(feature = "device")]
            Place::Card(table) => Kind::Card(Box::new(table.gradient(ids, gradient))),
        })
    }

    /// Steps the rows that `gradients` names, at learning rate `rate`. On a graphics card the gradients are spent.
    ///
    /// # Errors
    /// As [`RowTable::step`].
    ///
    /// # Panics
    /// If the gradients are of a table elsewhere.
    pub fn step(&mut self, rate: f64, gradients: &mut InputGradients) -> Result<(), Error> {
        match (&mut self.0, &mut gradients.0) {
            (Place::Host(table), Kind::Host(gradients)) => table.step(rate, gradients),
            #[cfg(feature = "device")]
            (Place::Card(table), Kind::Card(gradients)) => {
                table.step(rate, gradients);
                Ok(())
            }
            #[cfg(feature = "device")]
            _ => panic!("gradients of a table on another device"),
        }
    }

    /// Rows, state and step count under names beginning with `prefix`, for a checkpoint.
    pub fn state(&self, prefix: &str) -> Vec<NamedTensor<'_>> {
        self.table().state(prefix)
    }

    /// Takes up a saved state.
    ///
    /// # Errors
    /// As [`RowTable::restore`].
    pub fn restore(&mut self, prefix: &str, source: &mut dyn StateSource) -> Result<(), Error> {
        match &mut self.0 {
            Place::Host(table) => table.restore(prefix, source),
            #[cfg(feature = "device")]
            Place::Card(table) => table.restore(prefix, source),
        }
    }
}

impl InputGradients {
    /// The gradients, where they are on the host.
    pub fn on_host(&self) -> Option<&RowGradients> {
        match &self.0 {
            Kind::Host(gradients) => Some(gradients),
            #[cfg(feature = "device")]
            Kind::Card(_) => None,
        }
    }
}

impl SparseGradients for InputGradients {
    fn squared_norm(&self) -> SquaredNorm {
        match &self.0 {
            Kind::Host(gradients) => gradients.squared_norm(),
            #[cfg(feature = "device")]
            Kind::Card(gradients) => SquaredNorm { on_host: None, on_card: Some(gradients.squared_norm()) },
        }
    }

    fn scale(&mut self, factor: &ClipFactor) {
        match &mut self.0 {
            Kind::Host(gradients) => gradients.scale(factor),
            #[cfg(feature = "device")]
            Kind::Card(gradients) => gradients.scale(factor),
        }
    }
}
