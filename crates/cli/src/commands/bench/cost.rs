//! What a part has to move and to compute, from what it did: the model behind `bytes_moved` and `flops`.
//!
//! Numbers have 4 bytes, features of classes and their sums under the leaf law `features` 2, say `b`. A product of `d` numbers takes `2d` operations; a cosine with
//! its sine, and an exponential, count as [`TRANSCENDENTAL`]. Every mass that a walk estimates counts with the reading of
//! its whole sum, `b F` bytes, as if no two queries shared a node and no cache held one, so
//! the bytes of a walk are an upper bound. Small arrays that stay in the caches (points, draws, edges) are left out.
//!
//! | part | bytes moved | operations |
//! |---|---|---|
//! | features, RF-softmax | projection, queries, features: `4 (dD + Bd + 2BD)` | `B D (2d + 30)` |
//! | features, quadratic | queries, features: `4 (Bd + BF)` | `2 B F` |
//! | features, `exp` | table and logits: `4 (nd + Bn)` | `2 B n d` |
//! | walk, trees | `b F` a node mass; a class mass `2 F` (leaf law `features`) or `4 d + 8` | `2 F` a node mass; `2 F` or `2d + 30` a class mass |
//! | walk, clusters | centroid and variances of a node mass `8 d`; a class mass `4 d + 8` | `4d + 30` a node mass; `2d + 30` a class mass |
//! | law of a batch, clusters | of `L` children of the root, the share of each query: written, normalised, added up, read twice, `24 B L`; centroids, variances and means `16 d L` | `B L (8d + 30)` |
//! | walk, `exp` | logits read, masses written and read: `12 B n` | `32 B n` |
//! | walk, exact in blocks | the table once, blocks stay in the caches: `4 n (d + 1)` | `B n (2d + 32)` |
//! | loss, value | rows read and written: `8 d` a row | `2d + 30` a pair |
//! | loss, with gradient | and gradients written: `12 d` a row | `6d + 30` a pair |
//! | loss, shared draws | and logits: written, turned into gradients, read twice: `20` a pair | `6d + 30` a pair |
//! | backward | gradients read, scaled, through the norm: `16 d` a row | `6 d` a row |
//! | rows | copy of the old row, row, two moments, gradient: `36 d` a row | `12 d` a row |
//! | refresh | two rows, and `5 b F` a node: four sums read, one written | the features of two rows a row, `3 F` a node |
//! | dense loss | rows gathered: `8 d` a pair | `2d + 30` a pair |
//! | dense backward | a gradient of every row: `4 n d`, and `8 d` a pair | `4 d` a pair |
//! | dense rows | every row, moment and gradient: `28 n d` | `12 n d` |

use std::collections::BTreeMap;

use rf_sampling::{LeafLaw, SamplerConfig};
use rf_softmax::Sharing;

use super::entrant::Entrant;
use super::grid::Case;
use super::measure::Counts;

/// Operations of a cosine with its sine, and of an exponential.
const TRANSCENDENTAL: f64 = 30.0;

/// Of a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Bytes read and written.
    pub bytes: f64,
    /// Additions and multiplications.
    pub flops: f64,
}

/// Costs by part; parts without a model are left out.
pub type Costs = BTreeMap<&'static str, Cost>;

/// A batch of draws and the value of its loss.
pub fn of_draws(case: &Case, counts: &Counts) -> Costs {
    let [_, _, d] = letters(case);
    let mut costs = drawing(case, counts);
    let loss = Cost { bytes: 8.0 * d * counts.distinct_rows, flops: (2.0 * d + TRANSCENDENTAL) * counts.pairs };
    costs.insert("loss", loss);
    costs
}

/// A training step of a head.
pub fn of_step(case: &Case, counts: &Counts) -> Costs {
    let [_, _, d] = letters(case);
    let Counts { distinct_rows: rows, pairs, nodes_refreshed: nodes, .. } = *counts;
    // Edges of queries that draw for themselves are few; a matrix of shared ones is not.
    let logits = if case.sharing == Sharing::Batch { 20.0 * pairs } else { 0.0 };
    let mut costs = Costs::from([
        ("loss", Cost { bytes: 12.0 * d * rows + logits, flops: (6.0 * d + TRANSCENDENTAL) * pairs }),
        ("backward", Cost { bytes: 16.0 * d * rows, flops: 6.0 * d * rows }),
        ("rows", Cost { bytes: 36.0 * d * rows, flops: 12.0 * d * rows }),
    ]);
    if let Some(width) = case.width().map(|width| width as f64) {
        let number = case.number_bytes() as f64;
        let flops = 2.0 * rows * features_flops(case, width) + 3.0 * width * nodes;
        costs.insert("refresh", Cost { bytes: 8.0 * d * rows + 5.0 * number * width * nodes, flops });
    }
    let drawing = drawing(case, counts);
    if !drawing.is_empty() {
        let sum = |of: fn(&Cost) -> f64| drawing.values().map(of).sum();
        costs.insert("draw", Cost { bytes: sum(|cost| cost.bytes), flops: sum(|cost| cost.flops) });
    }
    costs
}

/// A training step of a dense embedding.
pub fn of_dense(case: &Case, counts: &Counts) -> Costs {
    let ([n, _, d], pairs) = (letters(case), counts.pairs);
    Costs::from([
        ("loss", Cost { bytes: 8.0 * d * pairs, flops: (2.0 * d + TRANSCENDENTAL) * pairs }),
        ("backward", Cost { bytes: 4.0 * n * d + 8.0 * d * pairs, flops: 4.0 * d * pairs }),
        ("rows", Cost { bytes: 28.0 * n * d, flops: 12.0 * n * d }),
    ])
}

fn drawing(case: &Case, counts: &Counts) -> Costs {
    let [n, b, d] = letters(case);
    match &case.entrant {
        Entrant::Sampler(SamplerConfig::Rff(_) | SamplerConfig::Quadratic(_)) => of_tree(case, counts),
        Entrant::Sampler(SamplerConfig::Cluster(_)) => {
            // Centroid and half variances of a node, `2 d`; the row of a class.
            let nodes = Cost { bytes: 8.0 * d, flops: 4.0 * d + TRANSCENDENTAL };
            let classes = Cost { bytes: 4.0 * d + 8.0, flops: 2.0 * d + TRANSCENDENTAL };
            let walk = Cost {
                bytes: nodes.bytes * counts.node_masses + classes.bytes * counts.class_masses,
                flops: nodes.flops * counts.node_masses + classes.flops * counts.class_masses,
            };
            let law = cluster_law(case).map(|law| ("law", law));
            [("walk", walk)].into_iter().chain(law).collect()
        }
        Entrant::Sampler(SamplerConfig::Midx(config)) => {
            let k = config.codewords as f64;
            let buckets = n.min(k * k);
            Costs::from([
                ("features", Cost { bytes: 8.0 * k * d, flops: 4.0 * b * k * d }),
                ("walk", Cost { bytes: 12.0 * b * buckets, flops: b * (2.0 * buckets + 2.0 * TRANSCENDENTAL * k) }),
            ])
        }
        Entrant::Sampler(SamplerConfig::Exp {}) => Costs::from([
            ("features", Cost { bytes: 4.0 * (n * d + b * n), flops: 2.0 * b * n * d }),
            ("walk", Cost { bytes: 12.0 * b * n, flops: (2.0 + TRANSCENDENTAL) * b * n }),
        ]),
        Entrant::ExpBlocks | Entrant::ExpGumbel => {
            let flops = b * n * (2.0 * d + 2.0 + TRANSCENDENTAL);
            Costs::from([("walk", Cost { bytes: 4.0 * n * (d + 1.0), flops })])
        }
        Entrant::Sampler(SamplerConfig::Uniform {} | SamplerConfig::LogUniform {} | SamplerConfig::Unigram(_))
        | Entrant::DenseAdam => Costs::new(),
    }
}

/// The law of a batch, where that shares its draws: the masses of the root's children for every query, and the means of
/// the queries and of their squares that come to each.
fn cluster_law(case: &Case) -> Option<Cost> {
    let ([_, b, d], children) = (letters(case), case.root_children()? as f64);
    let law = Cost { bytes: children * (24.0 * b + 16.0 * d), flops: b * children * (8.0 * d + TRANSCENDENTAL) };
    (case.sharing == Sharing::Batch).then_some(law)
}

fn of_tree(case: &Case, counts: &Counts) -> Costs {
    let ([_, b, d], width) = (letters(case), case.width().unwrap_or(0) as f64);
    let rff = case.entrant.rff();
    let class = match rff.map(|config| config.leaf_law) {
        Some(LeafLaw::Features) => Cost { bytes: 2.0 * width, flops: 2.0 * width },
        Some(LeafLaw::Gauss | LeafLaw::Exact) | None => Cost { bytes: 4.0 * d + 8.0, flops: 2.0 * d + TRANSCENDENTAL },
    };
    let projection = rff.map_or(0.0, |config| d * config.features as f64);
    let features = Cost { bytes: 4.0 * (projection + b * d + b * width), flops: b * features_flops(case, width) };
    let walk = Cost {
        bytes: case.number_bytes() as f64 * width * counts.node_masses + class.bytes * counts.class_masses,
        flops: 2.0 * width * counts.node_masses + class.flops * counts.class_masses,
    };
    Costs::from([("features", features), ("walk", walk)])
}

/// Operations of the feature map of one vector: a product for each frequency, or for each entry of a triangle.
fn features_flops(case: &Case, width: f64) -> f64 {
    let d = case.dim as f64;
    case.features.map_or(2.0 * width, |frequencies| frequencies as f64 * (2.0 * d + TRANSCENDENTAL))
}

/// n, B and d.
fn letters(case: &Case) -> [f64; 3] {
    [case.classes, case.batch, case.dim].map(|size| size as f64)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::grid::Grid;
    use super::*;
    use crate::args::{Args, Command};

    const SIZES: &str = "--classes 1000 --dim 10 --batch 2 --draws 3 --features 5";
    const COUNTS: Counts =
        Counts { distinct_rows: 7.0, pairs: 8.0, node_masses: 20.0, class_masses: 50.0, nodes_refreshed: 9.0 };

    fn case(bench: &str, name: &str) -> Case {
        let line = format!("rfs bench {bench} {SIZES} --samplers {name}");
        let Command::Bench(args) = Args::parse_from(line.split(' ')).command else { panic!("not bench") };
        Grid::new(&args).unwrap().cases.remove(0)
    }

    #[test]
    fn a_walk_reads_a_sum_for_each_node_mass_and_what_the_leaf_law_needs_for_a_class() {
        let published = of_draws(&case("draws", "rff"), &COUNTS);
        assert_eq!(published["walk"], Cost { bytes: 70.0 * 20.0, flops: 70.0 * 20.0 });
        assert_eq!(published["features"], Cost { bytes: 4.0 * (50.0 + 20.0 + 20.0), flops: 10.0 * 50.0 });
        assert_eq!(published["loss"], Cost { bytes: 80.0 * 7.0, flops: 50.0 * 8.0 });
        let gauss = of_draws(&case("draws", "rff-gauss"), &COUNTS);
        assert_eq!(gauss["walk"], Cost { bytes: 20.0 * 40.0 + 50.0 * 48.0, flops: 20.0 * 20.0 + 50.0 * 50.0 });
        // 55 entries of a triangle and a constant, in rows of 64.
        let quadratic = of_draws(&case("draws", "quadratic"), &COUNTS);
        assert_eq!(quadratic["walk"], Cost { bytes: 20.0 * 256.0 + 50.0 * 48.0, flops: 20.0 * 128.0 + 50.0 * 50.0 });
        assert_eq!(of_draws(&case("draws", "uniform"), &COUNTS).keys().collect::<Vec<_>>(), [&"loss"]);
    }

    #[test]
    fn shared_draws_of_clusters_have_a_law_made_for_the_batch_and_a_matrix_of_logits() {
        let leaves = "leaf_size=50";
        let own = of_step(&case("step", &format!("cluster:levels=2,{leaves}")), &COUNTS);
        let walk = Cost { bytes: 80.0 * 20.0 + 48.0 * 50.0, flops: 70.0 * 20.0 + 50.0 * 50.0 };
        assert_eq!((own["draw"], own["loss"].bytes), (walk, 120.0 * 7.0));
        // 20 leaves under the root, or 4 groups of 5.
        for (levels, children) in [(2, 20.0), (3, 4.0)] {
            let name = format!("cluster:levels={levels},{leaves}");
            let shared = of_step(&case("step --sharing batch", &name), &COUNTS);
            let bytes = walk.bytes + children * (24.0 * 2.0 + 16.0 * 10.0);
            assert_eq!(shared["draw"], Cost { bytes, flops: walk.flops + 2.0 * children * 110.0 });
            assert_eq!(shared["loss"], Cost { bytes: 120.0 * 7.0 + 20.0 * 8.0, flops: own["loss"].flops });
        }
    }

    #[test]
    fn a_step_draws_what_a_batch_of_draws_does_and_a_dense_one_moves_every_row() {
        let (draws, step) = (of_draws(&case("draws", "rff"), &COUNTS), of_step(&case("step", "rff"), &COUNTS));
        assert_eq!(step["draw"].bytes, draws["features"].bytes + draws["walk"].bytes);
        assert_eq!(step["refresh"].bytes, 80.0 * 7.0 + 100.0 * 9.0);
        assert_eq!(
            of_step(&case("step", "uniform"), &COUNTS).keys().collect::<Vec<_>>(),
            [&"backward", &"loss", &"rows"]
        );
        assert_eq!(of_dense(&case("step", "dense-adam"), &COUNTS)["rows"].bytes, 28.0 * 1000.0 * 10.0);
    }
}
