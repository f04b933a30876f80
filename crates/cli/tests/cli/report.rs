//! The page that `rfs report` writes; `browser.rs` looks at it in a browser.

use crate::rig::{Rig, files};

/// Two runs that differ in their seed alone, another sampler, one that was not finished, a classifier: all below `all`.
pub fn runs() -> Rig {
    let rig = Rig::new();
    let lm = "--set train.evaluate_every=5";
    rig.done(&format!("train tiny.toml --run all/rff-seed1 {lm}"));
    rig.done(&format!("train tiny.toml --run all/rff-seed2 {lm} --set seed=8"));
    rig.done(&format!("train tiny.toml --run all/exp {lm} --set loss.sampler.kind=exp"));
    rig.done(&format!("train tiny.toml --run all/open {lm} --set train.steps=12"));
    std::fs::remove_file(rig.folder("all/open").summary()).unwrap();
    rig.done(&format!("train xmc.toml --run all/xmc {lm}"));
    rig.done("diagnose all/exp --queries 12 --features 32 --draws 7 --samplers exp,uniform,unigram,rff");
    rig
}

pub fn page(rig: &Rig) -> String {
    rig.done("report all --out report.html --title Five&runs");
    std::fs::read_to_string(rig.path("report.html")).unwrap()
}

#[test]
fn a_sweeps_folder_becomes_a_page_with_a_part_for_each_task() {
    let rig = runs();
    let page = page(&rig);
    for wanted in [
        "<title>Five&amp;runs</title>",
        "5 runs, 1 of them unfinished.",
        "Language models, generated data",
        "Extreme classification, generated data",
        "rff (2 seeds)",
        "open (unfinished)",
        "unfinished: step 12 of 12",
        "Validation perplexity by step",
        "Validation perplexity by epoch",
        "Validation perplexity by time",
        "Validation P@1 by time",
        "best possible",
        "test nDCG@3",
        "loss.sampler.kind",
        "exp: KL of samplers against the time of a query, m = 7",
    ] {
        assert!(page.contains(wanted), "{wanted} is not in\n{page}");
    }
    // Step, epoch and time of two tasks, and one diagnosis.
    assert_eq!(page.matches("<svg").count(), 7);
    assert!(page.contains("<strong>") && page.contains(" ± "));
    for unwanted in ["http", "src=", "url(", "<script", "<link"] {
        assert!(!page.contains(unwanted), "{unwanted} is in\n{page}");
    }
}

#[test]
fn plots_are_written_as_files_and_a_diagnosis_may_be_given_by_hand() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run r --set train.steps=4");
    let told = rig.done("diagnose r --queries 4 --samplers exp,uniform --json");
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&std::fs::read_to_string(rig.folder("r").diagnosis()).unwrap()), value(&told));
    std::fs::rename(rig.folder("r").diagnosis(), rig.path("d.json")).unwrap();
    let printed = rig.done("report r --out page.html --png plots --diagnose d.json");
    assert!(printed.starts_with("1 run, 4 plots: page.html\n"), "{printed}");
    let wanted = [
        "1-generated-data-perplexity-by-epoch.png",
        "1-generated-data-perplexity-by-step.png",
        "1-generated-data-perplexity-by-time.png",
        "r-kl-by-time.png",
    ];
    assert_eq!(files(&rig.path("plots")), wanted);
    for name in wanted {
        let bytes = std::fs::read(rig.path("plots").join(name)).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.len() > 5_000, "{name}: {} bytes", bytes.len());
    }
}

#[test]
fn what_is_no_run_is_refused_and_no_page_is_written() {
    let rig = Rig::new();
    std::fs::create_dir_all(rig.path("empty/below")).unwrap();
    let problem = "is not a run folder: it has no plan.toml, and there is no run below it";
    assert_eq!(rig.refused("report empty --out a.html"), format!("empty {problem}"));
    assert_eq!(rig.refused("report nowhere --out a.html"), "nowhere: there is no such folder");
    assert_eq!(rig.refused("report empty --out no/a.html"), "--out no/a.html: there is no such folder");
    rig.done("train tiny.toml --run r --set train.steps=1");
    rig.write("d.json", b"{}");
    let error = rig.refused("report r --out a.html --diagnose d.json");
    assert!(error.starts_with("d.json: this is not what rfs diagnose --json prints: missing field `run`"), "{error}");
    rig.write("r/plan.toml", b"task = 'lm'\nseed =\n");
    assert!(rig.refused("report r --out a.html").starts_with("r/plan.toml, line 2: "));
    assert!(!rig.path("a.html").exists());
}
