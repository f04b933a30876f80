//! What `rfs diagnose` prints and draws.

use serde_json::Value;

use crate::rig::Rig;

/// The rows of the table, in their order.
const ROWS: [&str; 16] = [
    "uniform",
    "log-uniform",
    "unigram",
    "unigram^0.75",
    "quadratic",
    "rff",
    "rff-gauss",
    "rff-exact",
    "rff:features=128,nu=2,prior=0.75",
    "rff-orthogonal",
    "rff-positive",
    "midx-pq",
    "midx-rq",
    "cluster",
    "cluster-similarity",
    "exp",
];

/// The sampler of the tiny runs.
const OWN: &str = "rff:features=16,leaf_law=exact,leaf_size=4";

/// Few queries, and few frequencies for the rows that take them.
const SMALL: &str = "--queries 12 --features 32 --draws 7";

/// A rig with a run `r` of a file.
fn trained(file: &str) -> Rig {
    let rig = Rig::new();
    rig.done(&format!("train {file} --run r --set train.steps=12"));
    rig
}

/// Runs a diagnosis and reads the object that it prints.
fn diagnosed(rig: &Rig, more: &str) -> Value {
    let printed = rig.done(&format!("diagnose r {SMALL} --json {more}"));
    assert_eq!(printed.lines().count(), 1, "{printed}");
    serde_json::from_str(&printed).unwrap()
}

fn rows(outcome: &Value) -> &Vec<Value> {
    outcome["rows"].as_array().unwrap()
}

fn names(outcome: &Value) -> Vec<&str> {
    rows(outcome).iter().map(|row| row["sampler"].as_str().unwrap()).collect()
}

fn row<'o>(outcome: &'o Value, name: &str) -> &'o Value {
    rows(outcome).iter().find(|row| row["sampler"] == name).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Asserts what every row has, whichever its sampler.
fn assert_is_a_row(row: &Value, n: f64) {
    for key in ["draw_milliseconds", "refresh_milliseconds", "rows_read"] {
        assert!(number(&row[key]) >= 0.0, "{key} in {row}");
    }
    assert!(row["bytes"].is_u64() && row["settings"]["kind"].is_string(), "{row}");
    assert!((number(&row["total_probability"]) - 1.0).abs() < 1e-4, "{row}");
    assert!(number(&row["kl"]) >= -1e-6 && number(&row["chi_squared"]) > 1.0 - 1e-4, "{row}");
    let size = number(&row["effective_sample_size"]);
    assert!(0.0 < size && size < 7.001, "{row}");
    // By Jensen's inequality, over queries too.
    assert!(size >= 7.0 / number(&row["chi_squared"]) - 1e-3 && number(&row["rows_read"]) <= 2.0 * n, "{row}");
    for (key, least) in [("gradient_bias", 0.0), ("gradient_variance", 1e-9), ("gradient_bias_noise", 1e-9)] {
        let by_draws = row[key].as_object().unwrap();
        assert_eq!(by_draws.keys().collect::<Vec<_>>(), ["10", "100", "1000"]);
        for part in by_draws.values().flat_map(|parts| [&parts["h"], &parts["classes"]]) {
            assert!(number(part) >= least, "{key} in {row}");
        }
    }
    let variance = |m: &str| number(&row["gradient_variance"][m]["classes"]);
    assert!(variance("10") > variance("100") && variance("100") > variance("1000"), "{row}");
}

#[test]
fn every_sampler_is_measured_on_a_language_model() {
    let rig = trained("tiny.toml");
    let set = "--set loss.sampler={kind='rff',features=24,nu=2.0} --set loss.sampler={kind='unigram',power=0.5}";
    let outcome = diagnosed(&rig, &format!("{set} --plot kl.svg"));
    assert_eq!((&outcome["run"], &outcome["task"], &outcome["split"]), (&"r".into(), &"lm".into(), &"test".into()));
    assert_eq!((&outcome["n"], &outcome["d"], &outcome["step"]), (&53.into(), &8.into(), &12.into()));
    assert_eq!((&outcome["queries"], &outcome["gradient_queries"], &outcome["m"]), (&12.into(), &12.into(), &7.into()));
    assert!(outcome["machine"]["cpu"].is_string() && (0.0..4.0).contains(&number(&outcome["entropy"])), "{outcome}");
    assert_eq!(names(&outcome), [&ROWS[..], &[OWN, "rff:features=24,nu=2", "unigram:power=0.5"]].concat());
    rows(&outcome).iter().for_each(|row| assert_is_a_row(row, 53.0));
    let own: Vec<bool> = rows(&outcome).iter().map(|row| row["own"].as_bool().unwrap()).collect();
    assert_eq!(own.iter().filter(|own| **own).count(), 1);
    assert!(own[ROWS.len()]);

    let exp = row(&outcome, "exp");
    assert_eq!((number(&exp["kl"]), number(&exp["rows_read"])), (0.0, 53.0));
    assert!((number(&exp["chi_squared"]) - 1.0).abs() < 1e-4, "{exp}");
    let blind = row(&outcome, "uniform");
    assert_eq!((number(&blind["rows_read"]), number(&blind["bytes"])), (0.0, 0.0));
    let published = &row(&outcome, "rff")["settings"];
    assert_eq!((&published["features"], &published["nu"], &published["prior"]), (&32.into(), &4.0.into(), &0.0.into()));
    assert_eq!((&published["leaf_law"], &published["floor"]), (&"features".into(), &0.003.into()));

    let svg = String::from_utf8(std::fs::read(rig.path("kl.svg")).unwrap()).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("milliseconds") && svg.contains("nats"), "{svg}");
    for name in names(&outcome) {
        assert!(svg.contains(name), "{name} in {svg}");
    }
}

#[test]
fn every_sampler_is_measured_on_a_classifier() {
    let rig = trained("xmc.toml");
    let outcome = diagnosed(&rig, "--split valid");
    assert_eq!((&outcome["task"], &outcome["split"], &outcome["n"]), (&"xmc".into(), &"valid".into(), &40.into()));
    assert_eq!(names(&outcome), [&ROWS[..], &[OWN]].concat());
    rows(&outcome).iter().for_each(|row| assert_is_a_row(row, 40.0));
    assert_eq!(number(&row(&outcome, "exp")["kl"]), 0.0);
}

#[test]
fn people_get_tables_and_may_choose_rows() {
    let rig = trained("tiny.toml");
    let printed =
        rig.done(&format!("diagnose r {SMALL} --samplers exp,uniform --sweep features --set loss.sampler.nu=1"));
    let lines: Vec<_> = printed.lines().collect();
    assert!(
        lines[1].starts_with("r at step 12: n = 53, d = 8; 12 queries of the test data, m = 7 draws each"),
        "{printed}"
    );
    let wanted = ["uniform", "exp", "rff:features=128", "rff:features=1024", "rff:features=4096"];
    let wanted = [&wanted[..], &["rff:features=16,leaf_law=exact,leaf_size=4,nu=1"]].concat();
    for title in ["KL, nats", "bias h 10"] {
        let first = lines.iter().position(|line| line.contains(title)).unwrap();
        let found: Vec<_> =
            lines[first + 1..][..wanted.len()].iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(found, wanted, "{printed}");
    }
}

#[test]
fn distances_and_gradients_are_the_same_on_any_number_of_threads() {
    let rig = trained("tiny.toml");
    let figures = |threads: usize| {
        let outcome = diagnosed(&rig, &format!("--samplers unigram,rff --threads {threads}"));
        let keys = ["kl", "chi_squared", "effective_sample_size", "rows_read", "gradient_bias", "gradient_variance"];
        let figures: Vec<_> = rows(&outcome).iter().flat_map(|row| keys.map(|key| row[key].to_string())).collect();
        figures
    };
    assert_eq!(figures(1), figures(3));
}

#[test]
fn bad_input_is_refused_with_its_place() {
    let rig = trained("xmc.toml");
    for (arguments, wanted) in [
        ("nowhere", "nowhere is not a run folder"),
        ("r --samplers rff,foo", "--samplers foo: no row has this name; there are `uniform`, "),
        (
            "r --set loss.sampler={kind='rff',fetures=3}",
            "--set loss.sampler={kind='rff',fetures=3}: unknown field `fetures`",
        ),
        ("r --set loss.sampler.nu=0", "--set loss.sampler.nu=0: 0 is not allowed; it must be positive and finite"),
        ("r --set loss.tau=3", "--set loss.tau=3: only `loss.sampler` can be set here"),
        ("r --plot kl.png", "--plot kl.png: the name must end in .svg"),
        ("r --plot no/kl.svg", "--plot no/kl.svg: there is no such folder"),
        (
            "r --set loss.sampler={kind='rff',memory_gib=1e-6}",
            "rff:features=1024,memory_gib=1e-6: phi of every class with the tree of sums needs ",
        ),
    ] {
        let message = rig.refused(&format!("diagnose {arguments}"));
        assert!(message.starts_with(wanted), "{message}");
    }
    std::fs::remove_file(rig.folder("r").checkpoint()).unwrap();
    assert!(rig.refused("diagnose r").contains("checkpoint"));
}

#[test]
fn a_split_that_is_not_there_is_refused() {
    let rig = Rig::new();
    rig.write("points.txt", crate::rig::POINTS.as_bytes());
    let data = "--set data={kind='xc',train='points.txt',test='points.txt'}";
    rig.done(&format!("train xmc.toml --run r --set train.steps=2 --set loss.draws=2 {data}"));
    assert_eq!(rig.refused("diagnose r --split valid"), "the data set has no valid points");
    // Of twelve points one has no label.
    let outcome: Value = serde_json::from_str(&rig.done("diagnose r --json --samplers exp")).unwrap();
    assert_eq!((&outcome["queries"], &outcome["n"]), (&11.into(), &4.into()));
}
