//! Losses, gradients and row steps against PyTorch and TensorFlow. The scripts that made the values are in
//! `scripts/golden`.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rf_softmax::{
    Candidates, LossKind, RowGradients, RowOptimizer, RowTable, SampledSoftmaxLoss, SampledSoftmaxLossConfig,
    SamplerConfig, SoftmaxOutput, to_vec,
};
use serde_json::Value;

const TF: &str = include_str!("golden/sampled_softmax_tf.json");
const SAMPLED: &str = include_str!("golden/sampled_softmax_torch.json");
const FULL: &str = include_str!("golden/full_softmax_torch.json");
const ROWS: &str = include_str!("golden/row_optimizers.json");

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect()
}

fn size(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn close(name: &str, got: &[f32], want: &Value) {
    let want = floats(want);
    assert_eq!(got.len(), want.len(), "{name}");
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert!((got - want).abs() < 2e-6 + 2e-5 * want.abs(), "{name}[{i}]: {got} for {want}");
    }
}

/// A head over the file's rows (with its biases in a last column if `bias`) and the file's queries as a leaf.
fn head(file: &Value, config: impl Fn(SampledSoftmaxLossConfig) -> SampledSoftmaxLossConfig, bias: bool) -> Case {
    let (n, d, b) = (size(&file["n"]), size(&file["d"]), size(&file["b"]));
    let (rows, biases) = (floats(&file["rows"]), floats(&file["bias"]));
    let extended = rows.chunks(d).zip(biases).flat_map(|(row, bias)| row.iter().copied().chain([bias])).collect();
    let device = Device::flex().autodiff();
    let base = SampledSoftmaxLossConfig::new(n, d)
        .with_sampler(SamplerConfig::Uniform {})
        .with_draws(1)
        .with_bias(bias)
        .with_rows(if bias { extended } else { rows });
    let head = config(base).init(&device).unwrap();
    let h = Tensor::from_data(TensorData::new(floats(&file["h"]), [b, d]), &device).require_grad();
    Case { head, h, targets: ids(&file["targets"]), width: d + usize::from(bias), n }
}

struct Case {
    head: SampledSoftmaxLoss,
    h: Tensor<2>,
    targets: Vec<u32>,
    width: usize,
    n: usize,
}

impl Case {
    /// Compares the loss and all gradients with a case of a file.
    fn check(&self, name: &str, output: &SoftmaxOutput, want: &Value) {
        close(&format!("{name} losses"), &output.nll, &want["losses"]);
        close(&format!("{name} loss"), &[output.mean() as f32], &Value::from(vec![want["loss"].clone()]));
        close(&format!("{name} loss tensor"), &to_vec(output.loss.clone()), &Value::from(vec![want["loss"].clone()]));
        let mut grads = output.loss.backward();
        let h = to_vec(self.h.grad(&grads).unwrap());
        let gradients = self.head.gradient(output, &mut grads);
        close(&format!("{name} grad_h"), &h, &want["grad_h"]);
        let mut dense = vec![0.0; self.n * self.width];
        for (&id, row) in gradients.classes.ids.iter().zip(gradients.classes.values.chunks(self.width)) {
            dense[id as usize * self.width..][..self.width].copy_from_slice(row);
        }
        let d = self.head.dim();
        let rows: Vec<f32> = dense.chunks(self.width).flat_map(|row| row[..d].to_vec()).collect();
        close(&format!("{name} grad_rows"), &rows, &want["grad_rows"]);
        if self.width > d {
            let biases: Vec<f32> = dense.chunks(self.width).map(|row| row[d]).collect();
            close(&format!("{name} grad_bias"), &biases, &want["grad_bias"]);
        }
        if let Some(ln_tau) = &gradients.ln_tau {
            // The head trains ln tau: d/d ln tau = tau d/d tau.
            let grad_tau = ln_tau.values[0] / self.head.tau();
            close(&format!("{name} grad_tau"), &[grad_tau], &Value::from(vec![want["grad_tau"].clone()]));
        }
    }
}

#[test]
fn the_both_corrected_loss_equals_tensorflows_sampled_softmax() {
    let file: Value = serde_json::from_str(TF).unwrap();
    let ln = |value: &Value| -> Vec<f32> { floats(value).iter().map(|count| count.ln()).collect() };
    let case = head(&file, |config| config.with_scale(false, 1.0), true);
    let (ids, ln_expected) = (ids(&file["sampled"]), ln(&file["sampled_expected_count"]));
    let batch = size(&file["b"]);
    for candidates in [
        Candidates::shared(batch, &ids, &ln_expected),
        Candidates::per_query(batch, &ids.repeat(batch), &ln_expected.repeat(batch)),
    ] {
        let candidates = candidates.with_target_correction(&ln(&file["true_expected_count"]));
        let kept = case.head.forward_with(case.h.clone(), &case.targets, candidates.clone()).unwrap();
        case.check("hits kept", &kept, &file["hits_kept"]);
        let candidates = candidates.without_hits(&case.targets);
        let removed = case.head.forward_with(case.h.clone(), &case.targets, candidates).unwrap();
        case.check("hits removed", &removed, &file["hits_removed"]);
    }
}

/// The settings of a case of the PyTorch files.
fn torch_case(file: &Value, name: &str, kind: LossKind) -> Case {
    let want = &file[name];
    let (normalized, bias) = (want["normalized"].as_bool().unwrap(), want["bias"].as_bool().unwrap());
    let tau = want["tau"].as_f64().unwrap() as f32;
    let config = |config: SampledSoftmaxLossConfig| {
        let config = config.with_scale(normalized, tau).with_learned_tau(true).with_kind(kind);
        match want["ignore_index"].as_i64() {
            Some(index) => config.with_ignore_index(index),
            None => config,
        }
    };
    head(file, config, bias)
}

#[test]
fn the_published_loss_equals_pytorchs() {
    let file: Value = serde_json::from_str(SAMPLED).unwrap();
    for name in ["normalized", "raw", "ignored"] {
        let case = torch_case(&file, name, LossKind::Sampled);
        let candidates =
            Candidates::per_query(case.targets.len(), &ids(&file["ids"]), &floats(&file["ln_expected_count"]));
        let ignored = file[name]["ignore_index"].as_u64().map(|id| id as u32);
        let targets: Vec<u32> =
            case.targets.iter().map(|&id| if Some(id) == ignored { rf_softmax::IGNORED } else { id }).collect();
        let output = case.head.forward_with(case.h.clone(), &targets, candidates).unwrap();
        case.check(name, &output, &file[name]);
    }
}

#[test]
fn the_full_loss_equals_pytorchs() {
    let file: Value = serde_json::from_str(FULL).unwrap();
    for name in ["normalized", "raw", "ignored"] {
        let case = torch_case(&file, name, LossKind::Full);
        let targets: Vec<i32> = case.targets.iter().map(|&id| id as i32).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::from(targets.as_slice()), &case.h.device());
        let output = case.head.forward(case.h.clone(), targets).unwrap();
        case.check(name, &output, &file[name]);
        if name != "ignored" {
            close(name, &case.head.exact_nll(case.h.clone(), &case.targets).unwrap(), &file[name]["losses"]);
        }
    }
}

#[test]
fn row_steps_equal_pytorchs() {
    let file: Value = serde_json::from_str(ROWS).unwrap();
    let (width, rate) = (size(&file["width"]), file["learning_rate"].as_f64().unwrap());
    let cases = [
        ("sgd", RowOptimizer::Sgd, "steps"),
        ("adagrad", RowOptimizer::Adagrad, "steps"),
        ("row_wise_adagrad", RowOptimizer::RowWiseAdagrad, "steps"),
        ("sparse_adam", RowOptimizer::LazyAdam, "steps"),
        ("dense_adam", RowOptimizer::LazyAdam, "dense_steps"),
    ];
    for (name, optimizer, steps) in cases {
        let mut table = RowTable::from_rows(floats(&file["table"]), width, optimizer);
        let steps = file[steps].as_array().unwrap();
        for (step, want) in steps.iter().zip(file[name]["tables"].as_array().unwrap()) {
            let gradients = RowGradients { ids: ids(&step["ids"]), values: floats(&step["gradient"]) };
            table.step(rate, &gradients).unwrap();
            close(name, table.data(), want);
        }
    }
}
