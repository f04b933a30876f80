//! Tables of which a step touches some rows only.

use burn::tensor::Device;
use rf_softmax::{Error, RowGradients, RowInit, RowOptimizer, RowTable, StateData, to_vec};

const OPTIMIZERS: [RowOptimizer; 4] =
    [RowOptimizer::Sgd, RowOptimizer::Adagrad, RowOptimizer::RowWiseAdagrad, RowOptimizer::LazyAdam];

fn gradients(ids: &[u32], width: usize) -> RowGradients {
    let values = (0..ids.len() * width).map(|i| (i as f32 * 0.7).sin() + 1.5).collect();
    RowGradients { ids: ids.to_vec(), values }
}

/// Bits of the rows of each table of floats that differ between two states, by row.
fn changed_rows(before: &RowTable, after: &RowTable) -> Vec<Vec<u32>> {
    let floats = |table: &RowTable| -> Vec<(usize, Vec<f32>)> {
        let tensors = table.state("t").into_iter();
        let floats = tensors.filter_map(|tensor| match tensor.data {
            StateData::F32(values) => Some((tensor.shape[1], values.into_owned())),
            StateData::U64(_) => None,
        });
        floats.collect()
    };
    let differ = |((width, old), (_, new)): ((usize, Vec<f32>), (usize, Vec<f32>))| {
        let rows = old.chunks(width).zip(new.chunks(width)).zip(0u32..);
        rows.filter(|((old, new), _)| old != new).map(|(_, row)| row).collect()
    };
    floats(before).into_iter().zip(floats(after)).map(differ).collect()
}

#[test]
fn a_step_changes_the_named_rows_and_their_state_only() {
    let ids = [0, 7, 8, 499, 1_999];
    for optimizer in OPTIMIZERS {
        let table = || RowTable::new(2_000, 3, RowInit::Uniform(0.5), optimizer, 4, 0);
        let mut stepped = table();
        stepped.step(0.1, &gradients(&ids, 3)).unwrap();
        for rows in changed_rows(&table(), &stepped) {
            assert_eq!(rows, ids, "{optimizer:?}");
        }
    }
}

#[test]
fn rows_and_steps_do_not_depend_on_the_number_of_threads() {
    let ids: Vec<u32> = (0..5_000).filter(|id| id % 3 != 1).collect();
    for optimizer in OPTIMIZERS {
        let run = || {
            let mut table = RowTable::new(5_000, 5, RowInit::Normal(0.1), optimizer, 9, 2);
            table.step(0.1, &gradients(&ids, 5)).unwrap();
            table.step(0.1, &gradients(&ids[100..900], 5)).unwrap();
            table.data().to_vec()
        };
        let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
        assert!(with(1) == with(2), "{optimizer:?}");
    }
}

#[test]
fn a_shared_table_is_not_stepped() {
    let mut table = RowTable::new(10, 2, RowInit::Normal(1.0), RowOptimizer::LazyAdam, 1, 0);
    let clone = table.clone();
    assert!(matches!(table.step(0.1, &gradients(&[3], 2)), Err(Error::Shared)));
    assert_eq!(table.data(), clone.data());
    drop(clone);
    table.step(0.1, &gradients(&[3], 2)).unwrap();
}

#[test]
fn ids_beyond_the_table_are_refused_and_nothing_changes() {
    let mut table = RowTable::new(10, 2, RowInit::Normal(1.0), RowOptimizer::Adagrad, 1, 0);
    let before = table.data().to_vec();
    let beyond = |outcome: Error| matches!(outcome, Error::BadRow { id: 10, rows: 10 });
    assert!(beyond(table.read(&[9, 10]).unwrap_err()));
    assert!(beyond(table.gather(&[10, 0], &Device::flex()).unwrap_err()));
    assert!(beyond(table.step(0.1, &gradients(&[2, 10], 2)).unwrap_err()));
    assert_eq!(table.data(), before);
}

#[test]
fn gathered_rows_are_a_leaf_that_receives_their_gradient() {
    let table = RowTable::from_rows(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, RowOptimizer::Sgd);
    let leaf = table.gather(&[2, 0, 2], &Device::flex().autodiff()).unwrap();
    assert_eq!(to_vec(leaf.clone()), [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
    let grads = leaf.clone().square().sum().backward();
    assert_eq!(to_vec(leaf.grad(&grads).unwrap()), [10.0, 12.0, 2.0, 4.0, 10.0, 12.0]);
}

#[test]
fn merging_adds_the_gradients_of_equal_ids() {
    let merged = RowGradients::merge(&[7, 2, 7, 5], &[1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 5.0, 6.0], 2);
    assert_eq!(merged, RowGradients { ids: vec![2, 5, 7], values: vec![3.0, 4.0, 5.0, 6.0, 11.0, 22.0] });
    assert_eq!(RowGradients::merge(&[], &[], 2), RowGradients::default());
}

#[test]
fn the_gradients_of_a_table_used_twice_are_added_row_by_row() {
    let first = RowGradients { ids: vec![1, 4], values: vec![1.0, 2.0, 3.0, 4.0] };
    let second = RowGradients { ids: vec![0, 4], values: vec![5.0, 6.0, 7.0, 8.0] };
    let sum = RowGradients { ids: vec![0, 1, 4], values: vec![5.0, 6.0, 1.0, 2.0, 10.0, 12.0] };
    assert_eq!(first.plus(&second, 2), sum);
    assert_eq!(first.plus(&RowGradients::default(), 2), first);
}
