//! Names of settings and runs, made of the values: readable, good for folders, and the same whatever else is swept.

use toml::Value;

/// The shortest ends of dotted keys that tell them apart: `nu` for `loss.sampler.nu`.
pub fn short(keys: &[String]) -> Vec<&str> {
    let ends = |key: &str, end: &str| key == end || key.ends_with(&format!(".{end}"));
    let shortest = |key: &'_ String| -> usize {
        let starts = key.rmatch_indices('.').map(|(dot, _)| dot + 1);
        let mut starts = starts.filter(|&start| keys.iter().filter(|other| ends(other, &key[start..])).count() == 1);
        starts.next().unwrap_or(0)
    };
    keys.iter().map(|key| &key[shortest(key)..]).collect()
}

/// The name of a setting: `rff_nu=4_draws=100`.
pub fn of_setting(case: Option<&str>, short: &[&str], values: &[Value]) -> String {
    let values = short.iter().zip(values).map(|(key, value)| format!("{key}={}", of_value(value)));
    let words: Vec<_> = case.map(str::to_owned).into_iter().chain(values).collect();
    words.join("_")
}

/// The name of the run of a setting with a seed.
pub fn of_run(setting: &str, seed: u64) -> String {
    let joint = if setting.is_empty() { "" } else { "_" };
    format!("{setting}{joint}seed={seed}")
}

/// A value without what a path or a shell might take amiss: `4` for 4.0, `rff-nu=2` for `{ kind = "rff", nu = 2.0 }`.
fn of_value(value: &Value) -> String {
    match value {
        Value::Float(value) => value.to_string(),
        Value::Array(values) => values.iter().map(of_value).collect::<Vec<_>>().join("-"),
        Value::Table(table) => {
            let kind = table.get("kind").map(of_value);
            let others = table.iter().filter(|(key, _)| *key != "kind");
            let others = others.map(|(key, value)| format!("{key}={}", of_value(value)));
            kind.into_iter().chain(others).collect::<Vec<_>>().join("-")
        }
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.+=".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_as_short_as_they_can_be() {
        let keys = ["loss.sampler.nu", "model.dropout", "data.dropout", "seed"].map(str::to_owned);
        assert_eq!(short(&keys), ["nu", "model.dropout", "data.dropout", "seed"]);
        let keys = ["loss.sampler", "sampler"].map(str::to_owned);
        assert_eq!(short(&keys), ["loss.sampler", "sampler"]);
    }

    #[test]
    fn values_become_words() {
        for (text, wanted) in [
            ("4.0", "4"),
            ("0.111", "0.111"),
            ("1e-5", "0.00001"),
            ("-3", "-3"),
            ("true", "true"),
            ("'a/b c'", "a-b-c"),
            ("[64, 32]", "64-32"),
            ("{ features = 128, kind = 'rff', nu = 2.0 }", "rff-features=128-nu=2"),
        ] {
            assert_eq!(of_value(&value(text)), wanted, "{text}");
        }
    }

    #[test]
    fn a_run_is_named_after_case_values_and_seed() {
        let setting = of_setting(Some("rff"), &["nu", "draws"], &[value("4.0"), value("100")]);
        assert_eq!(setting, "rff_nu=4_draws=100");
        assert_eq!(of_run(&setting, 3), "rff_nu=4_draws=100_seed=3");
        assert_eq!(of_run(&of_setting(None, &[], &[]), 3), "seed=3");
    }
}
