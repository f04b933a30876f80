//! Runs of classifiers: what they leave behind and print, from generated points and from files.

use rf_training::{Event, Journal, Score};
use serde_json::Value;

use crate::rig::{POINTS, Rig, TINY_XMC, files, text};

/// The names of all figures of a score.
const FIGURES: [&str; 12] =
    ["P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "PSnDCG@1", "PSnDCG@3", "PSnDCG@5", "nDCG@1", "nDCG@3", "nDCG@5"];

/// A small model on files.
pub const FILES: &str = "--set data={kind='xc',train='train.txt',test='test.txt'} --set model.dim=4 --set model.hidden=[] \
                         --set loss.draws=2 --set train.batch_size=4 --set train.steps=40";

/// A folder with the points as `train.txt` and `test.txt`.
pub fn with_points() -> Rig {
    let rig = Rig::new();
    rig.write("train.txt", POINTS.as_bytes());
    rig.write("test.txt", POINTS.as_bytes());
    rig
}

fn figures(score: &Option<Score>) -> Vec<&str> {
    let Some(Score::Values(figures)) = score else { panic!("{score:?} is no list of figures") };
    figures.keys().map(String::as_str).collect()
}

#[test]
fn a_run_leaves_no_vocabulary_but_all_else() {
    let rig = Rig::new();
    let printed = rig.done("train xmc.toml");
    let folder = rig.folder("runs/xmc");
    assert_eq!(files(folder.path()), ["best", "checkpoint", "journal.jsonl", "plan.toml", "summary.json"]);
    let events = Journal::read(&folder.journal()).unwrap();
    assert!(matches!((events.first(), events.last()), (Some(Event::Start(_)), Some(Event::End(_)))), "{events:?}");
    for line in ["valid, per cent    k = 1", "test, per cent", "best possible      90.00   46.67   28.00", "PSP@k"] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
    assert!(printed.contains(" points a second") && printed.ends_with("rfs eval runs/xmc\n"), "{printed}");
}

#[test]
fn what_is_trained_is_told_before() {
    let rig = with_points();
    let told = text(&rig.run(&format!("train xmc.toml --run r {FILES}")).stderr);
    let (train, test) = (rig.path("train.txt"), rig.path("test.txt"));
    for line in [
        format!("reading {}, {} (", train.display(), test.display()),
        format!(
            "{}: n = 4 labels; 12 points to train on, 1.17 labels each, no valid, 12 test; points without labels, \
             not trained on: 1\n",
            train.display()
        ),
        "model      6 × 4 features, 4 × 4 labels, dropout 0.1 of features".into(),
        "length     40 steps of 4 points, 3 an epoch".into(),
    ] {
        assert!(told.contains(&line), "{line} is not in\n{told}");
    }
}

#[test]
fn the_summary_has_every_figure() {
    let rig = Rig::new();
    rig.done("train xmc.toml --run r");
    let summary = rig.summary("r");
    assert_eq!((summary.task.as_str(), summary.loss.as_str(), summary.sampler.as_str()), ("xmc", "sampled", "rff"));
    assert_eq!((summary.steps, summary.epochs, summary.metric.as_str()), (30, 3, "P@1"));
    assert_eq!((figures(&summary.valid), figures(&summary.test)), (FIGURES.to_vec(), FIGURES.to_vec()));
    assert_eq!(summary.floor, Some(0.9));
    let rows = summary.extra["distinct_rows"].as_f64().unwrap();
    assert!((10.0..40.0).contains(&rows), "{rows}");
}

#[test]
fn a_model_learns_more_than_the_frequencies_of_labels() {
    let rig = Rig::new();
    rig.done("train xmc.toml --run r --set data.train_points=4000 --set train.steps=500 --set model.dropout=0");
    let precision = rig.summary("r").test.unwrap().figure("P@1").unwrap();
    // The best possible is 0.9 in expectation; the most frequent label has a sixth of the points.
    assert!((0.8..0.98).contains(&precision), "{precision}");
}

#[test]
fn evaluation_finds_the_figures_of_the_summary_and_prints_one_object() {
    let rig = Rig::new();
    rig.done("train xmc.toml --run r --set train.eval_points=25");
    let summary = rig.summary("r");
    for (split, points, score) in [("valid", 25, summary.valid), ("test", 90, summary.test)] {
        let printed = rig.done(&format!("eval r --json --split {split} --threads 1"));
        assert_eq!(printed.lines().count(), 1);
        let object: Value = serde_json::from_str(&printed).unwrap();
        let fixed = [&object["run"], &object["split"], &object["metric"]];
        assert_eq!(fixed, [&Value::from("r"), &split.into(), &"P@1".into()]);
        assert_eq!((&object["points"], object["step"].as_u64()), (&points.into(), summary.scored_step));
        assert_eq!(serde_json::from_value::<Score>(object["scores"].clone()).unwrap(), score.clone().unwrap());
        assert_eq!(object["value"].as_f64(), score.unwrap().figure("P@1"));
        assert!(object["seconds"].is_number());
    }
    let printed = rig.done("eval r");
    assert!(printed.starts_with("test, per cent ") && printed.contains("best possible "), "{printed}");
    assert!(printed.contains("\n90 points in "), "{printed}");
}

#[test]
fn a_run_that_is_continued_is_the_run_that_was_not_interrupted() {
    let rig = Rig::new();
    rig.done("train xmc.toml --run whole --threads 1");
    // The first ends within an epoch, the second at the end of one.
    for (run, steps) in [("parts", 10), ("epochs", 12)] {
        rig.done(&format!("train xmc.toml --run {run} --set train.steps={steps} --threads 2"));
        rig.done(&format!("train xmc.toml --run {run} --resume --threads 2"));
        rig.assert_same("whole", run);
    }
}

#[test]
fn a_run_does_not_go_on_with_other_points() {
    let rig = with_points();
    rig.done(&format!("train xmc.toml --run r {FILES} --set train.steps=4"));
    rig.write("train.txt", POINTS.replace("\n1 1:4", "\n2 1:4").as_bytes());
    let message = rig.refused(&format!("train xmc.toml --run r {FILES} --resume"));
    assert!(message.starts_with("the training points are not those that the run began with"), "{message}");
    let message = rig.refused("train tiny.toml --run r --resume");
    assert!(message.contains("task: \"xmc\" there, \"lm\" here"), "{message}");
    rig.write("train.txt", POINTS.replace("12 6 4", "12 7 4").as_bytes());
    rig.write("test.txt", POINTS.replace("12 6 4", "12 7 4").as_bytes());
    let message = rig.refused("eval r");
    assert!(message.contains("7 features and 4 labels, the model 6 and 4"), "{message}");
}

#[test]
fn points_in_two_files_are_the_points_of_one() {
    let rig = with_points();
    let (mut features, mut labels) = ("12 6\n".to_owned(), "12 4\n".to_owned());
    for line in POINTS.lines().skip(1) {
        let (of_labels, of_features) = line.split_once(' ').unwrap();
        features += &format!("{of_features}\n");
        let of_labels: Vec<_> = of_labels.split(',').filter(|id| !id.is_empty()).map(|id| format!("{id}:1")).collect();
        labels += &format!("{}\n", of_labels.join(" "));
    }
    rig.write("x.txt", features.as_bytes());
    rig.write("y.txt", labels.as_bytes());
    rig.done(&format!("train xmc.toml --run one {FILES}"));
    rig.done(&format!("train xmc.toml --run two {FILES} --set data.train={{features='x.txt',labels='y.txt'}}"));
    rig.assert_same("one", "two");
    rig.done("eval two");
}

#[test]
fn a_label_that_a_filter_names_is_neither_right_nor_wrong() {
    let rig = with_points();
    rig.done(&format!("train xmc.toml --run r {FILES} --set train.steps=1"));
    let precision = |run: &str| rig.summary(run).test.unwrap().figure("P@1").unwrap();
    assert!(precision("r") < 0.9, "{}", precision("r"));
    // Of a point with labels, all others are filtered.
    let mut filter = String::new();
    for (point, line) in POINTS.lines().skip(1).enumerate() {
        let labels: Vec<_> = line.split(' ').next().unwrap().split(',').collect();
        let others = ["0", "1", "2", "3"].into_iter().filter(|label| !labels.contains(label));
        others.for_each(|label| filter += &format!("{point} {label}\n"));
    }
    rig.write("filter.txt", filter.as_bytes());
    rig.done(&format!("train xmc.toml --run f {FILES} --set train.steps=1 --set data.test_filter=filter.txt"));
    assert_eq!(precision("f"), 11.0 / 12.0);
}

#[test]
fn validation_points_are_held_out_or_missed_in_words() {
    let rig = with_points();
    rig.done(&format!("train xmc.toml --run without {FILES}"));
    assert_eq!(rig.summary("without").valid, None);
    assert_eq!(rig.refused("eval without --split valid"), "the data set has no valid points");
    rig.done(&format!("train xmc.toml --run with {FILES} --set data.valid_points=3"));
    let object: Value = serde_json::from_str(&rig.done("eval with --split valid --json")).unwrap();
    assert_eq!(object["points"], 3);
    assert_eq!(Some(serde_json::from_value::<Score>(object["scores"].clone()).unwrap()), rig.summary("with").valid);
}

#[test]
fn what_is_wrong_with_settings_and_points_is_said_with_its_place() {
    let rig = with_points();
    let message = rig.refused("train xmc.toml --set train.bptt=3");
    assert_eq!(message, "--set train.bptt=3: only language models have it");
    rig.write("bad.toml", TINY_XMC.replace("hidden", "layers").as_bytes());
    let message = rig.refused("train bad.toml");
    let wanted = "bad.toml, line 15, model.layers: unknown field `layers`, expected one of `dim`, `hidden`";
    assert!(message.starts_with(wanted), "{message}");
    rig.write("train.txt", POINTS.replace("1 1:4", "1 9:4").as_bytes());
    let message = rig.refused(&format!("train xmc.toml {FILES}"));
    let wanted = "train.txt, line 10, field 2: feature 9 is out of range: the header says 6 features";
    assert!(message.ends_with(wanted), "{message}");
    let message = rig.refused("train xmc.toml --set loss.draws=41");
    assert!(message.contains("loss.draws = 41") && message.contains("40"), "{message}");
}
