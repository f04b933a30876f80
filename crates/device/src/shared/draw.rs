//! Shared draws from laws that no query moves.

use cubecl::prelude::*;

use super::SharedCandidates;
use crate::Buffer;
use crate::buffer::{cube_dim, grid};
use crate::draws::StaticLaw;
use crate::loss::{Candidates, Lists};
use crate::random::{Draws, philox, unit};

/// Place of the random numbers of a batch that shares its draws. No query has it.
pub(crate) const BATCH_PLACE: u32 = 0xFFFF_FFFF;

impl StaticLaw {
    /// Draws `count` candidates for a whole batch, with `ln(M q)`. Nothing is excluded: every query leaves out its own classes when it is
    /// scored.
    pub fn draw_shared(&self, draws: Draws, count: usize) -> SharedCandidates {
        let client = self.masses.client();
        let drawn = SharedCandidates::empty(client, count);
        let [key_0, key_1] = draws.key();
        draw_static::launch(
            client,
            grid(count),
            cube_dim(),
            self.thresholds.arg(),
            self.aliases.arg(),
            self.masses.arg(),
            drawn.ids.arg(),
            drawn.corrections.arg(),
            count,
            self.classes as u32,
            key_0,
            key_1,
            draws.step as u32,
        );
        drawn
    }

    /// Corrects the true classes too, with `ln(M q)` of `M` shared draws: edges of lists without draws of their own.
    pub fn correct_terms(&self, lists: &Lists, edges: &mut Candidates, count: usize) {
        let client = self.masses.client();
        let corrections = Buffer::<f32>::empty(client, lists.edges);
        ln_expected::launch(
            client,
            grid(lists.edges),
            cube_dim(),
            self.masses.arg(),
            edges.ids.arg(),
            corrections.arg(),
            lists.edges,
            count as f32,
        );
        edges.corrections = corrections;
    }
}

/// One candidate a unit.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn draw_static(
    thresholds: &[f32],
    aliases: &[u32],
    masses: &[f32],
    ids: &mut [u32],
    corrections: &mut [f32],
    count: usize,
    classes: u32,
    key_0: u32,
    key_1: u32,
    step: u32,
) {
    if ABSOLUTE_POS < count {
        let words = philox(key_0, key_1, step, 0u32, BATCH_PLACE, ABSOLUTE_POS as u32);
        let mut class = words.a.mul_hi(classes);
        if unit(words.b) >= thresholds[class as usize] {
            class = aliases[class as usize];
        }
        ids[ABSOLUTE_POS] = class;
        corrections[ABSOLUTE_POS] = (f32::cast_from(count as u32) * masses[class as usize]).ln();
    }
}

#[cube(launch)]
fn ln_expected(masses: &[f32], ids: &[u32], corrections: &mut [f32], edges: usize, count: f32) {
    if ABSOLUTE_POS < edges {
        corrections[ABSOLUTE_POS] = (count * masses[ids[ABSOLUTE_POS] as usize]).ln();
    }
}
