//! What `rfs bench` prints.

use serde_json::Value;

use crate::rig::{Rig, text};

/// Little memory, so that the rates of the machine are measured in no time.
const SMALL: &str = "--repeat 2 --memory-gib 0.2 --json";

/// Runs a bench and reads the object that it prints.
fn bench(arguments: &str) -> Value {
    let printed = Rig::new().done(&format!("bench {arguments} {SMALL}"));
    assert_eq!(printed.lines().count(), 1, "{printed}");
    serde_json::from_str(&printed).unwrap()
}

fn rows(outcome: &Value) -> &Vec<Value> {
    outcome["rows"].as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Asserts what every row of every bench has, and that its times agree with each other.
fn assert_is_a_row(row: &Value, parts: &[&str]) {
    assert!(row["sampler"].is_string() && row["loss"] == "sampled", "{row}");
    for key in ["classes", "dim", "draws", "batch", "bytes", "repeats", "warm_up"] {
        assert!(row[key].is_u64(), "{key} in {row}");
    }
    for key in ["distinct_rows", "node_masses", "class_masses", "nodes_refreshed", "bytes_per_second"] {
        assert!(number(&row[key]) >= 0.0, "{key} in {row}");
    }
    let [min, median, max] = ["milliseconds_min", "milliseconds", "milliseconds_max"].map(|key| number(&row[key]));
    assert!(0.0 < min && min <= median && median <= max, "{row}");
    let found: Vec<_> = row["parts"].as_object().unwrap().keys().collect();
    assert_eq!(found, parts);
    assert!(row["parts"].as_object().unwrap().values().all(|part| number(part) >= 0.0), "{row}");
    let costs = [&row["bytes_moved"], &row["flops"]].map(|costs| costs.as_object().unwrap());
    assert!(costs[0].keys().eq(costs[1].keys()) && costs[0].keys().all(|part| parts.contains(&part.as_str())), "{row}");
}

#[test]
fn draws_of_every_sampler_are_timed_part_by_part() {
    let names = "uniform,log-uniform,unigram:power=1,exp,exp-blocks,exp-gumbel,quadratic,\
                 rff,rff-gauss,rff-exact:leaf_size=16";
    let outcome =
        bench(&format!("draws --classes 300,200 --dim 8 --features 16,8 --draws 5 --batch 3 --samplers {names}"));
    let machine = &outcome["machine"];
    assert!(machine["cpu"].is_string() && machine["cores"].is_u64() && machine["threads"].is_u64(), "{machine}");
    assert!(number(&machine["sequential_read_gbps"]) > 0.0);
    // Sums of D = 8 and 16, and of the 36 entries of a triangle with a constant, in rows of 64.
    assert!(["64", "128", "256"].iter().all(|bytes| number(&machine["random_read_gbps"][bytes]) > 0.0), "{machine}");
    // By the number of classes, and the trees once for each D.
    let found: Vec<_> = rows(&outcome).iter().map(|row| (&row["sampler"], &row["classes"], &row["features"])).collect();
    assert_eq!(found.len(), 2 * (7 + 2 * 3), "{found:?}");
    assert_eq!(found[0], (&"uniform".into(), &200.into(), &Value::Null));
    assert_eq!(found[12], (&"rff-exact:leaf_size=16".into(), &200.into(), &16.into()));
    for row in rows(&outcome) {
        assert_is_a_row(row, &["features", "loss", "walk"]);
        assert_eq!((&row["dim"], &row["draws"], &row["batch"]), (&8.into(), &5.into(), &3.into()));
        assert!((2.0..=18.0).contains(&number(&row["distinct_rows"])), "{row}");
        assert!(number(&row["evaluation_milliseconds"]) >= number(&row["parts"]["loss"]), "{row}");
    }
    assert_eq!(rows(&outcome)[12]["settings"]["leaf_size"], 16);
}

#[test]
fn the_row_named_rff_is_the_published_setting() {
    let outcome = bench("draws --classes 50 --dim 4 --draws 2 --batch 2 --samplers rff,rff-gauss");
    let [rff, gauss] = &rows(&outcome)[..] else { panic!("{outcome}") };
    let settings = &rff["settings"];
    assert_eq!((&rff["features"], &settings["nu"], &settings["prior"]), (&1024.into(), &4.0.into(), &0.0.into()));
    assert_eq!((&settings["leaf_law"], &gauss["settings"]["leaf_law"]), (&"features".into(), &"gauss".into()));
    assert_eq!(settings["floor"], 0.003);
    // 1,024 frequencies of 4 components; 4 bytes for each frequency of a sum, of 7 leaves, 2 nodes and the root, and of
    // phi of every class.
    let wanted = 4 * 4 * 1024 + 4 * 1024 * (7 + 2 + 1) + 4 * 1024 * 50;
    assert!((wanted..wanted + 2_000).contains(&rff["bytes"].as_u64().unwrap()), "{rff}");
}

#[test]
fn a_step_is_timed_part_by_part_beside_a_dense_one() {
    let sizes = "--classes 400 --dim 8 --features 16 --draws 5 --batch 4 --samplers rff-gauss,uniform,dense-adam";
    let outcome = bench(&format!("step {sizes}"));
    let [gauss, uniform, dense] = &rows(&outcome)[..] else { panic!("{outcome}") };
    for row in [gauss, uniform] {
        assert_is_a_row(row, &["backward", "draw", "loss", "refresh", "rows"]);
    }
    assert_is_a_row(dense, &["backward", "draw", "loss", "rows"]);
    // Rows and two moments of 8 numbers.
    assert_eq!(number(&dense["bytes_per_class"]), 96.0);
    assert!(number(&gauss["bytes_per_class"]) > 96.0 && number(&gauss["peak_bytes_per_class"]) > 96.0, "{gauss}");
    for row in [gauss, uniform, dense] {
        assert_eq!(row["sharing"], "query", "{row}");
        let quotient = number(&row["milliseconds"]) / number(&row["distinct_rows"]);
        assert!((number(&row["milliseconds_per_row"]) - quotient).abs() < 1e-9);
        // Four targets and five draws of each, some of which coincide.
        assert!((4.0..=24.0).contains(&number(&row["distinct_rows"])), "{row}");
    }
}

#[test]
fn a_batch_may_share_its_draws() {
    let sizes = "--classes 300 --dim 8 --draws 40 --batch 6";
    let names = "unigram,cluster:levels=2,rff:features=16,nu=2,exp";
    let outcome = bench(&format!("step --sharing batch {sizes} --samplers {names}"));
    assert_eq!(rows(&outcome).len(), 4, "{outcome}");
    for row in rows(&outcome) {
        assert_is_a_row(row, &["backward", "draw", "loss", "refresh", "rows"]);
        assert_eq!((&row["sharing"], &row["draws"]), (&"batch".into(), &40.into()), "{row}");
        // Six targets and forty draws of all; queries that draw for themselves would make 240, of far more classes.
        assert!((7.0..=46.0).contains(&number(&row["distinct_rows"])), "{row}");
    }
    let line = format!("bench step --sharing batch {sizes} --samplers unigram --repeat 2 --memory-gib 0.2");
    let printed = Rig::new().done(&line);
    assert!(printed.lines().any(|line| line.starts_with("B = 6, M = 40 shared by the batch, d = 8; ")), "{printed}");
}

#[test]
fn draws_that_no_batch_can_share_are_refused_with_the_flag() {
    let rig = Rig::new();
    let no_law = "this sampler has no law that a batch can share; ";
    for (what, samplers, why) in [
        ("step", "rff-gauss", format!("rff-gauss: {no_law}")),
        ("step", "unigram,rff:leaf_law=exact", format!("rff:leaf_law=exact: {no_law}")),
        ("step", "quadratic", format!("quadratic: {no_law}")),
        ("step", "dense-adam", "dense-adam: each query has draws of its own there".into()),
        ("draws", "unigram", "draws are shared in `rfs bench step` only".into()),
    ] {
        let message = rig.refused(&format!("bench {what} --sharing batch --samplers {samplers}"));
        assert!(message.starts_with(&format!("--sharing batch: {why}")), "{message}");
    }
    assert_eq!(rig.run("bench step --sharing all").status.code(), Some(2));
}

#[test]
fn a_row_that_does_not_fit_the_memory_is_left_out_with_the_figures() {
    let rig = Rig::new();
    let sizes = "--classes 100,10000000 --dim 8 --features 16 --draws 5 --batch 4 --samplers rff-gauss";
    let output = rig.run(&format!("bench step {sizes} {SMALL}"));
    let outcome: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!(rows(&outcome).iter().map(|row| &row["classes"]).collect::<Vec<_>>(), [100]);
    let skipped = &outcome["skipped"][0];
    assert_eq!((&skipped["sampler"], &skipped["classes"]), (&"rff-gauss".into(), &10_000_000.into()));
    assert!(number(&skipped["needed_bytes"]) > 0.96e9 && number(&skipped["available_bytes"]) < 0.22e9, "{skipped}");
    let errors = text(&output.stderr);
    assert!(errors.contains("left out: step rff-gauss, n = 10,000,000, D = 16 needs about 1."), "{errors}");
    assert!(errors.contains("and 0.20 GiB are available"), "{errors}");
}

#[test]
fn people_get_a_table() {
    let rig = Rig::new();
    let sizes = "--classes 1000 --dim 8 --features 16 --draws 5 --batch 4 --repeat 2 --memory-gib 0.2";
    for (what, samplers, titles) in [
        ("draws", "rff,uniform", ["draws, ms", "with loss", "walk"]),
        ("step", "rff-exact,dense-adam", ["step, ms", "µs a row", "refresh"]),
    ] {
        let printed = rig.done(&format!("bench {what} {sizes} --samplers {samplers}"));
        let lines: Vec<_> = printed.lines().collect();
        assert!(lines[1].starts_with("reads ") && lines[2].starts_with("B = 4, m = 5, d = 8"), "{printed}");
        assert!(titles.iter().all(|title| lines[4].contains(title)), "{printed}");
        assert_eq!(lines.len(), 7, "{printed}");
        assert!(samplers.split(',').zip(&lines[5..]).all(|(name, line)| line.starts_with(name)), "{printed}");
        assert!(lines[5].contains(" 1,000 "), "{printed}");
    }
}

#[test]
fn bad_flags_are_refused_before_anything_is_built() {
    let rig = Rig::new();
    for (arguments, wanted) in [
        (
            "draws --classes 5 --draws 6",
            "--classes 5: there must be at least 2 classes and at least as many as draws, 6",
        ),
        ("step --samplers rff,foo", "--samplers foo: unknown variant `foo`, expected one of `uniform`, "),
        ("draws --samplers rff:mu=2", "--samplers rff:mu=2: unknown field `mu`, expected one of `map`, `features`, "),
        ("draws --samplers dense-adam", "--samplers dense-adam: `dense-adam` takes part in `rfs bench step` only"),
        ("draws --memory-gib=-1", "--memory-gib -1: it must be at least 0 and finite"),
    ] {
        let message = rig.refused(&format!("bench {arguments}"));
        assert!(message.starts_with(wanted), "{message}");
    }
    for arguments in ["draws --classes 0", "draws --features 0", "step --batch -1", "all"] {
        assert_eq!(rig.run(&format!("bench {arguments}")).status.code(), Some(2), "{arguments}");
    }
    // The settings of a sampler are its own to judge.
    let message = rig.refused("bench draws --samplers rff:nu=-1 --classes 50 --memory-gib 0.2");
    assert_eq!(message, "nu = -1: it must be positive and finite");
}
