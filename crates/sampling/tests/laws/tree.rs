//! Kernel trees: state, regrouping, drift.

use rf_sampling::{
    ClassId, Error, Grouping, KernelTree, Law, LeafLaw, QuadraticConfig, RffConfig, Sampler, SamplerConfig,
};

use crate::rig::{D, N, change, classes_of, query, regrouping, tables, tree, trees};

#[test]
fn a_restored_tree_is_equal_to_the_last_bit_and_regroups_at_the_same_step() {
    for table in tables() {
        for (name, config) in trees() {
            let (config, query) = (regrouping(config), query());
            let mut rows = table.rows.clone();
            let mut walked = tree(&config, table.classes());
            let steps = [&[1, 2, 30][..], &[0, 7, 8, 9], &[5], &[11, 12]];
            for ids in steps {
                let before = change(&mut rows, table.width, ids);
                walked.refresh(ids, &before, classes_of(&table, &rows)).unwrap();
            }
            let classes = classes_of(&table, &rows);
            let mut restored = tree(&config, classes);
            let order = walked.order();
            restored
                .restore(classes, walked.leaf_sums(), order.clone(), walked.next_rebuild(), walked.steps())
                .unwrap();
            let probabilities = |tree: &KernelTree| tree.at(&query, classes).unwrap().ln_probs(N);
            assert_eq!(probabilities(&walked), probabilities(&restored), "{name}, {}", table.name);
            for ids in steps {
                let before = change(&mut rows, table.width, ids);
                let classes = classes_of(&table, &rows);
                let after = |tree: &mut KernelTree| {
                    tree.refresh(ids, &before, classes).unwrap();
                    tree.at(&query, classes).unwrap().ln_probs(N)
                };
                assert_eq!(after(&mut walked), after(&mut restored), "{name}, {}", table.name);
            }
            assert_eq!(walked.leaves(), restored.leaves(), "{name}, {}", table.name);
            assert_eq!(walked.order() != order, walked.regroups(), "{name}: two regroupings that change nothing");
        }
    }
}

#[test]
fn a_tree_that_has_just_regrouped_is_one_that_is_built_anew() {
    for table in tables() {
        for (name, config) in trees() {
            let config = regrouping(config);
            let mut rows = table.rows.clone();
            let mut walked = tree(&config, table.classes());
            if !walked.regroups() {
                continue;
            }
            for ids in [&[1, 2, 30][..], &[0, 7, 8, 9], &[5]] {
                let before = change(&mut rows, table.width, ids);
                walked.refresh(ids, &before, classes_of(&table, &rows)).unwrap();
            }
            let (classes, query) = (classes_of(&table, &rows), query());
            let built = tree(&config, classes);
            assert_ne!(walked.leaves(), tree(&config, table.classes()).leaves(), "{name}");
            assert_eq!(walked.leaves(), built.leaves(), "{name}");
            let probabilities = |tree: &KernelTree| tree.at(&query, classes).unwrap().ln_probs(N);
            assert_eq!(probabilities(&walked), probabilities(&built), "{name}, {}", table.name);
        }
    }
}

#[test]
fn a_state_of_another_tree_is_refused() {
    let table = &tables()[0];
    let config = |grouping| RffConfig { features: 8, grouping, leaf_law: LeafLaw::Gauss, ..Default::default() };
    let order: Vec<ClassId> = (0..N as ClassId).rev().collect();
    for (grouping, wrong) in [
        (Grouping::Similarity, Vec::new()),
        (Grouping::Similarity, order[1..].to_vec()),
        (Grouping::Similarity, vec![3; N]),
        (Grouping::Frequency, order.clone()),
    ] {
        let mut tree = tree(&SamplerConfig::Rff(config(grouping)), table.classes());
        let (old, sums) = (tree.leaves().clone(), tree.leaf_sums().to_vec());
        let refused = tree.restore(table.classes(), &sums, wrong, 0, 0);
        assert!(matches!(refused, Err(Error::WrongState { .. })), "{grouping:?}: {refused:?}");
        let right = if tree.regroups() { order.clone() } else { Vec::new() };
        let refused = tree.restore(table.classes(), &sums[1..], right.clone(), 0, 0);
        assert!(matches!(refused, Err(Error::WrongState { .. })), "{grouping:?}: {refused:?}");
        assert_eq!(tree.leaves(), &old);
        tree.restore(table.classes(), &sums, right.clone(), 0, 0).unwrap();
        assert_eq!(tree.order(), right);
    }
}

#[test]
fn drift_stays_bounded_over_many_steps() {
    let table = &tables()[0];
    let gauss = RffConfig { features: 40, leaf_law: LeafLaw::Gauss, leaf_size: Some(8), ..Default::default() };
    let quadratic = QuadraticConfig { leaf_size: Some(8), ..Default::default() };
    for config in [SamplerConfig::Rff(gauss), SamplerConfig::Quadratic(quadratic)] {
        let (mut rows, mut walked) = (table.rows.clone(), tree(&config, table.classes()));
        for step in 0..2_000u32 {
            let id = [step % N as u32];
            let before = rows[id[0] as usize * D..][..D].to_vec();
            rows[id[0] as usize * D + step as usize % D] += 0.1;
            walked.refresh(&id, &before, classes_of(table, &rows)).unwrap();
        }
        let rebuilt = tree(&config, classes_of(table, &rows));
        let worst = walked.leaf_sums().iter().zip(rebuilt.leaf_sums()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{}: the sums drifted by {worst}", config.name());
    }
}
