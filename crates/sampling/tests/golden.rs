//! Laws against TensorFlow, NumPy and plain Python. The scripts that made the values are `scripts/golden/proposals.py` and
//! `scripts/golden/midx.py`.

use rf_sampling::{
    ClassId, Classes, Law, MidxConfig, MidxVariant, QuadraticConfig, Quantizer, Sampler, SamplerConfig, UnigramConfig,
};
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

#[test]
fn midx_is_the_softmax_of_quantised_scores_and_its_exact_variant_that_of_the_rows() {
    let file: Value = serde_json::from_str(include_str!("golden/midx.json")).unwrap();
    let rows: Vec<Vec<f32>> = file["rows"].as_array().unwrap().iter().map(floats).collect();
    let (biases, query, counts) = (floats(&file["biases"]), floats(&file["query"]), counts(&file));
    let plain = rows.concat();
    let biased: Vec<f32> = rows.iter().zip(&biases).flat_map(|(row, bias)| row.iter().chain([bias])).copied().collect();
    let prior = file["prior"].as_f64().unwrap() as f32;
    let codewords = file["codewords"].as_u64().unwrap() as usize;
    for (quantizer, name) in [(Quantizer::Pq, "pq_fast"), (Quantizer::Rq, "rq_fast")] {
        for (variant, name) in [(MidxVariant::Fast, name), (MidxVariant::Exact, "exact")] {
            let config = MidxConfig { quantizer, variant, codewords, ..Default::default() };
            let got = law(&SamplerConfig::Midx(config.clone()), Classes::new(&plain, query.len()), &[], &query);
            close(name, &got, &floats(&file[name]));

            let name = format!("{name}_weighted");
            let classes = Classes::new(&biased, query.len() + 1).with_bias();
            let got = law(&SamplerConfig::Midx(MidxConfig { prior, ..config }), classes, &counts, &query);
            close(&name, &got, &floats(&file[&name]));
        }
    }
}
