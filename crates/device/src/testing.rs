//! A device for the tests.

use cubecl::client::Client;

use crate::loss::{Candidates, Lists, LossInput};
use crate::{Buffer, Draws};

/// The first device of the machine, or none, which is said aloud; where `RFS_EXPECT_DEVICE` is set, none is a failure.
pub(crate) fn client() -> Option<Client> {
    let devices = cubecl::Device::enumerate_all();
    assert!(!devices.is_empty() || std::env::var_os("RFS_EXPECT_DEVICE").is_none(), "no device");
    if devices.is_empty() {
        eprintln!("skipped: no device; install mesa-vulkan-drivers");
    }
    devices.first().map(|device| device.client())
}

/// Numbers that look random, in [-1, 1).
pub(crate) fn numbers(count: usize, salt: u32) -> Vec<f32> {
    let hash = |i: u32| i.wrapping_mul(2_654_435_761).wrapping_add(salt).wrapping_mul(2_246_822_519) >> 8;
    (0..count as u32).map(|i| hash(hash(i)) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// Queries of the batch that [`check_draws`] draws for.
pub(crate) const BATCH: usize = 9;

const DRAWS: usize = 400;

pub(crate) fn queries(dim: usize) -> Vec<f32> {
    numbers(BATCH * dim, 12).iter().map(|x| 3.0 * x).collect()
}

/// Queries with one true class, none, or several; the true classes of some share a leaf.
pub(crate) fn labels() -> (Vec<u32>, Vec<u32>) {
    let lists: [&[u32]; BATCH] = [&[3], &[], &[0, 1, 2, 90], &[156], &[5, 6], &[77], &[], &[150, 151], &[40]];
    let mut start = vec![0];
    lists.iter().for_each(|list| start.push(start[start.len() - 1] + list.len() as u32));
    (start, lists.concat())
}

pub(crate) fn lists(client: &Client) -> Lists {
    lists_of(client, DRAWS)
}

/// The same with another number of draws.
pub(crate) fn lists_of(client: &Client, draws: usize) -> Lists {
    let (start, ids) = labels();
    let input = LossInput {
        term_start: &start,
        term_ids: &ids,
        term_weights: &vec![1.0; ids.len()],
        excluded_start: &start,
        excluded: &ids,
        draws,
        included: false,
    };
    Lists::upload(client, input)
}

/// Draws for the batch, by a function of the queries, the draws, the lists and the edges, follow the law `q(query)` of the host without the
/// excluded classes, repeat with the seed, and know their `ln(m q')` up to `tolerance`.
pub(crate) fn check_draws(
    client: &Client,
    dim: usize,
    tolerance: f64,
    draw: impl Fn(&Buffer<f32>, Draws, &Lists, &Candidates),
    q: impl Fn(&[f32]) -> Vec<f32>,
) {
    let (lists, queries) = (lists(client), queries(dim));
    let on_device = Buffer::upload(client, &queries);
    let drawn = |step| {
        let edges = lists.edges();
        draw(&on_device, Draws { seed: 3, step }, &lists, &edges);
        (edges.ids.download(), edges.corrections.download())
    };
    let first = drawn(0);
    assert_eq!(drawn(0), first);
    let (start, labels) = labels();
    let edge_start = lists.edge_start.download();
    let batches = [first, drawn(1), drawn(2)];
    for query in 0..BATCH {
        let excluded = &labels[start[query] as usize..start[query + 1] as usize];
        if excluded.is_empty() {
            assert_eq!(edge_start[query], edge_start[query + 1]);
            continue;
        }
        let q: Vec<f64> = q(&queries[query * dim..][..dim]).iter().map(|ln| f64::from(*ln).exp()).collect();
        let kept = 1.0 - excluded.iter().map(|&class| q[class as usize]).sum::<f64>();
        let mut counts = vec![0.0f64; q.len()];
        for (ids, corrections) in &batches {
            for at in edge_start[query] as usize + excluded.len()..edge_start[query + 1] as usize {
                let class = ids[at] as usize;
                assert!(!excluded.contains(&ids[at]), "query {query} drew {class}");
                let want = (DRAWS as f64 * q[class] / kept).ln();
                let got = f64::from(corrections[at]);
                assert!((got - want).abs() < tolerance, "query {query}, class {class}: {got} {want}");
                counts[class] += 1.0;
            }
        }
        let kept_classes = (0..q.len()).filter(|class| !excluded.contains(&(*class as u32)));
        let expected = |class: usize| (3 * DRAWS) as f64 * q[class] / kept;
        check_counts(query, kept_classes.map(|class| (counts[class], expected(class))));
    }
}

/// Chi-squared over the cells that are expected five times, and all others together.
pub(crate) fn check_counts(query: usize, cells: impl Iterator<Item = (f64, f64)>) {
    let (mut chi, mut freedom, mut rest) = (0.0, 0, (0.0, 0.0));
    for (count, expected) in cells {
        if expected >= 5.0 {
            chi += (count - expected).powi(2) / expected;
            freedom += 1;
        } else {
            rest = (rest.0 + expected, rest.1 + count);
        }
    }
    chi += (rest.0 - rest.1).powi(2) / rest.0.max(1.0);
    // Mean `freedom`, variance twice that: five deviations, which one query in some tens of thousands exceeds.
    let bound = f64::from(freedom) + 5.0 * f64::from(2 * freedom).sqrt() + 5.0;
    assert!(chi < bound, "query {query}: chi-squared {chi} of {freedom} cells");
}
