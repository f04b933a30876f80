//! Input tables on a graphics card beside those on the host. Software Vulkan (`mesa-vulkan-drivers`) is card enough.

#![cfg(feature = "wgpu")]

#[path = "common/card.rs"]
mod common;

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use common::{card, host};
use rf_softmax::{
    Bag, ClipFactor, Error, GradientNorm, InputGradients, InputRows, RowInit, RowOptimizer, RowTable, SparseGradients,
    SquaredNorm, StateFile, clip_global_norm, to_vec,
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

fn norm(gradients: &InputGradients) -> f64 {
    let SquaredNorm { on_host, on_card } = gradients.squared_norm();
    on_host.unwrap_or_else(|| f64::from(to_vec(on_card.expect("gradients lie somewhere"))[0]))
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
            let (squared, want) = (norm(&gradients), norm(&want_gradients));
            assert!((squared - want).abs() < 1e-5 * want, "{squared} and {want}");
            for (rows, gradients) in [(&mut there, &mut gradients), (&mut here, &mut want_gradients)] {
                gradients.scale(&ClipFactor::Known(0.5));
                rows.step(0.1, gradients).unwrap();
            }
            assert_close(there.table().data(), here.table().data(), &format!("{optimizer:?}, step {step}"));
        }
    }
}

#[derive(Module, Debug)]
struct Weights {
    matrix: Param<Tensor<2>>,
}

/// Norm, dense gradient and rows after a clipped step; and whether the norm stayed where the rows are.
fn clipped(max_norm: f64, weight: f32, device: &Device) -> (f64, Vec<f32>, Vec<f32>, bool) {
    let mut rows = table(RowOptimizer::RowWiseAdagrad, device);
    let (_, mut gradients) = pass(&rows, bag(), device);
    let module = Weights { matrix: Param::from_tensor(Tensor::from_data([[1.0, -2.0], [weight, 4.0]], device)) };
    let loss = module.matrix.val().square().sum();
    let mut dense = GradientsParams::from_grads(loss.backward(), &module);
    let norm = clip_global_norm(&mut dense, &module, &mut [&mut gradients], max_norm);
    rows.step(0.1, &mut gradients).unwrap();
    let stays = matches!(norm, GradientNorm::OnCard(_));
    (norm.value(), to_vec(dense.get::<2>(module.matrix.id).unwrap()), rows.table().data().to_vec(), stays)
}

#[test]
fn clipping_on_a_card_is_that_of_the_host() {
    let Some(card) = card() else { return };
    for max_norm in [0.5, 1e3, f64::INFINITY] {
        let (got, want) = (clipped(max_norm, 3.0, &card), clipped(max_norm, 3.0, &host()));
        assert!((got.0 - want.0).abs() < 1e-5 * want.0, "{} and {}", got.0, want.0);
        assert_close(&got.1, &want.1, "dense gradients");
        assert_close(&got.2, &want.2, "rows");
        assert!(got.3 && !want.3);
    }
    for weight in [f32::NAN, f32::INFINITY] {
        assert!(!clipped(0.5, weight, &card).0.is_finite(), "{weight}");
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
        assert_eq!(norm(&rows.gradient(&[], &leaf, &mut grads)), 0.0);
    }
}
