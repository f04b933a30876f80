//! A run is a function of its plan: not of interruptions, not of the number of threads.

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rf_training::{Event, Journal};

use crate::rig::Rig;

#[test]
fn a_run_that_is_continued_is_the_run_that_was_not_interrupted() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run whole");
    // The first ends within an epoch, the second at the end of one.
    for (run, steps) in [("parts", 10), ("epochs", 18)] {
        rig.done(&format!("train tiny.toml --run {run} --set train.steps={steps}"));
        rig.done(&format!("train tiny.toml --run {run} --resume"));
        rig.assert_same("whole", run);
    }
}

#[test]
fn a_run_that_was_killed_goes_on_as_if_it_had_not_been() {
    let rig = Rig::new();
    let settings = "--set train.steps=600 --set train.checkpoint_every=3";
    let mut child =
        rig.command(&format!("train tiny.toml --run killed {settings}")).stderr(Stdio::null()).spawn().unwrap();
    wait_for_checkpoint(&rig, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!rig.folder("killed").summary().exists(), "the run was over before it was killed");
    rig.done(&format!("train tiny.toml --run killed --resume {settings}"));
    let events = Journal::read(&rig.folder("killed").journal()).unwrap();
    assert!(
        events.iter().any(|event| matches!(event, Event::Resume(departure) if departure.at.step > 0)),
        "it began anew"
    );
    rig.done(&format!("train tiny.toml --run whole {settings}"));
    rig.assert_same("whole", "killed");
}

#[test]
fn a_run_does_not_depend_on_the_number_of_threads() {
    let rig = Rig::new();
    // Wide enough that matrix products and row steps are shared among threads.
    let settings = "--set model.hidden=48 --set model.embedding=40 --set train.batch_size=16 --set train.bptt=10 \
                    --set data.train_tokens=4000 --set loss.sampler.features=64 --set train.steps=12";
    let shared = "--set loss.sharing=batch --set loss.sampler.leaf_law=features --set loss.draws=50";
    for (name, more) in [("own", ""), ("shared", shared)] {
        rig.done(&format!("train tiny.toml --run {name}1 --threads 1 {settings} {more}"));
        rig.done(&format!("train tiny.toml --run {name}2 --threads 2 {settings} {more}"));
        rig.assert_same(&format!("{name}1"), &format!("{name}2"));
    }
}

/// Waits until the journal of the run `killed` has a checkpoint.
fn wait_for_checkpoint(rig: &Rig, child: &mut Child) {
    let journal = rig.path("killed").join("journal.jsonl");
    let began = Instant::now();
    while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains(r#""event":"checkpoint""#)) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended without a checkpoint");
        assert!(began.elapsed() < Duration::from_secs(120), "no checkpoint after two minutes");
        sleep(Duration::from_millis(1));
    }
}
