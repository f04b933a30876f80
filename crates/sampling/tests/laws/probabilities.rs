//! What a law says of one query.

use rf_sampling::{ClassId, Error, Law, Sampler};

use crate::rig::{D, N, SEED, classes_of, counts, each, is_blind, keepers, query, tables};

#[test]
fn probabilities_sum_to_one_under_every_floor() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let total: f64 = law.ln_probs(N).iter().map(|&ln_q| f64::from(ln_q).exp()).sum();
        assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
    });
}

#[test]
fn one_probability_is_what_all_of_them_say() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        for (class, want) in law.ln_probs(N).into_iter().enumerate() {
            let got = law.ln_prob(class as ClassId);
            assert!(got == want || (got - want).abs() < 1e-5, "{name}: class {class}: {got} and {want}");
        }
    });
}

#[test]
fn a_bias_of_any_finite_size_keeps_a_law() {
    let table = &tables()[2];
    for bias in [-1e4, -95.0, 95.0, 1e4] {
        let mut rows = table.rows.clone();
        rows[5 * table.width + D] = bias;
        let classes = classes_of(table, &rows);
        for (name, config) in keepers() {
            let sampler = config.build(classes, &counts(), SEED).unwrap();
            let total: f64 =
                sampler.at(&query(), classes).unwrap().ln_probs(N).iter().map(|&q| f64::from(q).exp()).sum();
            assert!((total - 1.0).abs() < 1e-5, "{name}, bias {bias}: {total}");
        }
    }
}

#[test]
fn queries_that_are_not_finite_are_refused() {
    each(|name, sampler, table| {
        let query = [f32::NAN; D];
        let refused = matches!(sampler.at(&query, table.classes()), Err(Error::BadQuery));
        assert!(refused || is_blind(name), "{name}");
    });
}
