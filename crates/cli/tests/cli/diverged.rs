//! A run whose numbers overflow ends, and what it had learnt stays.

use std::fs;

use crate::rig::Rig;

/// To be followed by `=` and a rate.
pub const SETTINGS: &str = "--set optimizer.kind=sgd --set loss.normalized=false --set optimizer.clip_norm=none \
                        --set optimizer.learning_rate";

#[test]
fn training_that_diverges_at_once_says_what_to_try_and_leaves_no_summary() {
    let rig = Rig::new();
    let errors = rig.halted(rig.command(&format!("train tiny.toml --run r {SETTINGS}=1e30")));
    assert!(errors.contains("error: training diverged: the "), "{errors}");
    assert!(errors.contains(" at step ") && errors.contains("A lower `optimizer.learning_rate`"), "{errors}");
    assert!(errors.contains("there is no checkpoint in r yet"), "{errors}");
    assert!(!rig.folder("r").summary().exists() && !rig.folder("r").checkpoint().exists());
}

#[test]
fn the_last_good_checkpoint_is_kept_and_trained_on_with_a_lower_rate() {
    let rig = Rig::new();
    rig.done(&format!("train tiny.toml --run whole {SETTINGS}=0.1"));
    rig.done(&format!("train tiny.toml --run r {SETTINGS}=0.1 --set train.steps=10"));
    let good = fs::read(rig.folder("r").checkpoint()).unwrap();
    let errors = rig.halted(rig.command(&format!("train tiny.toml --run r --resume {SETTINGS}=1e30")));
    assert!(errors.contains("the checkpoint of step 10 is in r/checkpoint/model.safetensors"), "{errors}");
    assert!(errors.contains("--resume") && errors.contains("--set optimizer.learning_rate=RATE"), "{errors}");
    assert!(fs::read(rig.folder("r").checkpoint()).unwrap() == good);
    rig.done(&format!("train tiny.toml --run r --resume {SETTINGS}=0.1"));
    rig.assert_same("whole", "r");
}

#[test]
fn a_run_whose_latest_checkpoint_was_already_far_off_goes_back_to_the_best() {
    let rig = Rig::new();
    let often = "--set train.evaluate_every=5 --set train.checkpoint_every=1 --set train.steps=40";
    rig.done(&format!("train tiny.toml --run r {SETTINGS}=0.1 {often} --set train.steps=15"));
    let best = fs::read(rig.folder("r").best()).unwrap();
    // At this rate weights grow for some steps before they overflow, and get into checkpoints.
    let errors = rig.halted(rig.command(&format!("train tiny.toml --run r --resume {SETTINGS}=1e18 {often}")));
    assert!(errors.contains("or, with --checkpoint best, from the best checkpoint, that of step "), "{errors}");
    assert!(
        fs::read(rig.folder("r").best()).unwrap() == best && fs::read(rig.folder("r").checkpoint()).unwrap() != best
    );
    rig.done(&format!("train tiny.toml --run r --resume --checkpoint best {SETTINGS}=0.1 {often}"));
    rig.done(&format!("train tiny.toml --run whole {SETTINGS}=0.1 {often}"));
    rig.assert_same("whole", "r");
}
