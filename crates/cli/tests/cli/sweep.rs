//! `rfs sweep`: runs of many settings, what is left of them, and what it tells.

use std::collections::BTreeMap;
use std::process::Command;

use rf_training::{Score, Summary};
use serde_json::Value;

use crate::rig::{Rig, files, text};

/// Two values and two seeds of a run of 20 steps.
const GRID: &str =
    "base = 'tiny.toml'\nseeds = [1, 2]\n[set]\ntrain.steps = 20\n[grid]\nloss.sampler.nu = [1.0, 4.0]\n";

const NAMES: [&str; 4] = ["nu=1_seed=1", "nu=1_seed=2", "nu=4_seed=1", "nu=4_seed=2"];

fn rig() -> Rig {
    let rig = Rig::new();
    rig.write("grid.toml", GRID.as_bytes());
    rig
}

fn read(rig: &Rig, path: &str) -> String {
    std::fs::read_to_string(rig.path(path)).unwrap()
}

fn test_score(summary: &Summary) -> f64 {
    summary.test.as_ref().and_then(|score| score.figure(&summary.metric)).unwrap()
}

/// The lines of a file of comma-separated values, by the names of the columns; none of the cells here has a comma.
fn csv(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let heading: Vec<_> = lines.next().unwrap().collect();
    lines.map(|cells| heading.iter().cloned().zip(cells).collect()).collect()
}

#[test]
fn every_run_is_trained_and_stands_in_the_results() {
    let rig = rig();
    let printed = rig.done("sweep grid.toml --jobs 2 --threads 2");
    let folder = rig.path("runs/grid");
    assert_eq!(files(&folder), [&["means.csv"][..], &NAMES, &["results.csv", "results.json"]].concat());
    rig.done("train tiny.toml --run alone --set train.steps=20 --set loss.sampler.nu=4.0 --set seed=2");
    rig.assert_same("alone", "runs/grid/nu=4_seed=2");

    let rows = csv(&read(&rig, "runs/grid/results.csv"));
    let heading = "run,loss.sampler.nu,seed,status,metric,valid,test,steps,epochs,examples_per_second,train_seconds,\
                   peak_memory_bytes";
    assert_eq!(read(&rig, "runs/grid/results.csv").lines().next(), Some(heading));
    for (row, name) in rows.iter().zip(NAMES) {
        let summary = Summary::load(&rig.folder(&format!("runs/grid/{name}")).summary()).unwrap();
        let fixed = ["run", "status", "metric", "steps", "epochs"].map(|column| row[column].as_str());
        assert_eq!(fixed, [name, "done", "perplexity", "20", "2"]);
        assert_eq!(row["test"].parse(), Ok(test_score(&summary)));
        assert_eq!(row["train_seconds"].parse(), Ok(summary.train_seconds));
        assert_eq!(row["peak_memory_bytes"].parse().ok(), summary.peak_memory_bytes);
    }
    assert_eq!((rows.len(), rows[1]["loss.sampler.nu"].as_str(), rows[1]["seed"].as_str()), (4, "1.0", "2"));

    let [one, other] = ["nu=4_seed=1", "nu=4_seed=2"].map(|run| test_score(&rig.summary(&format!("runs/grid/{run}"))));
    let means = csv(&read(&rig, "runs/grid/means.csv"));
    assert_eq!((means.len(), means[1]["setting"].as_str(), means[1]["seeds"].as_str()), (2, "nu=4", "2"));
    let [mean, error] = ["test_mean", "test_standard_error"].map(|column| means[1][column].parse::<f64>().unwrap());
    assert!((mean - (one + other) / 2.0).abs() < 1e-9 && (error - (one - other).abs() / 2.0).abs() < 1e-9);
    let line = printed.lines().find(|line| line.starts_with("nu=4 ")).expect("a line of the setting");
    assert!(line.contains(&format!("{mean:.2} ± {error:.2}")), "{printed}");
}

#[test]
fn what_is_done_is_not_done_again() {
    let rig = rig();
    rig.done("sweep grid.toml --run r");
    let summary = |name: &str| read(&rig, &format!("r/{name}/summary.json"));
    let before = NAMES.map(summary);
    std::fs::remove_dir_all(rig.path("r/nu=4_seed=1")).unwrap();
    let output = rig.run("sweep grid.toml --run r");
    let errors = text(&output.stderr);
    assert!(output.status.success() && errors.starts_with("sweep grid: 4 runs in r, 3 of them done\n"), "{errors}");
    let lines: Vec<_> = errors.lines().skip(1).collect();
    assert!(lines.len() == 1 && lines[0].starts_with("4 of 4  nu=4_seed=1: valid perplexity "), "{errors}");
    for (name, before) in NAMES.iter().zip(before).filter(|(name, _)| **name != "nu=4_seed=1") {
        assert_eq!(summary(name), before, "the times would differ in a new run");
    }
    assert!(rig.folder("r/nu=4_seed=1").summary().exists());
}

#[test]
fn the_json_on_the_standard_output_is_that_of_the_file() {
    let rig = rig();
    let printed = rig.done("sweep grid.toml --set train.steps=3 --json");
    assert_eq!(printed.lines().count(), 1);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed, serde_json::from_str::<Value>(&read(&rig, "runs/grid/results.json")).unwrap());
    assert_eq!((&printed["sweep"], &printed["keys"]), (&"grid".into(), &serde_json::json!(["loss.sampler.nu"])));
    let (run, mean) = (&printed["runs"][2], &printed["means"][1]);
    assert_eq!((&run["run"], &run["seed"], &run["steps"]), (&"nu=4_seed=1".into(), &1.into(), &3.into()));
    assert_eq!((&run["settings"]["loss.sampler.nu"], &run["status"]), (&4.0.into(), &"done".into()));
    let summary = rig.summary("runs/grid/nu=4_seed=1");
    assert_eq!(run["valid"].as_f64().map(Score::Value), summary.valid);
    assert_eq!((&mean["name"], &mean["seeds"], &mean["metric"]), (&"nu=4".into(), &2.into(), &"perplexity".into()));
    assert!(mean["test"]["mean"].is_number() && mean["test"]["standard_error"].is_number());
}

#[test]
fn a_run_that_fails_does_not_stop_the_others_and_is_named_at_the_end() {
    let rig = Rig::new();
    // More draws than the 53 classes, which is found when the model is built.
    let text = "base = 'tiny.toml'\n[set]\ntrain.steps = 3\n[grid]\nloss.draws = [4, 5000, 6]\n";
    rig.write("draws.toml", text.as_bytes());
    let errors = rig.halted(rig.command("sweep draws.toml"));
    let told = errors.lines().skip_while(|line| !line.starts_with("error: ")).collect::<Vec<_>>();
    assert_eq!((told.len(), told[0]), (2, "error: 1 of 3 runs failed:"), "{errors}");
    assert!(told[1].starts_with("  draws=5000_seed=7: ") && told[1].contains("loss.draws = 5000"), "{errors}");
    assert!(told[1].ends_with("(runs/draws/draws=5000_seed=7/output.log)"), "{errors}");
    let status: Vec<_> = csv(&read(&rig, "runs/draws/means.csv")).iter().map(|row| row["seeds"].clone()).collect();
    assert_eq!(status, ["1", "0", "1"]);
    let results: Value = serde_json::from_str(&read(&rig, "runs/draws/results.json")).unwrap();
    assert_eq!((&results["runs"][1]["status"], &results["runs"][2]["status"]), (&"failed".into(), &"done".into()));
    assert!(results["runs"][1]["reason"].as_str().unwrap().contains("5000"));
}

#[test]
fn cases_have_names_and_experiments_of_their_own() {
    let rig = Rig::new();
    let text = "[set]\ntrain.steps = 3\n[[case]]\nname = 'words'\nbase = 'tiny.toml'\nset.loss.sampler = { kind = 'exp' }\n\
                [[case]]\nname = 'labels'\nbase = 'xmc.toml'\n";
    rig.write("cases.toml", text.as_bytes());
    let printed = rig.done("sweep cases.toml");
    assert_eq!(rig.summary("runs/cases/words_seed=7").sampler, "exp");
    let rows = csv(&read(&rig, "runs/cases/results.csv"));
    assert_eq!([&rows[0]["case"], &rows[1]["case"]], ["words", "labels"]);
    assert_eq!([&rows[0]["metric"], &rows[1]["metric"]], ["perplexity", "P@1"]);
    let summary = rig.summary("runs/cases/labels_seed=7");
    let figure = |name| summary.test.as_ref().and_then(|score| score.figure(name)).unwrap();
    assert_eq!((rows[1]["test"].parse(), rows[1]["test_P@5"].parse()), (Ok(figure("P@1")), Ok(figure("P@5"))));
    assert_eq!(rows[0]["test_P@5"], "");
    assert!(printed.starts_with("setting") && printed.contains("test P@3"), "{printed}");
}

#[test]
fn a_bad_sweep_file_is_refused_with_its_line_before_anything_begins() {
    let rig = rig();
    rig.write("key.toml", GRID.replace("sampler.nu", "sampler.mu").as_bytes());
    let message = rig.refused("sweep key.toml");
    assert!(message.starts_with("key.toml, line 6, loss.sampler.mu: unknown field `mu`, expected one of"), "{message}");
    rig.write("value.toml", GRID.replace("4.0]", "-4.0]").as_bytes());
    let wanted = "value.toml, line 6, loss.sampler.nu: -4 is not allowed; it must be positive and finite";
    assert_eq!(rig.refused("sweep value.toml"), wanted);
    rig.write("typo.toml", GRID.replace("seeds", "sedds").as_bytes());
    assert!(rig.refused("sweep typo.toml").starts_with("typo.toml, line 2: unknown field `sedds`"));
    rig.write("base.toml", GRID.replace("tiny", "nowhere").as_bytes());
    assert!(rig.refused("sweep base.toml").starts_with("nowhere.toml: No such file"));
    assert!(rig.refused("sweep nowhere.toml").starts_with("nowhere.toml: "));
    assert!(rig.refused("sweep grid.toml --set loss.taw=1").starts_with("--set loss.taw=1: unknown field `taw`"));
    #[cfg(not(feature = "cuda"))]
    assert!(rig.refused("sweep grid.toml --device cuda").contains("the feature \"cuda\""));
    assert!(!rig.path("runs").exists(), "nothing is begun");
}

#[test]
fn a_folder_that_holds_a_run_of_another_plan_is_refused() {
    let rig = rig();
    rig.done("sweep grid.toml --set train.steps=3");
    for (change, difference) in [
        ("--set loss.tau=2.0", "loss.tau: 3.0 there, 2.0 here"),
        ("--set train.steps=4", "train.steps: 3 there, 4 here"),
        ("--set train.steps=3 --set optimizer.learning_rate=0.5", "optimizer.learning_rate: 0.01 there, 0.5 here"),
    ] {
        let message = rig.refused(&format!("sweep grid.toml {change}"));
        let wanted = "runs/grid/nu=1_seed=1 holds a run with another plan, which cannot be resumed with this one: ";
        assert!(message.starts_with(wanted) && message.contains(difference), "{message}");
        assert!(message.ends_with("keep this sweep elsewhere with --run DIR, or remove that folder"), "{message}");
    }
    rig.done("sweep grid.toml --set train.steps=4 --run other");
}

#[test]
fn a_broken_checkpoint_fails_its_run_alone() {
    let rig = rig();
    rig.done("sweep grid.toml");
    let folder = rig.folder("runs/grid/nu=1_seed=2");
    std::fs::remove_file(folder.summary()).unwrap();
    std::fs::write(folder.checkpoint(), "no checkpoint").unwrap();
    let errors = rig.halted(rig.command("sweep grid.toml"));
    assert!(errors.contains("error: 1 of 4 runs failed:\n  nu=1_seed=2: "), "{errors}");
    std::fs::remove_file(folder.checkpoint()).unwrap();
    rig.done("sweep grid.toml --run runs/grid");
    rig.done("train tiny.toml --run alone --set train.steps=20 --set loss.sampler.nu=1.0 --set seed=2");
    rig.assert_same("alone", "runs/grid/nu=1_seed=2");
}

#[cfg(unix)]
mod interrupted {
    use std::process::{Child, Stdio};
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::interrupted::send;

    /// So long that it is not over before the signal.
    const LONG: &str = "--set train.steps=500 --set train.checkpoint_every=100000 --set train.keep_best=false";

    /// Starts a sweep and waits until a run has taken some steps.
    fn begun(rig: &Rig, arguments: &str, run: &str) -> Child {
        let mut command = rig.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let journal = rig.path(run).join("journal.jsonl");
        let began = Instant::now();
        while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("\"event\":\"step\"")) {
            assert!(child.try_wait().unwrap().is_none(), "the sweep ended before it was interrupted");
            assert!(began.elapsed() < Duration::from_secs(120), "no journal after two minutes");
            sleep(Duration::from_millis(1));
        }
        child
    }

    #[test]
    fn ctrl_c_stops_every_run_at_a_checkpoint_and_the_same_command_goes_on() {
        let rig = rig();
        rig.done(&format!("sweep grid.toml --run whole {LONG} --jobs 2"));
        let child = begun(&rig, &format!("sweep grid.toml --run parts {LONG} --jobs 2"), "parts/nu=1_seed=2");
        send(&child, "INT");
        let output = child.wait_with_output().unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("error: interrupted, 0 of 4 runs are done; to go on:\n"), "{errors}");
        let status: Vec<_> = csv(&read(&rig, "parts/results.csv")).iter().map(|row| row["status"].clone()).collect();
        assert_eq!(status, ["interrupted", "interrupted", "pending", "pending"]);
        let checkpoint = rig.state("parts/nu=1_seed=2")["step"].as_u64().unwrap();
        assert!((7..500).contains(&checkpoint), "{checkpoint}");
        let way_on = errors.trim_end().lines().last().unwrap().trim();
        let resumed = Command::new("sh").args(["-c", way_on]).current_dir(rig.path("")).output().unwrap();
        assert!(resumed.status.success(), "{way_on}: {}", text(&resumed.stderr));
        for name in NAMES {
            rig.assert_same(&format!("whole/{name}"), &format!("parts/{name}"));
        }
        assert!(rig.journal("parts/nu=1_seed=2").iter().any(|event| matches!(event, rf_training::Event::Resume(_))));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_run_that_outlives_its_sweep_is_not_trained_twice() {
        let rig = rig();
        let arguments = format!("sweep grid.toml {LONG} --set train.steps=1000000");
        let mut first = begun(&rig, &arguments, "runs/grid/nu=1_seed=1");
        let left_over = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", first.id())).unwrap();
        first.kill().unwrap();
        first.wait().unwrap();
        let second = begun(&rig, &arguments, "runs/grid/nu=1_seed=2");
        send(&second, "INT");
        let errors = text(&second.wait_with_output().unwrap().stderr);
        assert!(Command::new("kill").args(["-KILL", left_over.trim()]).status().unwrap().success(), "it trained on");
        assert!(errors.contains("  nu=1_seed=1: another process is training this run ("), "{errors}");
    }
}
