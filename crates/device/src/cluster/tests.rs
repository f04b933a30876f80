//! The law and its sums beside those of the host.

use super::*;
use crate::Loss;
use crate::random::Draws;
use crate::rows::{Batch, Rule, Step, Touched};
use crate::testing::{BATCH, check_counts, check_draws, client, labels, lists_of, numbers, queries};
use rf_sampling::{Classes, ClusterConfig, ClusterSampler, Dispersion, Grouping, Law, Sampler};

/// Rows are read by fours, and with a bias number by number.
const DIM: usize = 8;
const CLASSES: usize = 157;

struct Case {
    normalized: bool,
    bias: bool,
    grouping: Grouping,
    dispersion: Dispersion,
    leaf_size: usize,
}

impl Case {
    fn all() -> [Self; 4] {
        let case = |normalized, bias, grouping, dispersion, leaf_size| Self {
            normalized,
            bias,
            grouping,
            dispersion,
            leaf_size,
        };
        [
            case(true, false, Grouping::Index, Dispersion::Diagonal, 12),
            case(false, true, Grouping::Frequency, Dispersion::Diagonal, 7),
            case(true, true, Grouping::Frequency, Dispersion::None, 30),
            // More than one block of leaves.
            case(false, false, Grouping::Frequency, Dispersion::Diagonal, 2),
        ]
    }

    fn width(&self) -> usize {
        DIM + usize::from(self.bias)
    }

    fn classes<'a>(&self, rows: &'a [f32]) -> Classes<'a> {
        let classes = Classes::new(rows, self.width());
        let classes = if self.bias { classes.with_bias() } else { classes };
        if self.normalized { classes.normalized() } else { classes }
    }

    fn host(&self, rows: &[f32]) -> ClusterSampler {
        let counts: Vec<u64> = (0..CLASSES as u64).map(|class| 5000 / (1 + class * 37 % 157)).collect();
        let config = ClusterConfig {
            leaf_size: Some(self.leaf_size),
            grouping: Some(self.grouping),
            dispersion: self.dispersion,
            epsilon: 0.05,
            ..Default::default()
        };
        config.build(self.classes(rows), &counts, 1).unwrap()
    }

    fn device(&self, client: &Client, host: &ClusterSampler, table: &Table) -> Cluster {
        let leaves = host.leaves();
        let starts = (0..leaves.leaves()).map(|leaf| leaves.slots(leaf).start as u32);
        let bounds: Vec<u32> = starts.chain([leaves.len() as u32]).collect();
        let order: Vec<u32> = (0..leaves.len()).map(|slot| leaves.class_at(slot)).collect();
        let parts = ClusterParts {
            bounds: &bounds,
            order: &order,
            sums: host.sums(),
            frequencies: host.frequencies(),
            epsilon: 0.05,
            diagonal: self.dispersion == Dispersion::Diagonal,
            next_rebuild: host.next_rebuild(),
        };
        Cluster::upload(client, parts, table, DIM, self.normalized)
    }

    fn rows(&self) -> Vec<f32> {
        numbers(CLASSES * self.width(), 11)
    }
}

#[test]
fn draws_follow_the_law_of_the_host_without_the_excluded_classes() {
    let Some(client) = client() else { return };
    for case in Case::all() {
        let rows = case.rows();
        let table = Table::in_shards(&client, &rows, case.width(), 50);
        let host = case.host(&rows);
        let cluster = case.device(&client, &host, &table);
        check_draws(
            &client,
            DIM,
            2e-3,
            |queries, draws, lists, edges| cluster.draw(queries, &table, draws, lists, edges),
            |query| host.at(query, case.classes(&rows)).unwrap().ln_probs(CLASSES),
        );
    }
}

#[test]
fn after_a_step_the_sums_are_those_of_the_new_rows() {
    let Some(client) = client() else { return };
    for case in Case::all() {
        let rows = case.rows();
        let table = Table::in_shards(&client, &rows, case.width(), 50);
        let mut host = case.host(&rows);
        let mut cluster = case.device(&client, &host, &table);
        // Draws of all classes, and of far fewer than there is room for.
        let lists = [400, 6].map(|draws| lists_of(&client, draws));
        let queries = Buffer::upload(&client, &queries(DIM));
        let mut before = rows.clone();
        for step in 0..3 {
            let lists = &lists[step as usize % 2];
            let edges = lists.edges();
            cluster.draw(&queries, &table, Draws { seed: 3, step }, lists, &edges);
            let loss = Loss::of(&queries, &table, case.normalized, lists, &edges);
            let normalized = case.normalized;
            let batch = Batch { queries: &queries, dim: DIM, table: &table, normalized, edges: &edges, loss: &loss };
            let mut touched = Touched::of(batch, Some(cluster.places()));
            let one = Buffer::upload(&client, &[1.0]);
            touched.step(&table, &[], Step { rule: Rule::Sgd, rate: 0.5, second: 1.0 }, &one);
            cluster.refresh(&table, &touched);

            let after = table.download();
            let mut ids = touched.download().0;
            ids.sort_unstable();
            let width = case.width();
            let old: Vec<f32> = ids.iter().flat_map(|&id| before[id as usize * width..][..width].to_vec()).collect();
            host.refresh(&ids, &old, case.classes(&after)).unwrap();
            let (sums, next) = cluster.download();
            assert_eq!(next, host.next_rebuild());
            let fresh = case.host(&after);
            for (at, ((got, host), fresh)) in sums.iter().zip(host.sums()).zip(fresh.sums()).enumerate() {
                let close = |a: f32, b: f32| (a - b).abs() < 1e-4 * b.abs().max(1.0);
                assert!(close(*got, *host) && close(*got, *fresh), "{at}: {got}, {host} on the host, {fresh} anew");
            }
            assert_ne!(after, before);
            before = after;
        }
    }
}

/// `shares · [h, h²]`, or `shares · h`, on the host.
fn sums(shares: &[f32], queries: &[f32], moments: usize) -> Vec<f32> {
    let number = |query: usize, column: usize| {
        let x = queries[query * DIM + column % DIM];
        if column < DIM { x } else { x * x }
    };
    let of = |at: usize| {
        let share = |query: usize| shares[at / moments * BATCH + query];
        (0..BATCH).map(|query| share(query) * number(query, at % moments)).sum()
    };
    (0..shares.len() / BATCH * moments).map(of).collect()
}

#[test]
fn shared_draws_and_expected_counts_follow_the_law_that_the_host_has_for_the_batch() {
    let Some(client) = client() else { return };
    for case in Case::all() {
        let rows = case.rows();
        let table = Table::in_shards(&client, &rows, case.width(), 50);
        let host = case.host(&rows);
        let cluster = case.device(&client, &host, &table);
        let ((start, labels), queries) = (labels(), queries(DIM));
        let counted: Vec<f32> = (0..BATCH)
            .filter(|&query| start[query] < start[query + 1])
            .flat_map(|query| &queries[query * DIM..][..DIM])
            .copied()
            .collect();
        let law = host.shared_law(&counted, case.classes(&rows)).unwrap();
        let q: Vec<f64> = law.ln_probs(CLASSES).iter().map(|ln| f64::from(*ln).exp()).collect();

        let (lists, count) = (lists_of(&client, 0), 10_000);
        let shares = cluster.shares(&Buffer::upload(&client, &queries), &lists);
        let sums = sums(&shares.download(), &queries, cluster.moments());
        let mixture = cluster.mixture(&shares, &Buffer::upload(&client, &sums));
        let draw = |step| {
            let drawn = cluster.draw_shared(&mixture, &table, Draws { seed: 3, step }, count);
            (drawn.ids.download(), drawn.corrections.download())
        };
        let (ids, corrections) = draw(0);
        assert_eq!(draw(0).0, ids);
        assert_ne!(draw(1).0, ids);
        let ln_expected = |class: u32| (count as f64 * q[class as usize]).ln();
        let close = |(&class, &got): (&u32, &f32)| {
            let want = ln_expected(class);
            assert!((f64::from(got) - want).abs() < 2e-3, "{class}: {got} {want}");
        };
        ids.iter().zip(&corrections).for_each(close);
        let mut edges = lists.edges();
        cluster.correct_terms(&mixture, &table, &lists, &mut edges, count);
        labels.iter().zip(&edges.corrections.download()).for_each(close);

        let mut counts = vec![0.0f64; CLASSES];
        ids.iter().for_each(|&class| counts[class as usize] += 1.0);
        check_counts(0, counts.into_iter().zip(q.iter().map(|q| count as f64 * q)));
    }
}
