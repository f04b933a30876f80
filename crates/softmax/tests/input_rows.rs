//! Input tables on a graphics card beside those on the host. Software Vulkan (`mesa-vulkan-drivers`) is card enough.

#![cfg(feature = "wgpu")]

#[path = "common/card.rs"]
mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{card, host};
use rf_softmax::{
    Bag, Error, InputGradients, InputRows, RowInit, RowOptimizer, RowTable, SparseGradients, StateFile, to_vec,
};

const WIDTH: usize = 5;
const DIM: usize = 4;

fn table(optimizer: RowOptimizer, device: &Device) -> InputRows {
    InputRows::new(RowTable::new(12, WIDTH, RowInit::Normal(1.0), optimizer, 3, 8), device).unwrap()
}

/// Four points, of which the second has no feature.
fn bag() -> Bag {
    let points = [(&[3, 8, 11][..], &[2.0, 1.0, -0.5][..]), (&[], &[]), (&[8], &[-1.0]), (&[0, 3], &[0.7, 1.0])];
    Bag::new(points.into_iter())
}

/// The sum of a bag, and the gradients of a weighted sum of it.
fn pass(rows: &InputRows, bag: Bag, device: &Device) -> (Vec<f32>, InputGradients) {
    let ids = bag.ids.clone();
    let leaf = rows.gather(&ids, device).unwrap();
    let sum = bag.sum(leaf.clone(), DIM);
    let weights: Vec<f32> = (0..4 * DIM).map(|at| (at as f32 * 1.3).cos()).collect();
    let loss = (sum.clone() * Tensor::from_data(TensorData::new(weights, [4, DIM]), device)).sum();
    let mut grads = loss.backward();
    (to_vec(sum), rows.gradient(&ids, &leaf, &mut grads))
}

fn norm(gradients: &mut InputGradients) -> f64 {
    let on_card: Vec<f32> = gradients.on_card().into_iter().flat_map(to_vec).collect();
    gradients.squared_norm(&on_card)
}

fn assert_close(got: &[f32], want: &[f32], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let worst = got.iter().zip(want).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
    assert!(worst < 1e-5, "{what}: {worst}");
}

#[test]
fn sums_gradients_and_steps_on_a_card_are_those_of_the_host() {
    let Some(card) = card() else { return };
    for optimizer in [RowOptimizer::Sgd, RowOptimizer::Adagrad, RowOptimizer::RowWiseAdagrad, RowOptimizer::LazyAdam] {
        let (mut there, mut here) = (table(optimizer, &card), table(optimizer, &host()));
        assert_eq!((there.rows(), there.width()), (12, WIDTH));
        for step in 0..3 {
            let words = || if step == 1 { Bag::one_each(&[5, 0, 5, 11]) } else { bag() };
            let (sum, mut gradients) = pass(&there, words(), &card);
            let (want, mut want_gradients) = pass(&here, words(), &host());
            assert_close(&sum, &want, "sums");
            assert!(gradients.on_host().is_none() && want_gradients.on_host().is_some());
            let (squared, want) = (norm(&mut gradients), norm(&mut want_gradients));
            assert!((squared - want).abs() < 1e-5 * want, "{squared} and {want}");
            for (rows, gradients) in [(&mut there, &mut gradients), (&mut here, &mut want_gradients)] {
                gradients.scale(0.5);
                rows.step(0.1, gradients).unwrap();
            }
            assert_close(there.table().data(), here.table().data(), &format!("{optimizer:?}, step {step}"));
        }
    }
}

#[test]
fn without_autodiff_rows_are_no_leaf() {
    let Some(card) = card() else { return };
    let (there, here) = (table(RowOptimizer::Sgd, &card), table(RowOptimizer::Sgd, &host()));
    let [got, want] = [(there, card), (here, host())].map(|(rows, device)| {
        let leaf = rows.gather(&bag().ids, &device.inner()).unwrap();
        to_vec(bag().sum(leaf, WIDTH))
    });
    assert_close(&got, &want, "sums");
}

#[test]
fn a_table_moves_between_card_and_host_with_its_moments() {
    let Some(card) = card() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.safetensors");
    let mut there = table(RowOptimizer::LazyAdam, &card);
    let (_, mut gradients) = pass(&there, bag(), &card);
    there.step(0.1, &mut gradients).unwrap();
    StateFile::save(&path, &there.state("words")).unwrap();

    let (mut here, mut again) = (table(RowOptimizer::LazyAdam, &host()), table(RowOptimizer::LazyAdam, &card));
    here.restore("words", &mut StateFile::open(&path).unwrap()).unwrap();
    again.restore("words", &mut StateFile::open(&path).unwrap()).unwrap();
    for (rows, device) in [(&mut there, &card), (&mut here, &host()), (&mut again, &card)] {
        let (_, mut gradients) = pass(rows, bag(), device);
        rows.step(0.1, &mut gradients).unwrap();
    }
    assert_close(here.table().data(), there.table().data(), "host");
    assert_eq!(again.table().data(), there.table().data());
}

#[test]
fn a_row_that_is_none_is_refused() {
    let Some(card) = card() else { return };
    let refused = table(RowOptimizer::Sgd, &card).gather(&[3, 12], &card);
    assert!(matches!(refused, Err(Error::BadRow { id: 12, rows: 12 })));
}

#[test]
fn points_without_any_feature_are_zero() {
    let Some(card) = card() else { return };
    for device in [card, host()] {
        let rows = table(RowOptimizer::Sgd, &device);
        let empty = Bag::new([(&[][..], &[][..]), (&[], &[])].into_iter());
        let leaf = rows.gather(&empty.ids, &device).unwrap();
        let sum = empty.sum(leaf.clone(), DIM);
        assert_eq!(to_vec(sum.clone()), [0.0; 2 * DIM]);
        let mut grads = sum.sum().backward();
        let mut gradients = rows.gradient(&[], &leaf, &mut grads);
        assert_eq!(norm(&mut gradients), 0.0);
    }
}
