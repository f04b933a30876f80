//! Gradients of the distinct rows of a batch, and the step of these rows.

use cubecl::client::Client;
use cubecl::prelude::*;

use crate::buffer::{cube_dim, grid};
use crate::loss::{Candidates, Loss, total};
use crate::segments::Segments;
use crate::sort::sort;
use crate::table::{lane, lanes};
use crate::{Buffer, Table};

/// Where each class lies in the order of a sampler's leaves.
#[derive(Clone, Debug)]
pub struct Places {
    /// Slot of each class, `[n]`.
    pub slot_of: Buffer<u32>,
    /// Class of each slot, `[n]`.
    pub class_at: Buffer<u32>,
}

/// A batch whose loss is known.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Queries as they enter the logits, `[B, d]`.
    pub queries: &'a Buffer<f32>,
    /// Components of a query.
    pub dim: usize,
    /// Class rows, `[n, d]`, or `[n, d + 1]` with the biases in the last column.
    pub table: &'a Table,
    /// Whether rows are divided by their norm.
    pub normalized: bool,
    /// Pairs of queries and classes.
    pub edges: &'a Candidates,
    /// Their loss.
    pub loss: &'a Loss,
}

/// The distinct rows that a batch touches, and their gradients.
#[derive(Clone, Debug)]
pub struct Touched {
    /// Rows that there is room for; what lies behind those that there are has no particular value, but that classes and squares are zero.
    most: usize,
    /// How many there are.
    count: Buffer<u32>,
    /// Where they lie in the order of slots, ascending; in the order of classes where there are no slots.
    pub(crate) slots: Buffer<u32>,
    /// Their classes.
    pub(crate) classes: Buffer<u32>,
    /// Gradients, `[most, width]`; after a [step](Touched::step) the rows before it.
    pub(crate) gradients: Buffer<f32>,
    /// Sum of the squares of each gradient.
    pub(crate) squares: Buffer<f32>,
}

impl Touched {
    /// Brings the edges of each class together and adds their gradients in the order of the queries.
    ///
    /// With `G = sum_b w_b h_b` the gradient of a normalised row `c` is `(G - (sum_b w_b o_b) c/|c|) / |c|`.
    pub fn of(batch: Batch<'_>, places: Option<&Places>) -> Self {
        let Batch { queries, dim, table, normalized, edges, loss } = batch;
        let (client, width) = (queries.client(), table.width());
        let Grouped { most, classes, segments, numbers } = Grouped::of(&edges.ids, table.rows(), places);
        let (gradients, lanes) = (Buffer::empty(client, most * width), lanes(&[dim, width]));
        add_edges::launch(
            client,
            grid(most * width / lanes),
            cube_dim(),
            lanes,
            queries.arg(),
            table.arg(),
            classes.arg(),
            segments.starts.arg(),
            numbers.arg(),
            edges.queries.arg(),
            loss.weights.arg(),
            loss.plain.arg(),
            loss.inverse.arg(),
            gradients.arg(),
            segments.count.arg(),
            most,
            table.shard_rows(),
            dim,
            width > dim,
            normalized,
        );
        Self::with(segments.keys, classes, gradients, segments.count, most)
    }

    /// Rows whose gradients are there already, `[ids.len(), width]`; a [step](Touched::step) writes over them.
    ///
    /// # Shapes
    /// - ids: ascending and distinct
    ///
    /// # Panics
    /// If there are no gradients for all rows.
    pub fn rows(ids: &Buffer<u32>, gradients: Buffer<f32>) -> Self {
        assert!(gradients.len().is_multiple_of(ids.len().max(1)), "{} numbers for {} rows", gradients.len(), ids.len());
        let count = Buffer::upload(ids.client(), &[ids.len() as u32]);
        Self::with(ids.clone(), ids.clone(), gradients, count, ids.len())
    }

    /// Rows whose gradients are known.
    pub(crate) fn with(
        slots: Buffer<u32>,
        classes: Buffer<u32>,
        gradients: Buffer<f32>,
        count: Buffer<u32>,
        most: usize,
    ) -> Self {
        let (client, width) = (gradients.client().clone(), gradients.len() / most.max(1));
        let squares = Buffer::empty(&client, most);
        let lanes = lanes(&[width]);
        let args = (gradients.arg(), squares.arg(), count.arg());
        square_rows::launch(&client, grid(most), cube_dim(), lanes, args.0, args.1, args.2, most, width / lanes);
        Self { most, count, slots, classes, gradients, squares }
    }

    /// How many rows, `[1]`, where it is.
    pub fn count(&self) -> &Buffer<u32> {
        &self.count
    }

    /// The most rows that there can be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Classes and gradients on the host, for tests and those who look inside: `[count]` and `[count, width]`.
    pub fn download(&self) -> (Vec<u32>, Vec<f32>) {
        let count = self.count.download()[0] as usize;
        let width = self.gradients.len() / self.most.max(1);
        (self.classes.download()[..count].to_vec(), self.gradients.download()[..count * width].to_vec())
    }

    /// Sum of the squares of all gradients, `[1]`.
    pub fn squared_norm(&self) -> Buffer<f32> {
        total(&self.squares)
    }

    /// Steps the rows of a table and their optimizer state, each once, with their gradients multiplied by `factor`, `[1]`. The gradients are
    /// spent: in their place lie the rows as they were.
    ///
    /// # Panics
    /// If the state is not that of the rule.
    pub fn step(&mut self, table: &Table, state: &[Table], step: Step, factor: &Buffer<f32>) {
        let Step { rule, rate, second } = step;
        assert_eq!(state.len(), rule.states(), "state tables of {rule:?}");
        let client = table.client();
        // A kernel has all its arguments, whatever the rule needs of them.
        let unused = [Buffer::<f32>::empty(client, 0), Buffer::<f32>::empty(client, 0)];
        // One number of state goes with one number of a row, or with all of them.
        let lanes = if rule == Rule::RowWiseAdagrad { 1 } else { lanes(&[table.width()]) };
        let width = table.width() / lanes;
        for (number, rows) in table.shards().iter().enumerate() {
            let state_of = |at: usize| state.get(at).map_or(&unused[at], |table| &table.shards()[number]).arg();
            let first = number * table.shard_rows();
            if rule == Rule::RowWiseAdagrad {
                add_squares::launch(
                    client,
                    grid(self.most),
                    cube_dim(),
                    self.squares.arg(),
                    self.classes.arg(),
                    factor.arg(),
                    self.count.arg(),
                    state_of(0),
                    first,
                    table.shard_rows(),
                    table.width(),
                );
            }
            step_rows::launch(
                client,
                grid(self.most * width),
                cube_dim(),
                lanes,
                self.classes.arg(),
                factor.arg(),
                self.count.arg(),
                self.gradients.arg(),
                rows.arg(),
                state_of(0),
                state_of(1),
                first,
                table.shard_rows(),
                width,
                rate,
                second,
                rule as u32,
            );
        }
    }
}

/// A list of classes by class.
pub(crate) struct Grouped {
    /// The most distinct classes that there can be.
    pub most: usize,
    /// These classes; behind them zeros.
    pub classes: Buffer<u32>,
    /// Their keys, slots or classes, and where each begins in `numbers`.
    pub segments: Segments,
    /// Places in the list, class by class; those of one class ascend.
    pub numbers: Buffer<u32>,
}

impl Grouped {
    /// Brings equal classes of a list together, in the order of slots or, where there are none, of classes.
    pub fn of(classes: &Buffer<u32>, bound: usize, places: Option<&Places>) -> Self {
        let (client, len) = (classes.client(), classes.len());
        let keys = match places {
            Some(places) => look_up(&places.slot_of, classes, len),
            None => copy(classes),
        };
        let (keys, numbers) = sort(keys, count_up(client, 0, len), bound);
        let segments = Segments::of(&keys, &Buffer::upload(client, &[len as u32]));
        let most = len.min(bound);
        let classes = Buffer::empty(client, most);
        let table = places.map_or(&segments.keys, |places| &places.class_at);
        let args = (table.arg(), segments.keys.arg(), segments.count.arg(), classes.arg());
        name_classes::launch(client, grid(most), cube_dim(), args.0, args.1, args.2, args.3, most, places.is_some());
        Self { most, classes, segments, numbers }
    }
}

/// What the rows of a table are stepped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rule {
    /// `x -= lr g`.
    Sgd = 0,
    /// `s += g²; x -= lr g / (sqrt(s) + 1e-10)`.
    Adagrad = 1,
    /// `s += mean(g²); x -= lr g / (sqrt(s) + 1e-8)`, one `s` a row.
    RowWiseAdagrad = 2,
    /// Adam with beta 0.9 and 0.999, eps 1e-8; moments of untouched rows stay as they are.
    LazyAdam = 3,
}

impl Rule {
    /// State tables that the rule keeps.
    pub fn states(self) -> usize {
        [0, 1, 1, 2][self as usize]
    }
}

/// One step of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// Learning rate; of lazy Adam divided by the bias correction of the first moment.
    pub rate: f32,
    /// One over the square root of the bias correction of lazy Adam's second moment; no part of other rules.
    pub second: f32,
}

fn copy(values: &Buffer<u32>) -> Buffer<u32> {
    let out = Buffer::empty(values.client(), values.len());
    copy_words::launch(values.client(), grid(values.len()), cube_dim(), values.arg(), out.arg(), values.len());
    out
}

/// `first, first + 1, first + 2, …`.
pub(crate) fn count_up(client: &Client, first: usize, len: usize) -> Buffer<u32> {
    let out = Buffer::empty(client, len);
    write_numbers::launch(client, grid(len), cube_dim(), out.arg(), first, len);
    out
}

/// `table[at[i]]` for the first `len` of a list.
pub(crate) fn look_up(table: &Buffer<u32>, at: &Buffer<u32>, len: usize) -> Buffer<u32> {
    let out = Buffer::empty(table.client(), len);
    look_up_words::launch(table.client(), grid(len), cube_dim(), table.arg(), at.arg(), out.arg(), len);
    out
}

#[cube(launch)]
fn copy_words(from: &[u32], to: &mut [u32], len: usize) {
    if ABSOLUTE_POS < len {
        to[ABSOLUTE_POS] = from[ABSOLUTE_POS];
    }
}

#[cube(launch)]
fn write_numbers(to: &mut [u32], first: usize, len: usize) {
    if ABSOLUTE_POS < len {
        to[ABSOLUTE_POS] = (first + ABSOLUTE_POS) as u32;
    }
}

#[cube(launch)]
fn look_up_words(table: &[u32], at: &[u32], to: &mut [u32], len: usize) {
    if ABSOLUTE_POS < len {
        to[ABSOLUTE_POS] = table[at[ABSOLUTE_POS] as usize];
    }
}

/// The class of each key of a list, and zeros behind them.
#[cube(launch)]
fn name_classes(
    class_at: &[u32],
    keys: &[u32],
    count: &[u32],
    classes: &mut [u32],
    most: usize,
    #[comptime] slots: bool,
) {
    if ABSOLUTE_POS < most {
        let mut class = 0u32;
        if ABSOLUTE_POS < count[0] as usize {
            class = keys[ABSOLUTE_POS];
            if comptime!(slots) {
                class = class_at[class as usize];
            }
        }
        classes[ABSOLUTE_POS] = class;
    }
}

/// A few numbers of one row's gradient a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_edges<N: Size>(
    queries: &[Vector<f32, N>],
    shards: Sequence<Box<[Vector<f32, N>]>>,
    classes: &[u32],
    starts: &[u32],
    numbers: &[u32],
    edge_queries: &[u32],
    weights: &[f32],
    plain: &[f32],
    inverse: &[f32],
    gradients: &mut [Vector<f32, N>],
    count: &[u32],
    most: usize,
    shard_rows: usize,
    #[comptime] dim: usize,
    #[comptime] bias: bool,
    #[comptime] normalized: bool,
) {
    let lanes = N::value();
    let reads = comptime!(dim / lanes);
    let width = comptime!((dim + bias as usize) / lanes);
    let row = ABSOLUTE_POS / width;
    if row < most && row < count[0] as usize {
        let column = ABSOLUTE_POS % width;
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let mut radial = 0.0f32;
        let mut scale = 1.0f32;
        for at in starts[row] as usize..starts[row + 1] as usize {
            let edge = numbers[at] as usize;
            let weight = weights[edge];
            if column < reads {
                sum += Vector::<f32, N>::new(weight) * queries[edge_queries[edge] as usize * reads + column];
                radial += weight * plain[edge];
                scale = inverse[edge];
            } else {
                sum += Vector::<f32, N>::new(weight);
            }
        }
        if comptime!(normalized) {
            if column < reads {
                let x = lane(&shards, shard_rows, classes[row] as usize, column, width);
                sum = (sum - Vector::<f32, N>::new(radial * scale) * x) * Vector::<f32, N>::new(scale);
            }
        }
        gradients[ABSOLUTE_POS] = sum;
    }
}

#[cube(launch)]
fn square_rows<N: Size>(rows: &[Vector<f32, N>], squares: &mut [f32], count: &[u32], most: usize, width: usize) {
    if ABSOLUTE_POS < most {
        let mut sum = Vector::<f32, N>::new(0.0f32);
        if ABSOLUTE_POS < count[0] as usize {
            for column in 0..width {
                let x = rows[ABSOLUTE_POS * width + column];
                sum += x * x;
            }
        }
        squares[ABSOLUTE_POS] = sum.vector_sum();
    }
}

/// The sums of row-wise Adagrad.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn add_squares(
    squares: &[f32],
    classes: &[u32],
    factor: &[f32],
    count: &[u32],
    sums: &mut [f32],
    first: usize,
    shard_rows: usize,
    width: usize,
) {
    if ABSOLUTE_POS < count[0] as usize {
        let class = classes[ABSOLUTE_POS] as usize;
        if class >= first && class < first + shard_rows {
            let share = factor[0] * factor[0] / f32::cast_from(width as u32);
            sums[class - first] += share * squares[ABSOLUTE_POS];
        }
    }
}

/// A few numbers of one row a unit; rows of other shards are left alone.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn step_rows<N: Size>(
    classes: &[u32],
    factor: &[f32],
    count: &[u32],
    gradients: &mut [Vector<f32, N>],
    rows: &mut [Vector<f32, N>],
    first_state: &mut [Vector<f32, N>],
    second_state: &mut [Vector<f32, N>],
    first: usize,
    shard_rows: usize,
    width: usize,
    rate: f32,
    second: f32,
    #[comptime] rule: u32,
) {
    let row = ABSOLUTE_POS / width;
    if row < count[0] as usize {
        let class = classes[row] as usize;
        if class >= first && class < first + shard_rows {
            let at = (class - first) * width + ABSOLUTE_POS % width;
            let g = Vector::<f32, N>::new(factor[0]) * gradients[ABSOLUTE_POS];
            let rate = Vector::<f32, N>::new(rate);
            let x = rows[at];
            gradients[ABSOLUTE_POS] = x;
            if comptime!(rule == 0) {
                rows[at] = x - rate * g;
            } else if comptime!(rule == 1) {
                let sum = first_state[at] + g * g;
                first_state[at] = sum;
                rows[at] = x - rate * g / (sum.sqrt() + Vector::<f32, N>::new(1e-10f32));
            } else if comptime!(rule == 2) {
                rows[at] = x - rate * g / (first_state[class - first].sqrt() + Vector::<f32, N>::new(1e-8f32));
            } else {
                let m = Vector::<f32, N>::new(0.9f32) * first_state[at] + Vector::<f32, N>::new(0.1f32) * g;
                let v = Vector::<f32, N>::new(0.999f32) * second_state[at] + Vector::<f32, N>::new(0.001f32) * g * g;
                first_state[at] = m;
                second_state[at] = v;
                let spread = v.sqrt() * Vector::<f32, N>::new(second) + Vector::<f32, N>::new(1e-8f32);
                rows[at] = x - rate * m / spread;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{client, numbers};

    fn touched(client: &Client, classes: &[u32], gradients: &[f32]) -> Touched {
        Touched::rows(&Buffer::upload(client, classes), Buffer::upload(client, gradients))
    }

    /// One row by the formulas of the rules.
    fn stepped(rule: Rule, row: &mut [f32], g: &[f32], state: &mut [Vec<f32>], step: Step) {
        let Step { rate, second, .. } = step;
        let mean = g.iter().map(|g| g * g).sum::<f32>() / g.len() as f32;
        if rule == Rule::RowWiseAdagrad {
            state[0][0] += mean;
        }
        for (j, (x, g)) in row.iter_mut().zip(g).enumerate() {
            match rule {
                Rule::Sgd => *x -= rate * g,
                Rule::Adagrad => {
                    state[0][j] += g * g;
                    *x -= rate * g / (state[0][j].sqrt() + 1e-10);
                }
                Rule::RowWiseAdagrad => *x -= rate * g / (state[0][0].sqrt() + 1e-8),
                Rule::LazyAdam => {
                    state[0][j] = 0.9 * state[0][j] + 0.1 * g;
                    state[1][j] = 0.999 * state[1][j] + 0.001 * g * g;
                    *x -= rate * state[0][j] / (state[1][j].sqrt() * second + 1e-8);
                }
            }
        }
    }

    #[test]
    fn rules_step_the_named_rows_and_no_other() {
        let Some(client) = client() else { return };
        let rules = [Rule::Sgd, Rule::Adagrad, Rule::RowWiseAdagrad, Rule::LazyAdam];
        // Number by number, and by fours.
        for (rule, columns) in rules.into_iter().flat_map(|rule| [(rule, 3), (rule, 8)]) {
            let (classes, gradients) = ([1, 3, 4, 7], numbers(4 * columns, 5));
            let mut rows = numbers(9 * columns, 6);
            let width = if rule == Rule::RowWiseAdagrad { 1 } else { columns };
            let mut state: Vec<Vec<f32>> =
                (0..rule.states()).map(|_| numbers(9 * width, 7).iter().map(|x| x.abs()).collect()).collect();
            let table = Table::in_shards(&client, &rows, columns, 4);
            let tables: Vec<Table> = state.iter().map(|state| Table::in_shards(&client, state, width, 4)).collect();
            let step = Step { rule, rate: 0.1, second: 1.3 };
            let mut on_device = touched(&client, &classes, &gradients);
            let before: Vec<f32> =
                classes.iter().flat_map(|&c| rows[c as usize * columns..][..columns].to_vec()).collect();
            on_device.step(&table, &tables, step, &Buffer::upload(&client, &[0.5]));
            assert_eq!(on_device.download().1, before);

            for (&class, g) in classes.iter().zip(gradients.chunks(columns)) {
                let at = class as usize;
                let g: Vec<f32> = g.iter().map(|g| 0.5 * g).collect();
                let mut of_row: Vec<Vec<f32>> = state.iter().map(|s| s[at * width..][..width].to_vec()).collect();
                stepped(rule, &mut rows[at * columns..][..columns], &g, &mut of_row, step);
                state.iter_mut().zip(of_row).for_each(|(s, row)| s[at * width..][..width].copy_from_slice(&row));
            }
            let close = |got: &[f32], want: &[f32]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(close(&table.download(), &rows), "{rule:?}");
            assert!(tables.iter().zip(&state).all(|(got, want)| close(&got.download(), want)), "{rule:?}");
        }
    }
}
