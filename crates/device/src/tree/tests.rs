//! The law and its sums beside those of the host.

use rf_sampling::{
    Classes, FeatureMapKind, Grouping, KernelTree, Law, LeafLaw, MapForm, QuadraticConfig, RffConfig, Sampler,
};

use super::*;
use crate::Loss;
use crate::random::Draws;
use crate::rows::{Batch, Rule, Step};
use crate::testing::{check_counts, check_draws, client, lists, lists_of, numbers, queries};

const CLASSES: usize = 157;

struct Case {
    dim: usize,
    normalized: bool,
    bias: bool,
    /// The quadratic kernel without.
    rff: Option<RffConfig>,
    leaf_size: usize,
}

impl Case {
    fn all() -> Vec<Self> {
        // Numbers are read one by one, or by fours where both a row and a feature vector are made of fours. With an uneven number of
        // frequencies the host pads a feature vector with zeros.
        let rff =
            |[dim, features]: [usize; 2], map, leaf_law, leaf_size, prior, grouping, [normalized, bias]: [bool; 2]| {
                let config = RffConfig { map, features, nu: 2.0, leaf_law, prior, grouping, ..Default::default() };
                Self { dim, normalized, bias, rff: Some(RffConfig { leaf_size: Some(leaf_size), ..config }), leaf_size }
            };
        use FeatureMapKind::{Fourier, Orthogonal, Positive, Structured};
        vec![
            rff([8, 12], Fourier, LeafLaw::Features, 3, 0.0, Grouping::Index, [true, false]),
            rff([6, 13], Orthogonal, LeafLaw::Features, 200, 0.5, Grouping::Frequency, [true, true]),
            rff([6, 13], Structured, LeafLaw::Gauss, 7, 0.75, Grouping::Frequency, [true, true]),
            rff([8, 12], Fourier, LeafLaw::Gauss, 70, 0.75, Grouping::Frequency, [true, false]),
            rff([7, 12], Fourier, LeafLaw::Exact, 20, 0.0, Grouping::Index, [false, true]),
            rff([8, 13], Positive, LeafLaw::Exact, 2, 0.0, Grouping::Index, [true, false]),
            rff([6, 13], Positive, LeafLaw::Gauss, 20, 0.0, Grouping::Index, [true, true]),
            Self { dim: 6, normalized: false, bias: true, rff: None, leaf_size: 5 },
            Self { dim: 8, normalized: true, bias: false, rff: None, leaf_size: 30 },
        ]
    }

    fn width(&self) -> usize {
        self.dim + usize::from(self.bias)
    }

    fn classes<'a>(&self, rows: &'a [f32]) -> Classes<'a> {
        let classes = Classes::new(rows, self.width());
        let classes = if self.bias { classes.with_bias() } else { classes };
        if self.normalized { classes.normalized() } else { classes }
    }

    fn rows(&self) -> Vec<f32> {
        numbers(CLASSES * self.width(), 11)
    }

    fn host(&self, rows: &[f32]) -> KernelTree {
        let counts: Vec<u64> = (0..CLASSES as u64).map(|class| 5000 / (1 + class * 37 % 157)).collect();
        match &self.rff {
            Some(config) => config.build(self.classes(rows), &counts, 1),
            None => {
                let config = QuadraticConfig { alpha: 3.0, leaf_size: Some(self.leaf_size), ..Default::default() };
                config.build(self.classes(rows), &counts, 1)
            }
        }
        .unwrap()
    }

    /// A tree with the sums of the host, or with its own.
    fn device(&self, client: &Client, host: &KernelTree, table: &Table, with_sums: bool) -> Tree {
        let leaves = host.leaves();
        let starts = (0..leaves.leaves()).map(|leaf| leaves.slots(leaf).start as u32);
        let bounds: Vec<u32> = starts.chain([leaves.len() as u32]).collect();
        let order: Vec<u32> = (0..leaves.len()).map(|slot| leaves.class_at(slot)).collect();
        let form = host.map().form();
        let map = match &form {
            MapForm::Fourier { frequencies, nu } => {
                MapParts { kind: MapKind::Fourier, frequencies, sharpness: *nu, directions: true }
            }
            MapForm::Positive { frequencies, nu } => {
                MapParts { kind: MapKind::Positive, frequencies, sharpness: *nu, directions: true }
            }
            MapForm::Quadratic { alpha, directions } => {
                MapParts { kind: MapKind::Quadratic, frequencies: &[], sharpness: *alpha, directions: *directions }
            }
        };
        let leaf_law = match host.leaf_law() {
            LeafLaw::Features => LeafKind::Features,
            LeafLaw::Gauss => LeafKind::Kernel,
            LeafLaw::Exact => LeafKind::Exact,
        };
        let parts = TreeParts {
            bounds: &bounds,
            order: &order,
            map,
            leaf_law,
            leaf_sums: if with_sums { host.leaf_sums() } else { &[] },
            prior: host.prior(),
            floor: host.floor(),
            next_rebuild: host.next_rebuild(),
        };
        // Three shards of classes, and as many parts of a refresh; a leaf lies in two of them.
        Tree::in_shards(client, parts, table, self.dim, self.normalized, 60)
    }

    /// Under the leaf law `features` the host keeps numbers of 16 bits.
    fn tolerance(&self) -> f64 {
        let halves = self.rff.as_ref().is_some_and(|rff| rff.leaf_law == LeafLaw::Features);
        if halves { 0.15 } else { 3e-3 }
    }
}

#[test]
fn draws_follow_the_law_of_the_host_without_the_excluded_classes() {
    let Some(client) = client() else { return };
    for case in Case::all() {
        let rows = case.rows();
        let table = Table::in_shards(&client, &rows, case.width(), 50);
        let host = case.host(&rows);
        let tree = case.device(&client, &host, &table, true);
        check_draws(
            &client,
            case.dim,
            case.tolerance(),
            |queries, draws, lists, edges| tree.draw(queries, &table, draws, lists, edges),
            |query| host.at(query, case.classes(&rows)).unwrap().ln_probs(CLASSES),
        );
    }
}

#[test]
fn shared_draws_follow_the_shared_law_of_the_host() {
    const COUNT: usize = 3000;
    let Some(client) = client() else { return };
    for case in &Case::all()[..2] {
        let rows = case.rows();
        let table = Table::in_shards(&client, &rows, case.width(), 50);
        let host = case.host(&rows);
        let tree = case.device(&client, &host, &table, true);
        let on_device = Buffer::upload(&client, &queries(case.dim));
        let shared = tree.draw_shared(&on_device, &table, Draws { seed: 3, step: 1 }, COUNT);
        let ln_q = host.shared_law(&queries(case.dim), case.classes(&rows)).unwrap().ln_probs(CLASSES);
        let mut counts = vec![0.0; CLASSES];
        for (&class, &correction) in shared.ids.download().iter().zip(&shared.corrections.download()) {
            let want = (COUNT as f32).ln() + ln_q[class as usize];
            assert!(f64::from(correction - want).abs() < case.tolerance(), "class {class}: {correction} {want}");
            counts[class as usize] += 1.0;
        }
        check_counts(0, (0..CLASSES).map(|class| (counts[class], COUNT as f64 * f64::from(ln_q[class]).exp())));
    }
}

#[test]
fn after_steps_the_sums_are_those_of_the_new_rows() {
    let Some(client) = client() else { return };
    for (number, case) in Case::all().iter().enumerate() {
        let rows = case.rows();
        let table = Table::in_shards(&client, &rows, case.width(), 50);
        let mut host = case.host(&rows);
        let mut tree = case.device(&client, &host, &table, number % 2 == 0);
        // Draws of all classes, and of far fewer than there is room for.
        let lists = [400, 6].map(|draws| lists_of(&client, draws));
        let queries = Buffer::upload(&client, &queries(case.dim));
        let mut before = rows;
        for step in 0..3 {
            let lists = &lists[step as usize % 2];
            let edges = lists.edges();
            tree.draw(&queries, &table, Draws { seed: 3, step }, lists, &edges);
            let normalized = case.normalized;
            let loss = Loss::of(&queries, &table, normalized, lists, &edges);
            let batch =
                Batch { queries: &queries, dim: case.dim, table: &table, normalized, edges: &edges, loss: &loss };
            let mut touched = Touched::of(batch, Some(tree.places()));
            let one = Buffer::upload(&client, &[1.0]);
            touched.step(&table, &[], Step { rule: Rule::Sgd, rate: 0.5, second: 1.0 }, &one);
            tree.refresh(&table, &touched);

            let after = table.download();
            assert_ne!(after, before);
            let mut ids = touched.download().0;
            ids.sort_unstable();
            let width = case.width();
            let old: Vec<f32> = ids.iter().flat_map(|&id| before[id as usize * width..][..width].to_vec()).collect();
            host.refresh(&ids, &old, case.classes(&after)).unwrap();
            assert_eq!(tree.download(host.map().width()).1, host.next_rebuild());
            let anew = case.device(&client, &host, &Table::in_shards(&client, &after, width, 50), false);
            for (level, (got, want)) in tree.nodes().iter().zip(anew.nodes()).enumerate() {
                let close = |a: &f32, b: &f32| (a - b).abs() < 2e-4 * b.abs().max(1.0);
                assert!(got.0.iter().zip(&want.0).all(|(a, b)| close(a, b)), "case {number}, sums of level {level}");
                assert!(got.1.iter().zip(&want.1).all(|(a, b)| close(a, b)), "case {number}, weights of level {level}");
            }
            before = after;
        }
        // A tree that was stepped and saved is that of the host.
        let stride = host.map().width();
        let (sums, _) = tree.download(stride);
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 2e-4 * b.abs().max(1.0);
        assert_eq!(sums.len(), host.leaf_sums().len());
        assert!(sums.iter().zip(host.leaf_sums()).all(close), "case {number}");
    }
}

#[test]
fn without_a_floor_weights_decide_where_every_estimate_is_zero() {
    let Some(client) = client() else { return };
    // One frequency: products of features are cosines of the difference of two angles, which are often negative.
    let config = RffConfig { features: 1, nu: 8.0, floor: 0.0, leaf_size: Some(1), ..Default::default() };
    let case = Case { dim: 6, normalized: true, bias: true, rff: Some(config), leaf_size: 1 };
    let rows = case.rows();
    let table = Table::in_shards(&client, &rows, case.width(), 50);
    let host = case.host(&rows);
    let tree = case.device(&client, &host, &table, true);
    let (lists, queries) = (lists(&client), Buffer::upload(&client, &queries(case.dim)));
    let edges = lists.edges();
    tree.draw(&queries, &table, Draws { seed: 3, step: 0 }, &lists, &edges);
    assert!(edges.corrections.download().iter().all(|correction| correction.is_finite() && *correction < 1e3));
    assert!(edges.ids.download().iter().all(|&class| (class as usize) < CLASSES));
}
