//! What follows from validation: early stopping, the best checkpoint, the rate that falls on a plateau.

use rf_training::{Checkpoint, Event, Score};
use serde_json::Value;

use crate::rig::{Rig, text};

/// So high a rate on so little text that validation soon grows worse.
const OVERFIT: &str = "--set optimizer.learning_rate=0.05 --set optimizer.schedule.kind=constant --set model.dropout=0 \
                       --set train.steps=300 --set train.evaluate_every=5 --set train.checkpoint_every=40";

#[test]
fn a_run_ends_when_validation_stands_still_and_is_scored_where_it_was_best() {
    let rig = Rig::new();
    let printed = rig.done(&format!("train tiny.toml --run r {OVERFIT} --set train.patience=3"));
    let (summary, validations) = (rig.summary("r"), rig.validations("r"));
    let (step, best) = validations.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(summary.stopped_early && summary.steps < 300, "{summary:?}");
    assert_eq!((summary.steps, summary.scored_step), (step + 15, Some(step)));
    assert_eq!((summary.valid, validations.last().unwrap().0), (Some(Score::Value(best)), summary.steps));
    assert!(rig.journal("r").iter().any(|event| matches!(event, Event::EarlyStop(at) if at.step == summary.steps)));
    assert!(printed.contains(&format!("of the best model, after step {step}\n")), "{printed}");
    assert!(printed.contains("fewer than planned, since validation no longer improved"), "{printed}");
}

#[test]
fn evaluation_is_of_the_best_checkpoint_unless_the_latest_is_asked_for() {
    let rig = Rig::new();
    rig.done(&format!("train tiny.toml --run r {OVERFIT} --set train.patience=3"));
    let summary = rig.summary("r");
    let eval = |more: &str| -> (u64, Option<Score>) {
        let object: Value = serde_json::from_str(&rig.done(&format!("eval r --json {more}"))).unwrap();
        (object["step"].as_u64().unwrap(), object["value"].as_f64().map(Score::Value))
    };
    assert_eq!(eval(""), (summary.scored_step.unwrap(), summary.test));
    assert_eq!(eval("--checkpoint best"), eval(""));
    let (step, score) = eval("--checkpoint latest --split valid");
    assert_eq!((step, score), (summary.steps, Some(Score::Value(rig.validations("r").last().unwrap().1))));
}

#[test]
fn a_run_that_ended_early_ends_there_again_and_goes_on_with_more_patience() {
    let rig = Rig::new();
    let command = format!("train tiny.toml --run r {OVERFIT} --resume --set train.patience");
    rig.done(&format!("{command}=2"));
    let first = rig.summary("r");
    rig.done(&format!("{command}=2"));
    assert_eq!(rig.summary("r"), first);
    let output = rig.run(&format!("{command}=5"));
    let told = text(&output.stderr);
    assert!(output.status.success() && told.contains("train.patience: 2 there, 5 here"), "{told}");
    assert!(rig.summary("r").steps > first.steps);
    rig.done(&format!("train tiny.toml --run whole {OVERFIT} --set train.patience=5"));
    rig.assert_same("whole", "r");
}

#[test]
fn without_the_best_checkpoint_the_last_model_is_scored() {
    let rig = Rig::new();
    rig.done(&format!("train tiny.toml --run r {OVERFIT} --set train.patience=3 --set train.keep_best=false"));
    let summary = rig.summary("r");
    assert_eq!((summary.scored_step, rig.folder("r").best().exists()), (Some(summary.steps), false));
    assert_eq!(summary.valid, rig.validations("r").last().map(|(_, score)| Score::Value(*score)));
    let message = rig.refused("eval r --checkpoint best");
    assert_eq!(message, "r/best/model.safetensors: there is no checkpoint");
}

#[test]
fn a_run_resumed_on_a_plateau_is_the_run_that_was_not_interrupted() {
    let rig = Rig::new();
    let settings = format!(
        "{OVERFIT} --set optimizer.schedule.kind=plateau --set optimizer.schedule.patience=2 \
         --set optimizer.schedule.min_improvement=0.05"
    );
    rig.done(&format!("train tiny.toml --run whole {settings} --set train.steps=120"));
    let falls = |run: &str| {
        let rate = |event| if let Event::Step { learning_rate, .. } = event { Some(learning_rate) } else { None };
        let mut rates: Vec<f64> = rig.journal(run).into_iter().filter_map(rate).collect();
        rates.dedup();
        rates
    };
    assert_eq!(falls("whole")[..3], [0.05, 0.025, 0.0125]);
    // In the midst of waiting, and between two validations.
    for steps in [10, 32, 55, 120] {
        rig.done(&format!("train tiny.toml --run parts {settings} --set train.steps={steps} --resume"));
    }
    rig.assert_same("whole", "parts");
    assert_eq!((rig.state("whole"), falls("whole")), (rig.state("parts"), falls("parts")));
}

#[test]
fn the_best_checkpoint_is_the_state_after_the_step_it_names() {
    let rig = Rig::new();
    // Reports at the same steps in both runs: their mean losses are in the state.
    let settings = format!("{OVERFIT} --set train.log_every=5");
    rig.done(&format!("train tiny.toml --run r {settings} --set train.patience=3"));
    let step = rig.summary("r").scored_step.unwrap();
    rig.done(&format!("train tiny.toml --run short {settings} --set train.steps={step}"));
    std::fs::copy(rig.folder("r").best(), rig.folder("r").checkpoint()).unwrap();
    assert_eq!(Checkpoint::open(&rig.folder("r").checkpoint()).unwrap().step(), Some(step));
    rig.assert_same_tensors("short", "r");
}
