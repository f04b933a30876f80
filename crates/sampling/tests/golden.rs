//! Laws against TensorFlow and NumPy. The script that made the values is `scripts/golden/proposals.py`.

use rf_sampling::{ClassId, Classes, Law, QuadraticConfig, Sampler, SamplerConfig, UnigramConfig};
use serde_json::Value;

const GOLDEN: &str = include_str!("golden/proposals.json");

fn golden() -> Value {
    serde_json::from_str(GOLDEN).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn counts(file: &Value) -> Vec<u64> {
    file["counts"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap()).collect()
}

/// Probabilities at the query of the file.
fn law(config: &SamplerConfig, classes: Classes<'_>, counts: &[u64], query: &[f32]) -> Vec<f32> {
    let sampler = config.build(classes, counts, 1).unwrap();
    let law = sampler.at(query, classes).unwrap();
    (0..classes.len() as ClassId).map(|class| law.ln_prob(class).exp()).collect()
}

fn close(name: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (class, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() < 1e-7 + 5e-6 * want.abs(), "{name}, class {class}: {got} for {want}");
    }
}

#[test]
fn the_static_laws_equal_tensorflows() {
    let file = golden();
    let (rows, query, counts) = (floats(&file["rows"]), floats(&file["query"]), counts(&file));
    let classes = Classes::new(&rows, query.len());
    let got = law(&SamplerConfig::LogUniform {}, classes, &counts, &query);
    close("log-uniform", &got, &floats(&file["log_uniform"]));
    for (power, want) in floats(&file["powers"]).into_iter().zip(floats(&file["unigram"]).chunks(counts.len())) {
        let got = law(&SamplerConfig::Unigram(UnigramConfig { power }), classes, &counts, &query);
        close(&format!("unigram to the power {power}"), &got, want);
    }
}

#[test]
fn classes_that_are_not_sorted_by_frequency_get_the_probability_of_their_rank() {
    let file = golden();
    let (rows, query, counts) = (floats(&file["rows"]), floats(&file["query"]), counts(&file));
    let reversed: Vec<u64> = counts.iter().rev().map(|count| 3 * count).collect();
    let mut want = floats(&file["log_uniform"]);
    want.reverse();
    // Two classes have the same count: the lower id comes first.
    let tied = reversed.windows(2).position(|pair| pair[0] == pair[1]).unwrap();
    want.swap(tied, tied + 1);
    close("reversed", &law(&SamplerConfig::LogUniform {}, Classes::new(&rows, query.len()), &reversed, &query), &want);
}

#[test]
fn the_quadratic_law_is_the_kernel_itself_for_every_leaf_size() {
    let file = golden();
    let (rows, query) = (floats(&file["rows"]), floats(&file["query"]));
    let alpha = file["alpha"].as_f64().unwrap() as f32;
    let raw = Classes::new(&rows, query.len());
    // Over normalised classes the length of the query, its temperature, does not count.
    let long: Vec<f32> = query.iter().map(|x| 7.0 * x).collect();
    for leaf_size in [None, Some(1), Some(2), Some(5), Some(100)] {
        let config = SamplerConfig::Quadratic(QuadraticConfig { alpha, leaf_size, ..Default::default() });
        close("raw", &law(&config, raw, &[], &query), &floats(&file["quadratic_raw"]));
        close("normalised", &law(&config, raw.normalized(), &[], &long), &floats(&file["quadratic_normalized"]));
    }
}
