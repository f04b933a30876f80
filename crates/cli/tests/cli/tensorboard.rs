//! Event files, read back by TensorBoard itself.

use std::path::PathBuf;
use std::process::Command;

use rf_training::{Event, Score};
use serde_json::{Value, json};

use crate::rig::{Rig, files, text};

/// Prints the scalars and texts of a run as JSON.
const READER: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
run = EventAccumulator(sys.argv[1], size_guidance={"tensors": 0, "scalars": 0})
run.Reload()
scalars = {tag: [[event.step, event.value] for event in run.Scalars(tag)] for tag in run.Tags()["scalars"]}
texts = {tag: [v.decode() for e in run.Tensors(tag) for v in e.tensor_proto.string_val] for tag in run.Tags()["tensors"]}
times = [event.wall_time for event in run.Scalars("train/loss")]
print(json.dumps({"scalars": scalars, "texts": texts, "times": times}))
"#;

/// A Python with TensorBoard, or a line on stderr that the test is skipped.
fn python(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("RFS_PYTHON").map(PathBuf::from);
    let has_it = |python: &PathBuf| {
        let output = Command::new(python).args(["-c", "import tensorboard"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = named.into_iter().chain(["python3".into()]).find(has_it);
    if found.is_none() {
        eprintln!("skipped {test}: neither RFS_PYTHON nor python3 can import tensorboard (pip install tensorboard)");
    }
    found
}

/// The steps and numbers of every tag in a journal, as single precision has them.
fn told(events: &[Event]) -> Value {
    let mut tags = serde_json::Map::new();
    let mut add = |tag: String, step: u64, value: f64| {
        let list = tags.entry(tag).or_insert_with(|| json!([]));
        list.as_array_mut().unwrap().push(json!([step, f64::from(value as f32)]));
    };
    for event in events {
        let step = event.when().step;
        match event {
            Event::Step { loss, learning_rate, examples_per_second, distinct_rows, .. } => {
                add("train/loss".into(), step, *loss);
                add("train/learning_rate".into(), step, *learning_rate);
                add("train/examples_per_second".into(), step, *examples_per_second);
                add("train/distinct_rows".into(), step, *distinct_rows);
            }
            Event::Evaluation { split, metric, score: Score::Value(value), .. } => {
                add(format!("{split}/{metric}"), step, *value);
            }
            Event::Evaluation { split, score: Score::Values(values), .. } => {
                values.iter().for_each(|(name, value)| add(format!("{split}/{name}"), step, *value));
            }
            _ => {}
        }
    }
    tags.into()
}

#[test]
fn a_run_writes_one_event_file_where_it_is_asked_to_and_goes_on_with_it() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run plain --set train.steps=4");
    assert!(!rig.folder("plain").tensorboard().exists());
    rig.done("train tiny.toml --run r --set train.steps=10 --tensorboard");
    rig.done("train tiny.toml --run r --resume");
    let names = files(&rig.folder("r").tensorboard());
    assert!(
        names.len() == 1 && names[0].starts_with("events.out.tfevents.") && names[0].ends_with(".rfs"),
        "{names:?}"
    );
    rig.done("train tiny.toml --run whole");
    rig.assert_same("whole", "r");
}

#[test]
fn tensorboard_reads_what_the_journal_tells_each_step_once() {
    let Some(python) = python("tensorboard_reads_what_the_journal_tells_each_step_once") else { return };
    let rig = Rig::new();
    // The end of the shorter run is not in the longer one's history; what follows its last checkpoint is done twice.
    rig.done("train tiny.toml --run lm --set train.steps=10 --tensorboard");
    rig.done("train tiny.toml --run lm --resume");
    rig.done("train xmc.toml --run xmc --tensorboard");
    for run in ["lm", "xmc"] {
        let folder = rig.folder(run);
        let mut command = Command::new(&python);
        let output = command.args(["-c", READER]).arg(folder.tensorboard()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let read: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(read["scalars"], told(&rig.journal(run)), "{run}");
        let plan = std::fs::read_to_string(folder.plan()).unwrap();
        let code: String = plan.lines().map(|line| format!("    {line}\n")).collect();
        assert_eq!(read["texts"], json!({"plan/text_summary": [code]}));
        let times: Vec<f64> = read["times"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
        assert!(times.len() > 2 && times.is_sorted(), "{times:?}");
    }
}
