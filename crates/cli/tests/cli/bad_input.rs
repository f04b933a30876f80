//! What is wrong with the user's files and settings is said with its place, and the exit code is 2.

use std::fs::OpenOptions;

use crate::rig::{Rig, TINY};

const WORDS: &str = "task = 'lm'\n[data]\nkind = 'text'\ntrain = 'train.txt'\nvalid = 'valid.txt'\ntest = 'test.txt'\n";

#[test]
fn a_bad_value_is_named_with_its_line() {
    let rig = Rig::new();
    rig.write("bad.toml", TINY.replace("draws = 6", "draws = 0").as_bytes());
    let message = rig.refused("train bad.toml");
    assert_eq!(message, "bad.toml, line 15, loss.draws: 0 is not allowed; it must be at least 1");
    let message = rig.refused("train tiny.toml --set loss.tau=-1");
    assert_eq!(message, "--set loss.tau=-1: -1 is not allowed; it must be positive and finite");
    assert!(!rig.path("runs").exists(), "nothing is begun");
}

#[test]
fn an_unknown_key_is_answered_with_the_allowed_ones() {
    let rig = Rig::new();
    rig.write("bad.toml", TINY.replace("features", "featurs").as_bytes());
    let message = rig.refused("train bad.toml");
    let wanted = "bad.toml, line 19, loss.sampler.featurs: unknown field `featurs`, expected one of `map`, `features`";
    assert!(message.starts_with(wanted), "{message}");
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let rig = Rig::new();
    #[cfg(not(feature = "cuda"))]
    assert!(rig.refused("train tiny.toml --device cuda").contains("built without the feature \"cuda\""));
    assert_eq!(rig.run("train tiny.toml --device tpu").status.code(), Some(2));
}

#[test]
fn a_missing_data_file_is_named() {
    let rig = Rig::new();
    rig.write("words.toml", WORDS.as_bytes());
    let message = rig.refused("train words.toml");
    let wanted = format!("{}: cannot open the file: ", rig.path("train.txt").display());
    assert!(message.starts_with(&wanted), "{message}");
}

#[test]
fn text_that_is_not_utf8_is_named_with_its_line() {
    let rig = Rig::new();
    rig.write("words.toml", WORDS.as_bytes());
    rig.write("train.txt", b"a b c\nd \xff e\n");
    rig.write("valid.txt", b"a\n");
    rig.write("test.txt", b"a\n");
    let wanted = format!("{}, line 2, byte 3: invalid UTF-8", rig.path("train.txt").display());
    assert_eq!(rig.refused("train words.toml"), wanted);
}

#[test]
fn more_draws_than_classes_are_refused() {
    let rig = Rig::new();
    let message = rig.refused("train tiny.toml --set loss.draws=54");
    assert!(message.contains("loss.draws = 54") && message.contains("53"), "{message}");
}

#[test]
fn a_truncated_checkpoint_is_refused() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run r");
    let path = rig.folder("r").checkpoint();
    let length = path.metadata().unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 10).unwrap();
    for command in ["eval r", "train tiny.toml --run r --resume --set train.steps=40"] {
        let wanted = format!("model.safetensors: {} bytes long, but a whole checkpoint has {length}", length - 10);
        let message = rig.refused(command);
        assert!(message.ends_with(&wanted), "{message}");
    }
}

#[test]
fn a_second_run_in_a_folder_is_refused() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run r --set train.steps=2");
    let message = rig.refused("train tiny.toml --run r");
    assert_eq!(
        message,
        "r already holds a run: continue it with --resume, or keep the new one elsewhere with --run DIR"
    );
    let message = rig.refused("train tiny.toml --run r --resume --set seed=8");
    assert!(message.contains("another plan") && message.contains("seed: 7 there, 8 here"), "{message}");
}

#[test]
fn a_folder_without_a_run_is_refused() {
    let rig = Rig::new();
    assert_eq!(rig.refused("eval nowhere"), "nowhere is not a run folder: it has no plan.toml");
}
