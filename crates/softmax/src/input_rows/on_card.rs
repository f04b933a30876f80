//! An input table on a graphics card.

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor};
use rf_device::{Buffer, Client, Touched};

use crate::card_table::CardTable;
use crate::device::{buffer_of, check_table, tensor_of};
use crate::state::StateSource;
use crate::{ClipFactor, Error, RowTable};

/// Rows and optimizer state.
#[derive(Debug)]
pub(crate) struct CardRows {
    table: CardTable,
    /// Without autodiff.
    device: Device,
    mirror: OnceLock<RowTable>,
}

/// Gradients of some rows. A step spends them.
#[derive(Clone, Debug)]
pub(crate) struct CardGradients {
    touched: Option<Touched>,
    /// Sum of squares before the factor, `[1]`.
    squares: Tensor<1>,
    /// What they are multiplied by, `[1]`.
    factor: Tensor<1>,
}

impl CardGradients {
    /// Sum of squares, `[1]`.
    pub fn squared_norm(&self) -> Tensor<1> {
        self.squares.clone() * self.factor.clone().square()
    }

    pub fn scale(&mut self, factor: &ClipFactor) {
        self.factor = factor.times(self.factor.clone());
    }
}

impl CardRows {
    /// Copies a table of the host.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if there is no room.
    pub fn upload(client: Client, rows: &RowTable, device: Device) -> Result<Self, Error> {
        let shard = check_table(&client, "input table", rows, "a smaller input or model, or --device cpu")?;
        Ok(Self { table: CardTable::upload(&client, rows, shard), device, mirror: OnceLock::new() })
    }

    pub fn rows(&self) -> usize {
        self.table.rows.rows()
    }

    pub fn width(&self) -> usize {
        self.table.rows.width()
    }

    /// The table as it is now.
    pub fn mirror(&self) -> &RowTable {
        self.mirror.get_or_init(|| self.download())
    }

    /// A copy of it on the host.
    pub fn download(&self) -> RowTable {
        self.table.download()
    }

    /// # Errors
    /// [`Error::BadRow`] for an id beyond the table.
    pub fn gather(&self, ids: &[u32], device: &Device) -> Result<Tensor<2>, Error> {
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.rows()) {
            return Err(Error::BadRow { id, rows: self.rows() });
        }
        let rows = self.table.rows.gather(&Buffer::upload(self.table.rows.client(), ids));
        let rows = tensor_of(&rows, [ids.len(), self.width()], device);
        Ok(if device.is_autodiff() { Tensor::from_inner(rows).require_grad() } else { rows })
    }

    /// The gradient of a leaf, `[ids.len(), width]`; none for a leaf that nothing came of.
    pub fn gradient(&self, ids: &[u32], gradient: Option<Tensor<2>>) -> CardGradients {
        let (client, len) = (self.table.rows.client(), ids.len() * self.width());
        let gradient = gradient.map_or_else(|| Buffer::upload(client, &vec![0.0; len]), buffer_of);
        let touched = Touched::rows(&Buffer::upload(client, ids), gradient);
        let squares = tensor_of(&touched.squared_norm(), [1], &self.device);
        CardGradients { touched: Some(touched), squares, factor: Tensor::ones([1], &self.device) }
    }

    /// # Panics
    /// If the gradients were spent before.
    pub fn step(&mut self, rate: f64, gradients: &mut CardGradients) {
        let mut touched = gradients.touched.take().expect("gradients on a device are spent by one step");
        self.mirror.take();
        self.table.step(rate, [&mut touched], &buffer_of(gradients.factor.clone()));
    }

    /// # Errors
    /// As [`RowTable::restore`].
    pub fn restore(&mut self, prefix: &str, source: &mut dyn StateSource) -> Result<(), Error> {
        let mut rows = self.mirror().clone();
        self.mirror.take();
        rows.restore(prefix, source)?;
        *self = Self::upload(self.table.rows.client().clone(), &rows, self.device.clone())?;
        Ok(())
    }
}
