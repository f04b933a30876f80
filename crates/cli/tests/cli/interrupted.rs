//! Ctrl-C, as the signal that it is.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rf_training::Event;

use crate::rig::{Rig, text};

/// A run with validations and a falling rate, so long that it is not over before the signal, and no checkpoint of its own.
const LONG: &str = "--set train.steps=500 --set train.checkpoint_every=100000 --set train.keep_best=false \
                    --set train.evaluate_every=9 --set optimizer.schedule.kind=plateau";

#[test]
fn ctrl_c_stores_the_step_and_tells_the_command_that_goes_on() {
    let rig = Rig::new();
    rig.done(&format!("train tiny.toml --run whole {LONG}"));
    for (signal, run) in [("INT", "int"), ("TERM", "term")] {
        let arguments = format!("train tiny.toml --run {run} {LONG}");
        let child = begun(&rig, run, &arguments, "\"event\":\"evaluation\"");
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("error: interrupted after step "), "{errors}");
        let stored = |event: &Event| matches!(event, Event::Checkpoint(at) if at.step > 0);
        assert!(rig.journal(run).iter().any(stored) && !rig.folder(run).summary().exists());
        let way_on = errors.trim_end().lines().last().unwrap().trim();
        assert!(way_on.ends_with(&format!("{} --resume", arguments.split_whitespace().last().unwrap())), "{way_on}");
        let resumed = Command::new("sh").args(["-c", way_on]).current_dir(rig.path("")).output().unwrap();
        assert!(resumed.status.success(), "{way_on}: {}", text(&resumed.stderr));
        rig.assert_same("whole", run);
        assert_eq!(rig.state("whole"), rig.state(run));
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let rig = Rig::new();
    // A step of seconds, which the second signal need not wait for.
    let slow = "--set data.train_tokens=60000 --set train.batch_size=200 --set train.bptt=100 --set model.hidden=500 \
                --set train.steps=2 --set loss.kind=full";
    let child = begun(&rig, "r", &format!("train tiny.toml --run r {slow}"), "\"event\":\"start\"");
    send(&child, "INT");
    sleep(Duration::from_millis(100));
    send(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(!errors.contains("interrupted") && !rig.folder("r").checkpoint().exists(), "{errors}");
}

/// Starts a run and waits until its journal tells of an event; its start comes after the signals have their handlers.
fn begun(rig: &Rig, run: &str, arguments: &str, event: &str) -> Child {
    let mut command = rig.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let journal = rig.path(run).join("journal.jsonl");
    let began = Instant::now();
    while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains(event)) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it was interrupted");
        assert!(began.elapsed() < Duration::from_secs(120), "no journal after two minutes");
        sleep(Duration::from_millis(1));
    }
    child
}

/// Sends a signal to a program that still runs.
pub fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "the run was over before the signal");
}
