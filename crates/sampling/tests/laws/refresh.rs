//! A refreshed sampler is one made anew.

use rf_sampling::{AnySampler, ClassId, Classes, Error, Law, Sampler, SamplerConfig};

use crate::rig::{N, SEED, change, classes_of, counts, is_blind, keepers, query, samplers, tables};

#[test]
fn refreshing_some_or_all_classes_equals_building_anew() {
    let some: Vec<ClassId> = vec![0, 3, 11, 12, 36];
    let all: Vec<ClassId> = (0..N as ClassId).collect();
    for table in tables() {
        // Codes stand still between quantisations: MIDX has tests of its own below.
        for (name, config) in samplers().into_iter().filter(|(_, config)| config.name() != "midx") {
            for ids in [&some, &all] {
                let mut rows = table.rows.clone();
                let mut sampler = config.build(table.classes(), &counts(), SEED).unwrap();
                let query = query();
                let old = sampler.at(&query, table.classes()).unwrap().ln_probs(N);
                let before = change(&mut rows, table.width, ids);
                let classes = classes_of(&table, &rows);
                sampler.refresh(ids, &before, classes).unwrap();
                let refreshed = sampler.at(&query, classes).unwrap().ln_probs(N);
                let rebuilt = rebuilt(&config, &sampler, classes).at(&query, classes).unwrap().ln_probs(N);
                // Where an estimate lies at zero, rounding decides on which side of the clamp: compare probabilities.
                for class in 0..N {
                    let (a, b) = (refreshed[class].exp(), rebuilt[class].exp());
                    assert!((a - b).abs() < 1e-4, "{name}, {}: class {class}: {a} and {b}", table.name);
                }
                // A floor above every estimate leaves the weights alone, which no embedding moves.
                let blind = is_blind(&name) || name.contains("floor 0.3") || name.contains("floor 2");
                assert!(blind || old != refreshed, "{name}: the refresh changed nothing");
            }
        }
    }
}

/// The sampler made anew of the rows; groups of similar classes stay as they are until a regrouping.
fn rebuilt(config: &SamplerConfig, refreshed: &AnySampler, classes: Classes<'_>) -> AnySampler {
    match refreshed {
        AnySampler::Cluster(cluster) => {
            let mut cluster = cluster.clone();
            cluster.rebuild(classes).unwrap();
            AnySampler::Cluster(cluster)
        }
        AnySampler::Tree(tree) if tree.regroups() => {
            let mut tree = tree.clone();
            tree.rebuild(classes).unwrap();
            AnySampler::Tree(tree)
        }
        _ => config.build(classes, &counts(), SEED).unwrap(),
    }
}

#[test]
fn rows_that_are_not_finite_are_refused_and_the_sampler_stays_whole() {
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        for table in tables() {
            for (name, config) in keepers() {
                let mut rows = table.rows.clone();
                let mut sampler = config.build(table.classes(), &counts(), SEED).unwrap();
                let query = query();
                let before = change(&mut rows, table.width, &[2, 8]);
                rows[8 * table.width + 1] = bad;
                let old = sampler.at(&query, table.classes()).unwrap().ln_probs(N);
                let outcome = sampler.refresh(&[2, 8], &before, classes_of(&table, &rows));
                assert_eq!(outcome, Err(Error::NotFinite(8)), "{name}");
                assert_eq!(sampler.at(&query, table.classes()).unwrap().ln_probs(N), old, "{name}");
            }
        }
    }
}
