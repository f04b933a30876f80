//! A row-sparse table on a graphics card.

use rf_device::{Buffer, Client, Table, Touched};

use crate::device::step_of;
use crate::{RowOptimizer, RowTable};

/// Rows and optimizer state: what a [`RowTable`] is on the host.
#[derive(Debug)]
pub(crate) struct CardTable {
    /// The rows.
    pub rows: Table,
    /// State tables of the optimizer, in its order.
    state: Vec<Table>,
    optimizer: RowOptimizer,
    steps: u64,
}

impl CardTable {
    /// Copies a table of the host, in shards of so many rows.
    pub fn upload(client: &Client, table: &RowTable, shard: usize) -> Self {
        let copy = |data: &[f32], width: usize| Table::in_shards(client, data, width, shard);
        let (state, optimizer, steps) = table.optimizer_state();
        let widths = optimizer.state_widths(table.width());
        let state = state.iter().zip(widths).map(|(state, width)| copy(state, width)).collect();
        Self { rows: copy(table.data(), table.width()), state, optimizer, steps }
    }

    /// Copies it to the host.
    pub fn download(&self) -> RowTable {
        let state = self.state.iter().map(Table::download).collect();
        RowTable::in_state(self.rows.download(), self.rows.width(), self.optimizer, state, self.steps)
    }

    /// Steps touched rows, in one or several parts, their gradients multiplied by `factor`, `[1]`.
    pub fn step<'t>(&mut self, rate: f64, touched: impl IntoIterator<Item = &'t mut Touched>, factor: &Buffer<f32>) {
        self.steps += 1;
        let step = step_of(self.optimizer, rate, self.steps);
        touched.into_iter().for_each(|touched| touched.step(&self.rows, &self.state, step, factor));
    }

    /// Bytes of rows and state.
    pub fn bytes(&self) -> usize {
        let numbers = |table: &Table| 4 * table.rows() * table.width();
        numbers(&self.rows) + self.state.iter().map(numbers).sum::<usize>()
    }
}
