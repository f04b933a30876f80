//! Cluster samplers: state, regrouping, mixture, drift.

use rf_sampling::{ClusterConfig, ClusterSampler, Error, ExactSoftmax, Grouping, Law, Sampler, SamplerConfig};

use crate::rig::{D, N, SEED, change, classes_of, cluster, counts, query, sums, tables};

#[test]
fn a_restored_cluster_sampler_is_equal_to_the_last_bit_and_regroups_at_the_same_step() {
    for table in tables() {
        for (name, config) in sums().filter(|(_, config)| config.name() == "cluster") {
            let SamplerConfig::Cluster(config) = config else { unreachable!() };
            let config = SamplerConfig::Cluster(ClusterConfig { regroup_every: 3, ..config });
            let mut rows = table.rows.clone();
            let mut walked = cluster(&config, table.classes());
            let steps = [&[1, 2, 30][..], &[0, 7, 8, 9], &[5], &[11, 12]];
            for ids in steps {
                let before = change(&mut rows, table.width, ids);
                walked.refresh(ids, &before, classes_of(&table, &rows)).unwrap();
            }
            let mut restored = cluster(&config, classes_of(&table, &rows));
            let (sums, order) = (walked.sums().to_vec(), walked.order());
            let now = classes_of(&table, &rows);
            restored.restore(now, &sums, order, walked.next_rebuild(), walked.steps()).unwrap();
            for ids in steps {
                let before = change(&mut rows, table.width, ids);
                let classes = classes_of(&table, &rows);
                let query = query();
                let after = |sampler: &mut ClusterSampler| {
                    sampler.refresh(ids, &before, classes).unwrap();
                    sampler.at(&query, classes).unwrap().ln_probs(N)
                };
                assert_eq!(after(&mut walked), after(&mut restored), "{name}, {}", table.name);
            }
            let refused = restored.restore(classes_of(&table, &rows), &sums[1..], Vec::new(), 0, 0);
            assert!(matches!(refused, Err(Error::WrongState { .. })), "{name}");
        }
    }
}

#[test]
fn a_regrouping_over_a_row_that_is_not_finite_changes_nothing() {
    for table in tables() {
        let config = ClusterConfig { grouping: Some(Grouping::Similarity), regroup_every: 1, ..Default::default() };
        let config = ClusterConfig { leaf_size: Some(4), ..config };
        let mut sampler = cluster(&SamplerConfig::Cluster(config), table.classes());
        let (query, mut rows) = (query(), table.rows.clone());
        let before = change(&mut rows, table.width, &[2]);
        // The row of a class that the step did not touch.
        rows[9 * table.width] = f32::NAN;
        let old = (sampler.at(&query, table.classes()).unwrap().ln_probs(N), sampler.order(), sampler.steps());
        assert_eq!(sampler.refresh(&[2], &before, classes_of(&table, &rows)), Err(Error::NotFinite(9)));
        let now = (sampler.at(&query, table.classes()).unwrap().ln_probs(N), sampler.order(), sampler.steps());
        assert_eq!(old, now, "{}", table.name);
    }
}

#[test]
fn a_defensive_mixture_bounds_the_weights() {
    let table = &tables()[0];
    let query: Vec<f32> = query().iter().map(|x| 10.0 * x).collect();
    let worst = |epsilon: f32| {
        let config = ClusterConfig { leaf_size: Some(4), growth: Some(1.0), epsilon, ..Default::default() };
        let sampler = config.build(table.classes(), &counts(), SEED).unwrap();
        let ln_q = sampler.at(&query, table.classes()).unwrap().ln_probs(N);
        let ln_p = ExactSoftmax.at(&query, table.classes()).unwrap().ln_probs(N);
        ln_p.iter().zip(ln_q).map(|(p, q)| p - q).fold(f32::NEG_INFINITY, f32::max)
    };
    // p(leaf) <= 1 and u(leaf) >= 4 classes of the least count, of 4,178 draws and one more for each class.
    let bound = (0.1f32 * 4.0 * 28.0 / 4_250.0).recip().ln();
    assert!(worst(0.1) <= bound, "{} for {bound}", worst(0.1));
}

#[test]
fn moments_drift_no_further_over_many_steps() {
    let table = &tables()[0];
    for levels in [2, 3] {
        let config = ClusterConfig { leaf_size: Some(8), levels: Some(levels), ..Default::default() };
        let config = SamplerConfig::Cluster(config);
        let (mut rows, mut walked) = (table.rows.clone(), cluster(&config, table.classes()));
        for step in 0..2_000u32 {
            let id = [step % N as u32];
            let before = rows[id[0] as usize * D..][..D].to_vec();
            rows[id[0] as usize * D + step as usize % D] += 0.1;
            walked.refresh(&id, &before, classes_of(table, &rows)).unwrap();
        }
        let rebuilt = cluster(&config, classes_of(table, &rows));
        let worst = walked.sums().iter().zip(rebuilt.sums()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{levels} levels: the sums drifted by {worst}");
    }
}
