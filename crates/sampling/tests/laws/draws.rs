//! Draws follow the law.

use rand_distr::Distribution;
use rf_sampling::{BatchRequest, ClassId, Error, Law, Points, Purpose, Sampler, draw_batch, ln_prob_batch, stream};

use crate::chi_squared::{chi_squared, compare};
use crate::rig::{D, N, SEED, each, normals, query};

#[test]
fn draws_follow_the_law() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        chi_squared(name, &law, 1, Points::Independent, &[]);
        chi_squared(name, &law, 25, Points::Independent, &[]);
        // Systematic points of one walk depend on each other: one point a walk.
        chi_squared(name, &law, 1, Points::Systematic, &[]);
    });
}

/// What is drawn one at a time, by `rand`'s interface.
#[test]
fn single_draws_follow_the_law() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let mut observed = vec![0.0; N];
        let rng = stream(SEED, Purpose::Draws, 1, 1);
        (&law).sample_iter(rng).take(20_000).for_each(|class| observed[class as usize] += 1.0);
        compare(name, &observed, law.ln_probs(N).iter().map(|&ln_q| f64::from(ln_q).exp()).collect());
    });
}

#[test]
fn draws_follow_the_law_without_the_excluded_classes() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let best = law.ln_probs(N).iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 as ClassId;
        chi_squared(name, &law, 25, Points::Independent, &[best]);
        chi_squared(name, &law, 25, Points::Independent, &[0, 1, 2, 3, 4, 5, 6, 7, 20, 36]);
    });
}

#[test]
fn excluded_classes_are_never_drawn_and_the_rest_is_renormalised() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let ln_probs = law.ln_probs(N);
        let kept = [9, 17, 30];
        let excluded: Vec<ClassId> = (0..N as ClassId).filter(|class| !kept.contains(class)).collect();
        let mass: f64 = kept.iter().map(|&class| f64::from(ln_probs[class as usize]).exp()).sum();
        let mut out = Vec::new();
        let points = Points::Independent.choose(500, &mut stream(SEED, Purpose::Draws, 0, 0));
        match law.draw_at(&points, &excluded, &mut out) {
            Err(Error::NothingLeft) => assert!(mass == 0.0, "{name}"),
            other => other.unwrap(),
        }
        for draw in out {
            assert!(kept.contains(&draw.class), "{name}: drew {}", draw.class);
            let want = f64::from(ln_probs[draw.class as usize]) - mass.ln();
            assert!((f64::from(draw.ln_prob) - want).abs() < 1e-4, "{name}: {} and {want}", draw.ln_prob);
        }
    });
}

#[test]
fn excluding_everything_is_an_error() {
    each(|name, sampler, table| {
        let query = query();
        let all: Vec<ClassId> = (0..N as ClassId).collect();
        let outcome = sampler.at(&query, table.classes()).unwrap().draw_at(&[0.5], &all, &mut Vec::new());
        assert_eq!(outcome, Err(Error::NothingLeft), "{name}");
    });
}

#[test]
fn systematic_counts_have_the_right_mean_and_differ_from_it_by_less_than_one() {
    each(|name, sampler, table| {
        let query = query();
        let law = sampler.at(&query, table.classes()).unwrap();
        let probabilities: Vec<f64> = law.ln_probs(N).iter().map(|&ln_q| f64::from(ln_q).exp()).collect();
        let (draws, walks) = (20, 4_000);
        let mut mean = [0.0; N];
        for walk in 0..walks {
            let mut out = Vec::new();
            let mut rng = stream(SEED, Purpose::Draws, walk, 9);
            law.draw_at(&Points::Systematic.choose(draws, &mut rng), &[], &mut out).unwrap();
            for draw in out {
                let expected = draws as f64 * probabilities[draw.class as usize];
                assert!((f64::from(draw.count) - expected).abs() < 1.0 + 1e-4, "{name}: class {}", draw.class);
                mean[draw.class as usize] += f64::from(draw.count) / walks as f64;
            }
        }
        for (mean, probability) in mean.into_iter().zip(probabilities) {
            let expected = draws as f64 * probability;
            // The variance of a systematic count is f (1 - f), f the fraction of its mean.
            let deviation = (expected.fract() * (1.0 - expected.fract()) / walks as f64).sqrt();
            assert!((mean - expected).abs() < 5.0 * deviation + 2e-3, "{name}: {mean} for {expected}");
        }
    });
}

#[test]
fn a_batch_draws_the_same_on_any_number_of_threads_and_as_single_queries_do() {
    let queries = normals(70 * D, 5);
    each(|name, sampler, table| {
        let request = BatchRequest { queries: &queries, draws: 9, points: Points::Independent, seed: 3, step: 8 };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| draw_batch(sampler, table.classes(), request, |_| Some(&[4][..])).unwrap())
        };
        let batch = on(1);
        assert_eq!(batch, on(2), "{name}");
        if name.starts_with("exp") {
            return; // its logits come from one product for the block, equal to the single query's only up to rounding
        }
        for (place, want) in batch.iter().enumerate() {
            let law = sampler.at(&queries[place * D..][..D], table.classes()).unwrap();
            let points = request.points.choose(9, &mut stream(3, Purpose::Draws, 8, place as u64));
            let mut got = Vec::new();
            law.draw_at(&points, &[4], &mut got).unwrap();
            assert_eq!(&got, want, "{name}: query {place}");
        }
    });
}

#[test]
fn probabilities_asked_for_a_batch_are_those_of_single_queries() {
    let queries = normals(70 * D, 5);
    each(|name, sampler, table| {
        let ids: Vec<ClassId> = (0..N as ClassId).collect();
        let asked = |query: usize| &ids[query % N..][..(query % 3).min(N - query % N)];
        let batch = ln_prob_batch(sampler, table.classes(), &queries, asked).unwrap();
        let pairs = (0..70).flat_map(|query| asked(query).iter().map(move |&class| (query, class)));
        assert_eq!(batch.len(), pairs.clone().count());
        for ((query, class), got) in pairs.zip(batch) {
            let law = sampler.at(&queries[query * D..][..D], table.classes()).unwrap();
            let want = law.ln_prob(class);
            assert!(got == want || (got - want).abs() < 1e-5, "{name}: query {query}: {got} and {want}");
        }
    });
}
