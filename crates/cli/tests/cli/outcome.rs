//! What a run leaves behind and prints.

use rf_training::{Event, Journal, Score};
use serde_json::Value;

use crate::rig::{Rig, files, text};

#[test]
fn a_run_leaves_its_plan_journal_checkpoint_and_summary() {
    let rig = Rig::new();
    let printed = rig.done("train tiny.toml");
    let folder = rig.folder("runs/tiny");
    let wanted = ["best", "checkpoint", "journal.jsonl", "plan.toml", "summary.json", "vocabulary.txt"];
    assert_eq!(files(folder.path()), wanted);
    for kept in ["best", "checkpoint"] {
        assert_eq!(files(&folder.path().join(kept)), ["model.safetensors"]);
    }
    let events = Journal::read(&folder.journal()).unwrap();
    assert!(matches!((events.first(), events.last()), (Some(Event::Start(_)), Some(Event::End(_)))), "{events:?}");
    for line in ["best possible", "this model", "valid perplexity", "rfs eval runs/tiny"] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
}

#[test]
fn the_summary_says_what_was_trained_and_how_well() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run r");
    let summary = rig.summary("r");
    assert_eq!((summary.task.as_str(), summary.loss.as_str(), summary.sampler.as_str()), ("lm", "sampled", "rff"));
    assert_eq!((summary.steps, summary.epochs, summary.metric.as_str()), (30, 2, "perplexity"));
    rig.done("train tiny.toml --run full --set loss.kind=full");
    assert_eq!((rig.summary("full").loss.as_str(), rig.summary("full").sampler.as_str()), ("full", "none"));
    assert_eq!(rig.summary("full").extra["distinct_rows"], 53.0);
}

#[test]
fn the_distinct_rows_of_the_steps_are_told() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run r --set train.log_every=15");
    let events = Journal::read(&rig.folder("r").journal()).unwrap();
    let rows: Vec<f64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Step { distinct_rows, .. } => Some(*distinct_rows),
            _ => None,
        })
        .collect();
    // Twenty targets and six draws for each, among 53 classes.
    assert!(rows.len() == 2 && rows.iter().all(|rows| (20.0..53.0).contains(rows)), "{rows:?}");
    let mean = rig.summary("r").extra["distinct_rows"].as_f64().unwrap();
    assert!((mean - (rows[0] + rows[1]) / 2.0).abs() < 1e-9, "{mean} and {rows:?}");
}

#[test]
fn a_slice_of_the_validation_text_is_what_training_and_evaluation_score() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run r --set train.eval_tokens=25");
    let summary = rig.summary("r");
    for (split, tokens, score) in [("valid", 25, summary.valid), ("test", 90, summary.test)] {
        let object: Value = serde_json::from_str(&rig.done(&format!("eval r --json --split {split}"))).unwrap();
        assert_eq!((&object["tokens"], object["value"].as_f64().map(Score::Value)), (&tokens.into(), score));
    }
}

#[test]
fn a_model_learns_more_than_the_frequencies_of_words() {
    let rig = Rig::new();
    rig.done(
        "train tiny.toml --run r --set data.train_tokens=4000 --set train.steps=400 --set train.checkpoint_every=200",
    );
    let (Some(Score::Value(test)), Some(floor)) = (rig.summary("r").test, rig.summary("r").floor) else {
        panic!("no scores")
    };
    // The best perplexities are 7.6 and, of a model that sees no word, 46.4; 16 is usual after these steps.
    assert!((floor - 7.59).abs() < 0.01 && (floor..25.0).contains(&test), "floor {floor}, test {test}");
}

#[test]
fn evaluation_finds_the_score_of_the_summary_and_prints_one_object() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run r");
    let summary = rig.summary("r");
    for (split, tokens, score) in [("valid", 60, summary.valid), ("test", 90, summary.test)] {
        let printed = rig.done(&format!("eval r --json --split {split} --threads 1"));
        assert_eq!(printed.lines().count(), 1);
        let object: Value = serde_json::from_str(&printed).unwrap();
        let fixed = (&object["run"], &object["split"], &object["metric"], &object["tokens"]);
        assert_eq!(fixed, (&"r".into(), &split.into(), &"perplexity".into(), &tokens.into()));
        assert_eq!(object["value"].as_f64().map(Score::Value), score);
        let value = object["nll_nats"].as_f64().unwrap().exp();
        assert!((value - object["value"].as_f64().unwrap()).abs() < 1e-9 && object["seconds"].is_number());
    }
    let printed = rig.done("eval r");
    assert!(printed.starts_with("test perplexity ") && printed.contains(" nats a token, 90 tokens, "), "{printed}");
}

#[test]
fn a_run_on_text_is_evaluated_from_another_folder() {
    let rig = Rig::new();
    for name in ["train.txt", "valid.txt", "test.txt"] {
        rig.write(name, "the cat saw the dog\nthe dog ran\na cat ran to the dog\n".repeat(6).as_bytes());
    }
    let data = "--set data={kind='text',train='train.txt',valid='valid.txt',test='test.txt'}";
    rig.done(&format!("train tiny.toml --run r --set train.steps=3 {data}"));
    let elsewhere = tempfile::tempdir().unwrap();
    let run = rig.path("r").display().to_string();
    let mut command = rig.command(&format!("eval {run}"));
    let output = command.current_dir(elsewhere.path()).env_remove("RFS_DATA").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(rig.summary("r").floor.is_none());
}
