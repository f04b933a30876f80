//! Runs on a graphics card; software Vulkan (`mesa-vulkan-drivers`) is card enough.

use std::fs;
use std::sync::OnceLock;

use crate::diverged::SETTINGS;
use crate::rig::{Rig, text};

/// Settings that have a form on the card.
const CARD: &str = "--device wgpu --set loss.sampler={kind='cluster',leaf_size=5}";

/// Whether there is a card, asked once; that there is none is said aloud, and a failure where `RFS_EXPECT_DEVICE` is set.
fn has_card(rig: &Rig) -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let sizes = "--classes 10 --dim 2 --batch 2 --draws 2 --repeat 1";
        let output = rig.run(&format!("bench step --device wgpu --samplers uniform {sizes}"));
        let errors = text(&output.stderr);
        if output.status.success() {
            return true;
        }
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("\"wgpu\", but finds no device for it; install"), "{errors}");
        assert!(std::env::var_os("RFS_EXPECT_DEVICE").is_none(), "{errors}");
        eprintln!("skipped: no device for wgpu; install mesa-vulkan-drivers");
        false
    })
}

fn score(rig: &Rig, run: &str) -> f64 {
    rig.summary(run).valid.unwrap().figure("P@1").unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_driver_the_answer_names_the_packages() {
    let rig = Rig::new();
    // The loaders of Vulkan and of OpenGL find no driver where these point to nothing.
    let nowhere =
        ["VK_ICD_FILENAMES", "VK_DRIVER_FILES", "__EGL_VENDOR_LIBRARY_FILENAMES"].map(|name| (name, "/nowhere"));
    let output = rig.command("train tiny.toml --run none --device wgpu").envs(nowhere).output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("mesa-vulkan-drivers") && !errors.contains("panicked"), "{errors}");
}

#[test]
fn a_language_model_trains_on_the_card_to_where_it_does_on_the_host() {
    let rig = Rig::new();
    if !has_card(&rig) {
        return;
    }
    let host = CARD.replace("--device wgpu", "");
    for run in ["one", "two"] {
        rig.done(&format!("train tiny.toml --run {run} {CARD}"));
    }
    rig.done(&format!("train tiny.toml --run host {host}"));
    // burn chooses among its own kernels by their time, and they round differently.
    let (card, again, host) = (score(&rig, "one"), score(&rig, "two"), score(&rig, "host"));
    assert!((card / again - 1.0).abs() < 1e-4, "perplexity {card}, then {again}");
    assert!((card / host - 1.0).abs() < 0.04, "perplexity {card} on the card, {host} on the host");
}

#[test]
fn a_language_model_whose_batches_share_their_draws_trains_on_the_card_to_where_it_does_on_the_host() {
    let rig = Rig::new();
    if !has_card(&rig) {
        return;
    }
    // Shared draws are few for a batch: on the host, too, two runs differ by a tenth.
    agree(&rig, &format!("{CARD} --set loss.sharing=batch --set loss.draws=40"), 0.15);
}

/// A run on the card and one on the host reach the same perplexity, but for their draws.
fn agree(rig: &Rig, card: &str, tolerance: f64) {
    rig.done(&format!("train tiny.toml --run card {card}"));
    rig.done(&format!("train tiny.toml --run host {}", card.replace("--device wgpu", "")));
    let (card, host) = (score(rig, "card"), score(rig, "host"));
    assert!((card / host - 1.0).abs() < tolerance, "perplexity {card} on the card, {host} on the host");
}

#[test]
fn rf_softmax_and_the_full_softmax_train_on_the_card_to_where_they_do_on_the_host() {
    let rig = Rig::new();
    if !has_card(&rig) {
        return;
    }
    agree(&rig, "--device wgpu", 0.04);
    for run in ["card", "host"] {
        std::fs::remove_dir_all(rig.path(run)).unwrap();
    }
    agree(&rig, "--device wgpu --set loss.kind=full --set model.layers=2", 1e-3);
}

#[test]
fn a_run_moves_between_card_and_host() {
    let rig = Rig::new();
    if !has_card(&rig) {
        return;
    }
    let host = CARD.replace("--device wgpu", "");
    for (first, second) in [(CARD, &*host), (&*host, CARD)] {
        rig.done(&format!("train tiny.toml --run moved {first} --set train.steps=12"));
        rig.done(&format!("train tiny.toml --run moved --resume {second}"));
        assert_eq!(rig.summary("moved").steps, 30);
        let [here, there] = ["cpu", "wgpu"].map(|device| rig.done(&format!("eval moved --json --device {device}")));
        let perplexity =
            |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap()["value"].as_f64().unwrap();
        assert!((perplexity(&here) / perplexity(&there) - 1.0).abs() < 1e-4, "{here} {there}");
        std::fs::remove_dir_all(rig.path("moved")).unwrap();
    }
}

#[test]
fn a_run_that_diverges_on_the_card_keeps_its_last_good_checkpoint() {
    let rig = Rig::new();
    if !has_card(&rig) {
        return;
    }
    for sampler in ["cluster", "rff"] {
        let run = |rate: &str| {
            let settings = format!("--device wgpu --set loss.sampler.kind={sampler} {SETTINGS}={rate}");
            format!("train tiny.toml --run {sampler} {settings}")
        };
        rig.done(&format!("{} --set train.steps=10", run("0.1")));
        let good = fs::read(rig.folder(sampler).checkpoint()).unwrap();
        // Steps that follow the one that diverged are under way when it is noticed.
        let errors = rig.halted(rig.command(&format!("{} --resume", run("1e30"))));
        assert!(errors.contains("error: training diverged: the ") && !errors.contains("panicked"), "{errors}");
        assert!(errors.contains("not finite at step 1") && errors.contains("the checkpoint of step 10 is"), "{errors}");
        assert!(fs::read(rig.folder(sampler).checkpoint()).unwrap() == good);
    }
}

#[test]
fn a_classifier_trains_on_the_card_and_predicts_there_and_on_the_host() {
    let rig = Rig::new();
    if !has_card(&rig) {
        return;
    }
    rig.done(&format!("train xmc.toml --run labels {CARD}"));
    rig.done(&format!("train xmc.toml --run host {}", CARD.replace("--device wgpu", "")));
    let (card, host) = (score(&rig, "labels"), score(&rig, "host"));
    assert!((card - host).abs() < 0.15, "P@1 {card} on the card, {host} on the host");
    rig.write("points.txt", b"1 80 40\n 0:1 5:2\n");
    let [here, there] =
        ["cpu", "wgpu"].map(|device| rig.done(&format!("predict labels --input points.txt --device {device}")));
    // A heading, and the one point.
    assert_eq!(here.lines().count(), 2);
    let labels = |text: &str| {
        text.split([' ', '\n']).filter_map(|pair| Some(pair.split_once(':')?.0.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(labels(&there), labels(&here));
}

#[test]
fn a_sampler_without_a_form_on_the_card_is_refused_with_those_that_have_one() {
    let rig = Rig::new();
    if !has_card(&rig) {
        return;
    }
    let message = rig.refused("train tiny.toml --run exp --device wgpu --set loss.sampler={kind='exp'}");
    let names = "on a graphics card the samplers are \"cluster\", \"rff\", \"quadratic\", \"unigram\", \"log-uniform\" and \"uniform\"";
    assert!(message.contains(names), "{message}");
}

#[test]
fn steps_of_a_head_are_timed_on_the_card() {
    let rig = Rig::new();
    if !has_card(&rig) {
        return;
    }
    let sizes = "--classes 300 --dim 8 --batch 6 --draws 5 --repeat 3";
    let json = rig.done(&format!("bench step --device wgpu --samplers cluster,uniform {sizes} --json"));
    let outcome: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = outcome["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert!(
        rows.iter().all(|row| row["milliseconds"].as_f64() > Some(0.0) && row["distinct_rows"].as_f64() > Some(6.0))
    );
    assert!(rows.iter().all(|row| row["milliseconds_in_flight"].as_f64() > Some(0.0)));
    let shared = "--classes 300 --dim 8 --batch 6 --draws 40 --repeat 3 --sharing batch --samplers uniform";
    let json = rig.done(&format!("bench step --device wgpu {shared} --json"));
    let outcome: serde_json::Value = serde_json::from_str(&json).unwrap();
    let row = &outcome["rows"][0];
    assert_eq!(row["sharing"], "batch", "{row}");
    // Six targets and forty draws for all of them.
    assert!(row["distinct_rows"].as_f64().is_some_and(|rows| 20.0 < rows && rows <= 46.0), "{row}");
    let message = rig.refused("bench step --device wgpu --classes 300 --samplers dense-adam");
    assert!(message.contains("is timed with --device cpu alone"), "{message}");
}
