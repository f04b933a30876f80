//! An input table on a graphics card.

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor};
use rf_device::{Buffer, Client, Table, Touched};

use crate::device::{buffer_of, check_table, step_of, tensor_of};
use crate::state::StateSource;
use crate::{Error, RowOptimizer, RowTable};

/// Rows and optimizer state.
#[derive(Debug)]
pub(super) struct CardRows {
    table: Table,
    /// State tables of the optimizer, in its order.
    state: Vec<Table>,
    optimizer: RowOptimizer,
    steps: u64,
    /// Without autodiff.
    device: Device,
    mirror: OnceLock<RowTable>,
}

/// Gradients of some rows. A step spends them.
#[derive(Debug)]
pub(super) struct CardGradients {
    touched: Option<Touched>,
    norm: Buffer<f32>,
    device: Device,
    /// What they are multiplied by.
    pub factor: f32,
}

impl CardGradients {
    /// Sum of squares before the factor, where it is.
    pub fn squared_norm(&self) -> Tensor<1> {
        tensor_of(&self.norm, [1], &self.device)
    }
}

impl CardRows {
    /// Copies a table of the host.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if there is no room.
    pub fn upload(client: Client, rows: &RowTable, device: Device) -> Result<Self, Error> {
        let width = rows.width();
        let shard = check_table(&client, "input table", rows, "a smaller input or model, or --device cpu")?;
        let copy = |data: &[f32], width: usize| Table::in_shards(&client, data, width, shard);
        let (state, optimizer, steps) = rows.optimizer_state();
        let state = state.iter().zip(optimizer.state_widths(width)).map(|(state, width)| copy(state, width)).collect();
        Ok(Self { table: copy(rows.data(), width), state, optimizer, steps, device, mirror: OnceLock::new() })
    }

    pub fn rows(&self) -> usize {
        self.table.rows()
    }

    pub fn width(&self) -> usize {
        self.table.width()
    }

    /// The table as it is now.
    pub fn mirror(&self) -> &RowTable {
        self.mirror.get_or_init(|| {
            let state = self.state.iter().map(Table::download).collect();
            RowTable::in_state(self.table.download(), self.width(), self.optimizer, state, self.steps)
        })
    }

    /// # Errors
    /// [`Error::BadRow`] for an id beyond the table.
    pub fn gather(&self, ids: &[u32], device: &Device) -> Result<Tensor<2>, Error> {
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.rows()) {
            return Err(Error::BadRow { id, rows: self.rows() });
        }
        let rows = self.table.gather(&Buffer::upload(self.table.client(), ids));
        let rows = tensor_of(&rows, [ids.len(), self.width()], device);
        Ok(if device.is_autodiff() { Tensor::from_inner(rows).require_grad() } else { rows })
    }

    /// The gradient of a leaf, `[ids.len(), width]`; none for a leaf that nothing came of.
    pub fn gradient(&self, ids: &[u32], gradient: Option<Tensor<2>>) -> CardGradients {
        let (client, len) = (self.table.client(), ids.len() * self.width());
        let gradient = gradient.map_or_else(|| Buffer::upload(client, &vec![0.0; len]), buffer_of);
        let touched = Touched::rows(&Buffer::upload(client, ids), gradient);
        CardGradients {
            norm: touched.squared_norm_there(),
            touched: Some(touched),
            device: self.device.clone(),
            factor: 1.0,
        }
    }

    /// # Panics
    /// If the gradients were spent before.
    pub fn step(&mut self, rate: f64, gradients: &mut CardGradients) {
        let mut touched = gradients.touched.take().expect("gradients on a device are spent by one step");
        self.mirror.take();
        self.steps += 1;
        touched.step(&self.table, &self.state, step_of(self.optimizer, rate, self.steps, gradients.factor));
    }

    /// # Errors
    /// As [`RowTable::restore`].
    pub fn restore(&mut self, prefix: &str, source: &mut dyn StateSource) -> Result<(), Error> {
        let mut rows = self.mirror().clone();
        self.mirror.take();
        rows.restore(prefix, source)?;
        *self = Self::upload(self.table.client().clone(), &rows, self.device.clone())?;
        Ok(())
    }
}
