//! What a trained classifier is used for: `rfs predict` and `rfs export`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::rig::{POINTS, Rig, text};
use crate::xmc::{FILES, with_points};

/// A matrix, by rows.
struct Matrix {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Matrix {
    fn row(&self, row: usize) -> &[f32] {
        let width = self.shape[1];
        &self.values[row * width..][..width]
    }
}

/// Reads a safetensors file of `f32` arrays by its published format.
fn safetensors(path: &Path) -> BTreeMap<String, Matrix> {
    let bytes = std::fs::read(path).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: BTreeMap<String, Value> = serde_json::from_slice(&bytes[8..start]).unwrap();
    let array = |about: &Value| {
        let numbers = |key: &str| -> Vec<usize> { serde_json::from_value(about[key].clone()).unwrap() };
        let offsets = numbers("data_offsets");
        let values = bytes[start + offsets[0]..start + offsets[1]].as_chunks().0;
        Matrix { shape: numbers("shape"), values: values.iter().map(|&value| f32::from_le_bytes(value)).collect() }
    };
    header.iter().map(|(name, about)| (name.clone(), array(about))).collect()
}

/// The features of a point of the repository's format.
fn features(line: &str) -> Vec<(usize, f32)> {
    let pair = |word: &str| word.split_once(':').map(|(id, value)| (id.parse().unwrap(), value.parse().unwrap()));
    line.split(' ').filter_map(pair).collect()
}

/// Logits of all labels for a point, whose values are multiplied by `idf` and scaled to length 1, by loops.
fn logits(model: &BTreeMap<String, Matrix>, point: &[(usize, f32)], normalized: bool) -> Vec<f64> {
    let idf = |id: usize| model.get("idf").map_or(1.0, |idf| f64::from(idf.values[id]));
    let weighted: Vec<(usize, f64)> = point.iter().map(|&(id, value)| (id, f64::from(value) * idf(id))).collect();
    let norm = weighted.iter().map(|(_, value)| value * value).sum::<f64>().sqrt();
    let mut h = vec![0.0; model["features"].shape[1]];
    for (id, value) in weighted {
        h.iter_mut().zip(model["features"].row(id)).for_each(|(sum, x)| *sum += value / norm * f64::from(*x));
    }
    for layer in 0.. {
        let Some(weight) = model.get(&format!("hidden.{layer}.weight")) else { break };
        let bias = &model[&format!("hidden.{layer}.bias")].values;
        let units: Vec<f64> = h.iter().zip(bias).map(|(x, bias)| (x + f64::from(*bias)).max(0.0)).collect();
        h = vec![0.0; weight.shape[1]];
        for (row, unit) in units.iter().enumerate() {
            h.iter_mut().zip(weight.row(row)).for_each(|(sum, x)| *sum += unit * f64::from(*x));
        }
    }
    let length = if normalized { h.iter().map(|x| x * x).sum::<f64>().sqrt() } else { 1.0 };
    // Of a query of zeros nothing can be normalised.
    let length = if length > 0.0 { length } else { 1.0 };
    let logit = |label: usize| {
        let dot: f64 = model["labels"].row(label).iter().zip(&h).map(|(c, x)| f64::from(*c) * x).sum();
        let bias = model.get("label_bias").map_or(0.0, |bias| f64::from(bias.values[label]));
        f64::from(model["tau"].values[0]) * dot / length + bias
    };
    (0..model["labels"].shape[0]).map(logit).collect()
}

/// The lines of a prediction, `label:score`.
fn ranked(line: &str) -> Vec<(usize, f64)> {
    let pair = |word: &str| {
        let (label, score) = word.split_once(':').unwrap();
        (label.parse().unwrap(), score.parse().unwrap())
    };
    line.split(' ').map(pair).collect()
}

/// Asserts that predictions are the best labels by the logits of the exported model.
fn assert_best(rig: &Rig, run: &str, points: &str, predictions: &str, normalized: bool) {
    rig.done(&format!("export {run} --output {run}.safetensors"));
    let model = safetensors(&rig.path(&format!("{run}.safetensors")));
    let lines: Vec<_> = predictions.lines().skip(1).collect();
    assert_eq!(lines.len(), points.lines().count() - 1);
    for (point, line) in points.lines().skip(1).zip(lines) {
        let (logits, ranked) = (logits(&model, &features(point), normalized), ranked(line));
        assert!(ranked.iter().all(|&(label, score)| (logits[label] - score).abs() < 1e-4), "{line}: {logits:?}");
        assert!(ranked.is_sorted_by(|a, b| a.1 >= b.1), "{line}");
        let last = ranked.last().unwrap().1;
        let is_predicted = |label| ranked.iter().any(|&(other, _)| other == label);
        let others = logits.iter().enumerate().filter(|(label, _)| !is_predicted(*label));
        assert!(others.clone().all(|(_, &logit)| logit <= last + 1e-4), "{line}: {logits:?}");
    }
}

#[test]
fn predictions_are_the_best_labels_by_the_exported_rows() {
    let rig = with_points();
    for (run, normalized, settings) in [
        ("plain", true, ""),
        ("deep", true, "--set model.hidden=[16,12] --set data.values=tf-idf"),
        ("raw", false, "--set loss.normalized=false --set loss.bias=true --set data.values=tf-idf"),
    ] {
        rig.done(&format!("train xmc.toml --run {run} {FILES} {settings}"));
        let printed = rig.done(&format!("predict {run} --input test.txt --k 2"));
        assert!(
            printed.starts_with("12 4\n") && printed.lines().skip(1).all(|line| ranked(line).len() == 2),
            "{printed}"
        );
        assert_best(&rig, run, POINTS, &printed, normalized);
    }
}

#[test]
fn more_labels_than_there_are_is_all_of_them_and_none_is_refused() {
    let rig = with_points();
    rig.done(&format!("train xmc.toml --run r {FILES}"));
    let printed = rig.done("predict r --input test.txt");
    assert!(printed.lines().skip(1).all(|line| ranked(line).len() == 4), "{printed}");
    assert_eq!(rig.run("predict r --input test.txt --k 0").status.code(), Some(2));
}

#[test]
fn predictions_are_written_to_a_file_or_with_names() {
    let rig = with_points();
    rig.done(&format!("train xmc.toml --run r {FILES}"));
    let output = rig.run("predict r --input test.txt --k 2 --output out.txt");
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(text(&output.stderr).starts_with("12 points in "), "{}", text(&output.stderr));
    let predictions = std::fs::read_to_string(rig.path("out.txt")).unwrap();
    assert_eq!(rig.done("predict r --input test.txt --k 2 --threads 1"), predictions);

    rig.write("names.txt", "cat\ndog\na bird\nfish\n".as_bytes());
    let named = rig.done("predict r --input test.txt --k 2 --names names.txt");
    let names = ["cat", "dog", "a bird", "fish"];
    let mut wanted = String::new();
    for (point, line) in predictions.lines().skip(1).enumerate() {
        for (rank, word) in (1..).zip(line.split(' ')) {
            let (label, score) = word.split_once(':').unwrap();
            wanted += &format!("{point}\t{rank}\t{score}\t{}\n", names[label.parse::<usize>().unwrap()]);
        }
    }
    assert_eq!(named, wanted);
    let message = rig.refused("predict r --input test.txt --names");
    assert!(message.contains("no `data.label_names`"), "{message}");
    rig.done(&format!("train xmc.toml --run named {FILES} --set data.label_names=names.txt"));
    assert_eq!(rig.done("predict named --input test.txt --k 2 --names"), wanted);

    rig.write("names.txt", "cat\ndog\n".as_bytes());
    let message = rig.refused("predict r --input test.txt --names names.txt");
    assert_eq!(message, "names.txt, line 2: there are 4 labels, but only 2 names");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let rig = with_points();
    rig.done(&format!("train xmc.toml --run r {FILES}"));
    let mut command = rig.command("predict r --input test.txt");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_faulty_point_is_named_with_line_and_field_and_leaves_an_older_output() {
    let rig = with_points();
    rig.done(&format!("train xmc.toml --run r {FILES}"));
    rig.write("out.txt", b"older");
    for (points, wanted) in [
        (
            POINTS.replace("1 1:4", "1 9:4"),
            "in.txt, line 10, field 2: feature 9 is out of range: the header says 6 features",
        ),
        (POINTS.replace("1 1:4", "1 1:x"), "in.txt, line 10, field 2: "),
        (POINTS.replace("12 6 4", "12 5 4"), "in.txt, line 1: the header says 5 features, but the model has 6"),
        (POINTS.replace("12 6 4", "12 6 9"), "in.txt, line 1: the header says 9 labels, but the model has 4"),
    ] {
        rig.write("in.txt", points.as_bytes());
        let message = rig.refused("predict r --input in.txt --output out.txt");
        assert!(message.starts_with(wanted), "{message}");
    }
    assert_eq!(std::fs::read(rig.path("out.txt")).unwrap(), b"older");
    let errors = rig.halted(rig.command("predict r --input test.txt --output nowhere/out.txt"));
    assert!(errors.contains("nowhere/out.txt: No such file"), "{errors}");
}

#[test]
fn points_without_labels_and_hashed_features_are_predicted_too() {
    let rig = with_points();
    rig.done(&format!("train xmc.toml --run r {FILES} --set data.hashed_features=3"));
    // More features than the training points have: hashed, any number will do.
    rig.write("in.txt", b"2 900 4\n 899:1 0:2\n 1:1\n");
    assert_eq!(rig.done("predict r --input in.txt --k 1").lines().count(), 3);
}

#[test]
fn a_run_by_tf_idf_predicts_from_another_folder_without_its_data() {
    let rig = with_points();
    rig.done(&format!("train xmc.toml --run r {FILES} --set data.values=tf-idf"));
    let here = rig.done("predict r --input test.txt");
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::rename(rig.path("test.txt"), elsewhere.path().join("points.txt")).unwrap();
    std::fs::remove_file(rig.path("train.txt")).unwrap();
    let mut command = rig.command(&format!("predict {} --input points.txt", rig.path("r").display()));
    let output = command.current_dir(elsewhere.path()).env_remove("RFS_DATA").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), here);
}

#[test]
fn the_best_or_the_latest_checkpoint_is_used_as_asked() {
    let rig = with_points();
    // Validation is on the training points, which a first step at this rate fits less than a later one.
    let often = "--set data.valid=test.txt --set train.evaluate_every=5 --set optimizer.learning_rate=0.3";
    rig.done(&format!("train xmc.toml --run r {FILES} {often} --set train.steps=12"));
    let predicted = |choice: &str| rig.done(&format!("predict r --input test.txt {choice}"));
    let scored = rig.summary("r").scored_step.unwrap();
    assert!(scored < 12, "{scored}");
    assert_eq!(predicted(""), predicted("--checkpoint best"));
    assert_ne!(predicted("--checkpoint latest"), predicted("--checkpoint best"));
    for choice in ["best", "latest"] {
        rig.done(&format!("export r --output {choice}.safetensors --checkpoint {choice}"));
    }
    let [best, latest] =
        ["best", "latest"].map(|name| std::fs::read(rig.path(&format!("{name}.safetensors"))).unwrap());
    assert!(best != latest);
}

#[test]
fn a_language_model_is_refused() {
    let rig = with_points();
    rig.done("train tiny.toml --run r --set train.steps=2");
    for (command, name) in [("predict r --input test.txt", "predict"), ("export r --output a.safetensors", "export")] {
        let wanted = format!("rfs {name} is for classifiers (task = \"xmc\"); r is a language model");
        assert_eq!(rig.refused(command), wanted);
    }
}
