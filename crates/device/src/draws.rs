//! Draws from laws that no query moves.

use cubecl::client::Client;
use cubecl::prelude::*;

use crate::Buffer;
use crate::buffer::{cube_dim, grid};
use crate::loss::{Candidates, Lists};
use crate::random::{Draws, philox, unit};

/// Draws that may fall on excluded classes before one is given up.
const ATTEMPTS: u32 = 1 << 16;

/// A law over the classes `0..n` by Walker's alias method: every class is drawn in constant time.
#[derive(Clone, Debug)]
pub struct StaticLaw {
    pub(crate) classes: usize,
    /// Where a place gives way to its alias.
    pub(crate) thresholds: Buffer<f32>,
    pub(crate) aliases: Buffer<u32>,
    /// `q` of each class.
    pub(crate) masses: Buffer<f32>,
}

impl StaticLaw {
    /// The law with these probabilities, which sum to one. O(n), on the host.
    pub fn upload(client: &Client, masses: &[f32]) -> Self {
        let (thresholds, aliases) = alias_table(masses);
        Self {
            classes: masses.len(),
            thresholds: Buffer::upload(client, &thresholds),
            aliases: Buffer::upload(client, &aliases),
            masses: Buffer::upload(client, masses),
        }
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> usize {
        12 * self.classes
    }

    /// Draws candidates for every query, without the classes it excludes, with `ln(m q')`, `q' = q / (1 - q(excluded))`.
    pub fn draw(&self, draws: Draws, lists: &Lists, edges: &Candidates) {
        let pairs = lists.batch * lists.draws;
        let [key_0, key_1] = draws.key();
        draw_static::launch(
            self.masses.client(),
            grid(pairs),
            cube_dim(),
            self.thresholds.arg(),
            self.aliases.arg(),
            self.masses.arg(),
            lists.excluded_start.arg(),
            lists.excluded.arg(),
            lists.edge_start.arg(),
            lists.term_start.arg(),
            edges.ids.arg(),
            edges.corrections.arg(),
            lists.batch,
            lists.draws,
            self.classes as u32,
            key_0,
            key_1,
            draws.step as u32,
        );
    }
}

/// Thresholds and aliases (Walker 1977, in the form of Vose 1991).
fn alias_table(masses: &[f32]) -> (Vec<f32>, Vec<u32>) {
    let n = masses.len();
    let mut scaled: Vec<f64> = masses.iter().map(|&mass| f64::from(mass) * n as f64).collect();
    let (mut thresholds, mut aliases) = (vec![1.0f32; n], (0..n as u32).collect::<Vec<_>>());
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| scaled[i] < 1.0);
    while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
        small.pop();
        (thresholds[low], aliases[low]) = (scaled[low] as f32, high as u32);
        scaled[high] -= 1.0 - scaled[low];
        if scaled[high] < 1.0 {
            large.pop();
            small.push(high);
        }
    }
    (thresholds, aliases)
}

/// Whether a query must not draw a class.
#[cube]
pub(crate) fn is_excluded(excluded: &[u32], from: usize, to: usize, class: u32) -> bool {
    let mut found = false;
    for at in from..to {
        if excluded[at] == class {
            found = true;
        }
    }
    found
}

/// Where the candidate `draw` of a query belongs; `u32::MAX` for a query that draws nothing.
#[cube]
pub(crate) fn edge_of(edge_start: &[u32], term_start: &[u32], query: usize, draw: u32) -> u32 {
    let terms = term_start[query + 1] - term_start[query];
    let mut edge = 0xFFFF_FFFFu32;
    if terms > 0u32 {
        edge = edge_start[query] + terms + draw;
    }
    edge
}

#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn draw_static(
    thresholds: &[f32],
    aliases: &[u32],
    masses: &[f32],
    excluded_start: &[u32],
    excluded: &[u32],
    edge_start: &[u32],
    term_start: &[u32],
    ids: &mut [u32],
    corrections: &mut [f32],
    batch: usize,
    draws: usize,
    classes: u32,
    key_0: u32,
    key_1: u32,
    step: u32,
) {
    if ABSOLUTE_POS < batch * draws {
        let query = ABSOLUTE_POS / draws;
        let draw = (ABSOLUTE_POS % draws) as u32;
        let edge = edge_of(edge_start, term_start, query, draw);
        if edge != 0xFFFF_FFFFu32 {
            let from = excluded_start[query] as usize;
            let to = excluded_start[query + 1] as usize;
            let mut kept = 1.0f32;
            for at in from..to {
                kept -= masses[excluded[at] as usize];
            }
            let mut class = 0u32;
            let mut found = false;
            let mut attempt = 0u32;
            while !found && attempt < ATTEMPTS {
                let words = philox(key_0, key_1, step, attempt, query as u32, draw);
                class = words.a.mul_hi(classes);
                if unit(words.b) >= thresholds[class as usize] {
                    class = aliases[class as usize];
                }
                found = !is_excluded(excluded, from, to, class);
                attempt += 1u32;
            }
            ids[edge as usize] = class;
            // A candidate that was not found has no weight.
            let mut correction = 1e30f32;
            if found {
                correction = (f32::cast_from(draws as u32) * masses[class as usize] / kept).ln();
            }
            corrections[edge as usize] = correction;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::LossInput;
    use crate::testing::client;

    #[test]
    fn draws_follow_the_law_without_the_excluded_classes() {
        let Some(client) = client() else { return };
        let masses = [0.05f32, 0.4, 0.02, 0.13, 0.3, 0.1];
        let law = StaticLaw::upload(&client, &masses);
        // Query 1 has no true class and draws nothing.
        let (term_start, term_ids) = ([0, 1, 1, 3], [1, 0, 4]);
        let draws = 20_000;
        let input = LossInput {
            term_start: &term_start,
            term_ids: &term_ids,
            term_weights: &[1.0; 3],
            excluded_start: &term_start,
            excluded: &term_ids,
            draws,
            included: false,
        };
        let lists = Lists::upload(&client, input);
        let drawn = |step| {
            let edges = lists.edges();
            law.draw(Draws { seed: 5 << 40, step }, &lists, &edges);
            (edges.ids.download(), edges.corrections.download())
        };
        let (ids, corrections) = drawn(3);
        assert_eq!(drawn(3).0, ids);
        assert_ne!(drawn(4).0, ids);
        assert_eq!(ids.len(), 2 * draws + 3);
        assert_eq!((ids[0], &ids[draws + 1..][..2]), (1, &[0, 4][..]));
        for (from, left_out) in [(1, &[1usize][..]), (draws + 3, &[0, 4])] {
            let kept = 1.0 - left_out.iter().map(|&class| masses[class]).sum::<f32>();
            let mut counts = [0.0f32; 6];
            for at in from..from + draws {
                let class = ids[at] as usize;
                counts[class] += 1.0;
                let want = (draws as f32 * masses[class] / kept).ln();
                assert!((corrections[at] - want).abs() < 1e-5);
            }
            assert!(left_out.iter().all(|&class| counts[class] == 0.0), "{counts:?}");
            let kept_classes = (0..6).filter(|class| !left_out.contains(class));
            let expected = |class: usize| draws as f32 * masses[class] / kept;
            let chi: f32 = kept_classes.map(|c| (counts[c] - expected(c)).powi(2) / expected(c)).sum();
            // Chi-squared with four degrees of freedom exceeds 18.5 once in a thousand seeds.
            assert!(chi < 18.5, "{chi}: {counts:?}");
        }
    }

    #[test]
    fn the_alias_table_has_the_masses_of_the_law() {
        let masses = [0.05f32, 0.4, 0.02, 0.13, 0.3, 0.1];
        let (thresholds, aliases) = alias_table(&masses);
        let mut got = [0.0f32; 6];
        for (place, (threshold, alias)) in thresholds.iter().zip(aliases).enumerate() {
            got[place] += threshold / 6.0;
            got[alias as usize] += (1.0 - threshold) / 6.0;
        }
        assert!(got.iter().zip(masses).all(|(got, want)| (got - want).abs() < 1e-6), "{got:?}");
    }
}
