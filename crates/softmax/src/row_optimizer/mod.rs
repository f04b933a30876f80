//! Optimizers that touch given rows only.
//!
//! | optimizer | state a row of width `w` | update of a touched row |
//! |---|---|---|
//! | [`Sgd`](RowOptimizer::Sgd) | none | `x -= lr g` |
//! | [`Adagrad`](RowOptimizer::Adagrad) | `w` | `s += g²; x -= lr g / (sqrt(s) + eps)` |
//! | [`RowWiseAdagrad`](RowOptimizer::RowWiseAdagrad) | 1 | `s += mean(g²); x -= lr g / (sqrt(s) + eps)` |
//! | [`LazyAdam`](RowOptimizer::LazyAdam) | `2w` | Adam, moments of untouched rows kept as they are |

mod adagrad;
mod lazy_adam;
mod row_wise_adagrad;
mod sgd;

#[cfg(feature = "device")]
pub(crate) use lazy_adam::Factors;
use rayon::prelude::*;
use rf_sampling::{Buffer, split_rows};
use serde::{Deserialize, Serialize};

/// Rows that one parallel task steps.
const ROWS_A_TASK: usize = 128;

/// The rule that a [`RowTable`](crate::RowTable) is stepped with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowOptimizer {
    /// Stochastic gradient descent.
    Sgd,
    /// Adagrad (Duchi et al. 2011), eps 1e-10, as PyTorch's with sparse gradients.
    Adagrad,
    /// Adagrad with one accumulator a row, eps 1e-8, as FBGEMM's `EXACT_ROWWISE_ADAGRAD`.
    RowWiseAdagrad,
    /// Adam (Kingma & Ba 2015) with beta 0.9 and 0.999, eps 1e-8, as PyTorch's `SparseAdam`: the bias correction counts
    /// the steps of the table, not those of the row. With every row touched in every step it is Adam.
    #[default]
    LazyAdam,
}

impl RowOptimizer {
    /// Columns of each state table, for rows of `width`.
    pub(crate) fn state_widths(self, width: usize) -> Vec<usize> {
        match self {
            Self::Sgd => vec![],
            Self::Adagrad => vec![width],
            Self::RowWiseAdagrad => vec![1],
            Self::LazyAdam => vec![width, width],
        }
    }

    /// Names of the state tables in a checkpoint.
    pub(crate) fn state_names(self) -> &'static [&'static str] {
        match self {
            Self::Sgd => &[],
            Self::Adagrad | Self::RowWiseAdagrad => &["sum_of_squares"],
            Self::LazyAdam => &["first_moment", "second_moment"],
        }
    }

    /// Steps the rows `ids` (ascending), in parallel. `step` counts from one.
    pub(crate) fn step(self, rows: &mut [f32], state: &mut [Buffer], width: usize, update: Update<'_>) {
        let widths = self.state_widths(width);
        let mut pieces = split_rows(rows, width, update.ids, ROWS_A_TASK);
        let mut states: Vec<Vec<_>> = (0..pieces.len()).map(|_| Vec::with_capacity(widths.len())).collect();
        for (table, width) in state.iter_mut().zip(widths) {
            let split = split_rows(table, width, update.ids, ROWS_A_TASK);
            states.iter_mut().zip(split).for_each(|(states, piece)| states.push(piece));
        }
        let rule = self.rule(update.rate, update.step);
        pieces.par_iter_mut().zip(&mut states).for_each(|(piece, states)| {
            for k in 0..piece.ids.len() {
                let gradient = &update.gradients[(piece.start + k) * width..][..width];
                rule.apply(piece.row(k), gradient, states.iter_mut().map(|state| state.row(k)));
            }
        });
    }

    fn rule(self, rate: f32, step: u64) -> Rule {
        match self {
            Self::Sgd => Rule::Sgd { rate },
            Self::Adagrad => Rule::Adagrad { rate },
            Self::RowWiseAdagrad => Rule::RowWiseAdagrad { rate },
            Self::LazyAdam => Rule::LazyAdam(lazy_adam::Factors::new(rate, step)),
        }
    }
}

/// One step of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update<'a> {
    pub ids: &'a [u32],
    pub gradients: &'a [f32],
    pub rate: f32,
    pub step: u64,
}

enum Rule {
    Sgd { rate: f32 },
    Adagrad { rate: f32 },
    RowWiseAdagrad { rate: f32 },
    LazyAdam(lazy_adam::Factors),
}

impl Rule {
    fn apply<'s>(&self, row: &mut [f32], gradient: &[f32], mut state: impl Iterator<Item = &'s mut [f32]>) {
        let mut next = || state.next().expect("a rule finds the state tables that it names");
        match self {
            Self::Sgd { rate } => sgd::step(row, gradient, *rate),
            Self::Adagrad { rate } => adagrad::step(row, gradient, next(), *rate),
            Self::RowWiseAdagrad { rate } => row_wise_adagrad::step(row, gradient, next(), *rate),
            Self::LazyAdam(factors) => lazy_adam::step(row, gradient, next(), next(), factors),
        }
    }
}
