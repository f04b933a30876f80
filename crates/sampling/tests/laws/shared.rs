//! The laws that batches share.

use rf_sampling::{AnySampler, BatchRequest, ClassId, Error, Law, Points, Sampler, draw_shared};

use crate::chi_squared::chi_squared;
use crate::rig::{D, N, SEED, Table, counts, is_blind, normals, query, samplers, tables};

/// The laws that batches share: those of every sampler that has one.
fn each_shared(law: impl Fn(&str, &AnySampler, &Table, &[f32])) {
    let queries: Vec<f32> = normals(70 * D, 5).iter().map(|x| 2.0 * x).collect();
    let mut shared = 0;
    for table in tables() {
        for (name, config) in samplers() {
            let sampler = config.build(table.classes(), &counts(), SEED).unwrap();
            let name = format!("{name}, {}", table.name);
            if config.shares_draws() {
                law(&name, &sampler, &table, &queries);
                shared += 1;
            } else {
                assert!(matches!(sampler.shared_law(&queries, table.classes()), Err(Error::NoSharedLaw)), "{name}");
            }
        }
    }
    assert!(shared >= 3 * 10, "{shared}");
}

#[test]
fn shared_probabilities_sum_to_one_and_each_is_what_all_of_them_say() {
    each_shared(|name, sampler, table, queries| {
        let law = sampler.shared_law(queries, table.classes()).unwrap();
        let all = law.ln_probs(N);
        let total: f64 = all.iter().map(|&ln_q| f64::from(ln_q).exp()).sum();
        assert!((total - 1.0).abs() < 1e-5, "{name}: {total}");
        for (class, want) in all.into_iter().enumerate() {
            let got = law.ln_prob(class as ClassId);
            assert!(got == want || (got - want).abs() < 1e-5, "{name}: class {class}: {got} and {want}");
        }
    });
}

#[test]
fn shared_draws_follow_the_shared_law() {
    each_shared(|name, sampler, table, queries| {
        let law = sampler.shared_law(queries, table.classes()).unwrap();
        chi_squared(name, &law, 1, Points::Independent, &[]);
        chi_squared(name, &law, 200, Points::Independent, &[]);
        chi_squared(name, &law, 1, Points::Systematic, &[]);
    });
}

#[test]
fn the_shared_law_of_equal_queries_is_the_law_of_one() {
    each_shared(|name, sampler, table, _| {
        let query = query();
        let shared = sampler.shared_law(&query.repeat(70), table.classes()).unwrap().ln_probs(N);
        let single = sampler.at(&query, table.classes()).unwrap().ln_probs(N);
        for (class, (shared, single)) in shared.into_iter().zip(single).enumerate() {
            let (shared, single) = (shared.exp(), single.exp());
            assert!((shared - single).abs() < 1e-5, "{name}: class {class}: {shared} and {single}");
        }
    });
}

#[test]
fn a_batch_shares_the_same_draws_on_any_number_of_threads_and_others_at_every_step() {
    each_shared(|name, sampler, table, queries| {
        // More points than one task follows.
        let request = BatchRequest { queries, draws: 600, points: Points::Independent, seed: 3, step: 8 };
        let on = |threads, request| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| draw_shared(sampler, table.classes(), request).unwrap().0)
        };
        let draws = on(1, request);
        assert_eq!(draws, on(3, request), "{name}");
        assert_ne!(draws, on(1, BatchRequest { step: 9, ..request }), "{name}");
        assert_eq!(draws.iter().map(|draw| draw.count).sum::<u32>(), 600, "{name}");
        assert!(draws.windows(2).all(|pair| pair[0].class != pair[1].class), "{name}");
        let law = sampler.shared_law(queries, table.classes()).unwrap();
        for draw in draws {
            let want = law.ln_prob(draw.class);
            assert!((draw.ln_prob - want).abs() < 1e-5, "{name}: class {}: {} and {want}", draw.class, draw.ln_prob);
        }
    });
}

#[test]
fn a_query_that_is_not_finite_has_no_part_in_a_shared_law() {
    each_shared(|name, sampler, table, queries| {
        let mut queries = queries.to_vec();
        queries[66 * D] = f32::INFINITY;
        let refused = matches!(sampler.shared_law(&queries, table.classes()), Err(Error::BadQuery));
        assert!(refused || is_blind(name), "{name}");
    });
}
