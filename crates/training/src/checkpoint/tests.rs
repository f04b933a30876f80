use std::fs;
use std::path::{Path, PathBuf};

use super::element::CHUNK;
use super::{Checkpoint, CheckpointWriter};
use crate::{Error, History};

/// Enough numbers for two whole chunks and a part of a third.
const MANY: usize = CHUNK / 2 + 3;

fn floats() -> Vec<f32> {
    (0..MANY).map(|i| (i as f32).sin()).collect()
}

fn written(folder: &Path) -> PathBuf {
    let path = folder.join("model.safetensors");
    let rows = floats();
    CheckpointWriter::new()
        .f32("rows", &[MANY, 1], &rows)
        .u32("ids", &[2], &[7, u32::MAX])
        .u64("counts", &[1], &[u64::MAX])
        .f64("sums", &[1, 2], &[0.1, -1e300])
        .bytes("tree", b"any bytes")
        .state(&("step", 40, 0.1))
        .write(&path)
        .unwrap();
    path
}

/// Changes one bit of the file.
fn flip(path: &Path, position: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[position] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn position(path: &Path, text: &str) -> usize {
    fs::read(path).unwrap().windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

#[test]
fn every_tensor_is_read_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&written(folder.path())).unwrap();
    assert_eq!(checkpoint.f32("rows", &[MANY, 1]).unwrap(), floats());
    assert_eq!(checkpoint.u32("ids", &[2]).unwrap(), [7, u32::MAX]);
    assert_eq!(checkpoint.u64("counts", &[1]).unwrap(), [u64::MAX]);
    assert_eq!(checkpoint.f64("sums", &[1, 2]).unwrap(), [0.1, -1e300]);
    assert_eq!(checkpoint.bytes("tree").unwrap(), b"any bytes");
    assert_eq!(checkpoint.state::<(String, u64, f64)>().unwrap(), ("step".into(), 40, 0.1));
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["counts", "ids", "rows", "sums", "tree"]);
    assert_eq!((checkpoint.shape("rows"), checkpoint.shape("cols")), (Some(&[MANY, 1][..]), None));
}

#[test]
fn step_and_validations_of_a_checkpoint_are_those_of_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut history = History::default();
    history.record(30, 9.5);
    let write = |step: u64| {
        let state = serde_json::json!({ "step": step, "history": &history });
        CheckpointWriter::new().state(&state).write(&path).unwrap();
    };
    write(30);
    assert!(Checkpoint::open(&path).unwrap().is_best());
    write(40);
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!((checkpoint.step(), checkpoint.history()), (Some(40), history.clone()));
    assert!(!checkpoint.is_best());
    let without = Checkpoint::open(&written(folder.path())).unwrap();
    assert_eq!((without.step(), without.history()), (None, History::default()));
}

#[test]
fn the_same_state_makes_the_same_file() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(fs::read(written(one.path())).unwrap() == fs::read(written(other.path())).unwrap());
}

#[test]
fn the_file_is_plain_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(written(folder.path())).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("ids").unwrap().data(), [7, 0, 0, 0, 255, 255, 255, 255]);
}

#[test]
fn empty_tensors_and_no_tensors_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    CheckpointWriter::new().write(&path).unwrap();
    Checkpoint::open(&path).unwrap().state::<()>().unwrap();
    CheckpointWriter::new().f32("none", &[0, 4], &[]).write(&path).unwrap();
    assert!(Checkpoint::open(&path).unwrap().f32("none", &[0, 4]).unwrap().is_empty());
}

#[test]
fn a_missing_file_is_named() {
    let error = Checkpoint::open(Path::new("nowhere/model.safetensors")).unwrap_err();
    assert_eq!(error.to_string(), "nowhere/model.safetensors: there is no checkpoint");
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let bytes = fs::read(&path).unwrap();
    for length in [0, 5, 8, 40, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(Checkpoint::open(&path), Err(Error::WrongLength { .. })), "{length} bytes");
    }
    fs::write(&path, [&bytes[..], b"!"].concat()).unwrap();
    assert!(matches!(Checkpoint::open(&path), Err(Error::WrongLength { .. })));
}

#[test]
fn a_damaged_tensor_is_refused_by_name_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    flip(&path, position(&path, "any bytes") + 3);
    let checkpoint = Checkpoint::open(&path).unwrap();
    let error = checkpoint.bytes("tree").unwrap_err().to_string();
    assert_eq!(error, format!("{}: tensor `tree` is damaged", path.display()));
    assert!(checkpoint.f32("rows", &[MANY, 1]).is_ok());
}

#[test]
fn a_damaged_header_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["40,0.1", "rf-training", "data_offsets", "{", "crc32"] {
        let path = written(folder.path());
        flip(&path, position(&path, text));
        assert!(matches!(Checkpoint::open(&path), Err(Error::DamagedHeader { .. })), "{text}");
    }
}

#[test]
fn another_format_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    let position = position(&path, r#"training":"1 "#) + r#"training":""#.len();
    let mut bytes = fs::read(&path).unwrap();
    bytes[position] = b'9';
    fs::write(&path, bytes).unwrap();
    assert!(matches!(Checkpoint::open(&path), Err(Error::WrongFormat { wanted: 1, found: 9, .. })));
}

#[test]
fn another_model_is_refused_by_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::open(&written(folder.path())).unwrap();
    assert!(matches!(checkpoint.f32("cols", &[1]), Err(Error::MissingTensor { .. })));
    assert!(matches!(checkpoint.f32("ids", &[2]), Err(Error::WrongType { .. })));
    let error = checkpoint.u32("ids", &[1, 2]).unwrap_err().to_string();
    assert!(error.ends_with("tensor `ids` has the shape [2], but the model needs [1, 2]"), "{error}");
    assert!(matches!(checkpoint.state::<u64>(), Err(Error::BadJson { .. })));
}

#[test]
fn a_new_checkpoint_takes_the_place_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path());
    CheckpointWriter::new().u32("ids", &[1], &[3]).write(&path).unwrap();
    assert_eq!(Checkpoint::open(&path).unwrap().u32("ids", &[1]).unwrap(), [3]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[should_panic(expected = "tensor `rows` of shape [2, 2] must have 4 values")]
fn values_that_do_not_fill_the_shape_are_a_mistake() {
    let _ = CheckpointWriter::new().f32("rows", &[2, 2], &[1.0; 3]);
}
