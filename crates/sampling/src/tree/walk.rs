//! The walk down the tree: all draws of a query together, the queries of a block side by side, level by level.

use std::borrow::Cow;
use std::ops::Range;

use rand::Rng;
use rand::distr::Distribution;

use super::KernelTree;
use super::kept::Kept;
use super::levels::FAN_OUT;
use crate::draw::{Span, sample_one, share_out};
use crate::{ClassId, Classes, Draw, Error, Law, Work};

/// The RF-softmax law of one query.
#[derive(Clone, Debug)]
pub struct KernelLaw<'a> {
    pub(super) tree: &'a KernelTree,
    pub(super) query: &'a [f32],
    /// `1 / |query|`.
    pub(super) query_norm: f32,
    /// `phi(query / |query|)`.
    pub(super) features: Cow<'a, [f32]>,
    pub(super) classes: Classes<'a>,
}

impl Distribution<ClassId> for KernelLaw<'_> {
    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> ClassId {
        sample_one(self, rng)
    }
}

impl Law for KernelLaw<'_> {
    fn ln_prob(&self, class: ClassId) -> f32 {
        let levels = &self.tree.levels;
        // The child on the path below each level, from the class itself up.
        let mut path = vec![class as usize];
        path.extend((0..levels.height()).scan(class as usize, |child, level| {
            *child = levels.parent(level, *child);
            Some(*child)
        }));
        let (mut mass, mut masses) = (1.0, Vec::with_capacity(self.tree.leaf_size));
        for (level, child) in path.into_iter().enumerate().rev() {
            let node = levels.parent(level, child);
            let total = self.masses(level, node, &mut masses);
            mass *= f64::from(masses[child - levels.children(level, node).start]) / total;
        }
        mass.ln() as f32
    }

    fn ln_probs(&self, _: usize) -> Vec<f32> {
        let (mut probabilities, mut masses) = (vec![1.0], Vec::new());
        for level in (0..=self.tree.levels.height()).rev() {
            let mut below = Vec::new();
            for (node, probability) in probabilities.into_iter().enumerate() {
                let total = self.masses(level, node, &mut masses);
                below.extend(masses.iter().map(|&mass| probability * (f64::from(mass) / total)));
            }
            probabilities = below;
        }
        probabilities.into_iter().map(|probability: f64| probability.ln() as f32).collect()
    }

    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error> {
        let walkers = [Walker::new(self, points, excluded)?];
        let [drawn] = walk(self.tree, &walkers).try_into().expect("as many lists as walkers");
        out.extend(drawn);
        Ok(())
    }
}

/// A query on its way down the tree.
pub(super) struct Walker<'w, 'a> {
    law: &'w KernelLaw<'a>,
    kept: Kept,
    points: &'w [f64],
}

impl<'w, 'a> Walker<'w, 'a> {
    pub(super) fn new(law: &'w KernelLaw<'a>, points: &'w [f64], excluded: &[ClassId]) -> Result<Self, Error> {
        Ok(Self { law, kept: Kept::new(law, excluded).ok_or(Error::NothingLeft)?, points })
    }
}

/// A walker at a node, with the points that fall on it.
#[derive(Clone)]
struct Visit {
    walker: u32,
    node: u32,
    points: Range<u32>,
    span: Span,
}

/// Takes walkers over the same tree down together, level by level: each node is read from memory once for all of them.
/// Returns what each drew.
pub(super) fn walk(tree: &KernelTree, walkers: &[Walker<'_, '_>]) -> Vec<Vec<Draw>> {
    let start = |(walker, at): (usize, &Walker<'_, '_>)| {
        let points = 0..at.points.len() as u32;
        Visit { walker: walker as u32, node: 0, points, span: Span::WHOLE }
    };
    let mut visits: Vec<Visit> = walkers.iter().enumerate().map(start).collect();
    let mut work: Work = walkers.iter().map(|walker| walker.kept.work).sum();
    let mut products = Vec::new();
    for level in (1..=tree.levels.height()).rev() {
        let mut below = Vec::with_capacity(2 * visits.len());
        let mut children: [Vec<Visit>; FAN_OUT] = Default::default();
        for visits in nodes(level, &visits, walkers) {
            share_out_node(level, visits, walkers, &mut products, |visit, child, span, points| {
                let node = visit.node * FAN_OUT as u32 + child as u32;
                children[child].push(Visit { walker: visit.walker, node, points, span });
            });
            work.count(level, products.len());
            children.iter_mut().for_each(|visits| below.append(visits));
        }
        visits = below;
    }
    let mut drawn: Vec<Vec<Draw>> = walkers.iter().map(|walker| Vec::with_capacity(walker.points.len())).collect();
    for visits in nodes(0, &visits, walkers) {
        share_out_node(0, visits, walkers, &mut products, |visit, child, span, points| {
            let class = visit.node * tree.leaf_size as ClassId + child as ClassId;
            let draw = Draw { class, count: points.len() as u32, ln_prob: span.mass.ln() as f32 };
            drawn[visit.walker as usize].push(draw);
        });
        work.count(0, products.len());
    }
    tree.work.add(work);
    drawn
}

/// The visits of each visited node of a level; while one node is worked on, the next is on its way from memory.
fn nodes<'v>(level: usize, visits: &'v [Visit], walkers: &'v [Walker<'_, '_>]) -> impl Iterator<Item = &'v [Visit]> {
    let mut nodes = visits.chunk_by(|a, b| a.node == b.node).peekable();
    std::iter::from_fn(move || {
        let visits = nodes.next()?;
        if let Some([next, ..]) = nodes.peek() {
            walkers[next.walker as usize].law.prefetch(level, next.node as usize);
        }
        Some(visits)
    })
}

/// Shares the points of all visits of a node out among its children. `products` is room for, and afterwards holds, the
/// masses that were computed: those of walkers that keep them are known.
fn share_out_node<'w>(
    level: usize,
    visits: &[Visit],
    walkers: &'w [Walker<'w, '_>],
    products: &mut Vec<f32>,
    mut sink: impl FnMut(&Visit, usize, Span, Range<u32>),
) {
    let node = visits[0].node as usize;
    let walker = |visit: &Visit| &walkers[visit.walker as usize];
    let known = |visit: &Visit| walker(visit).kept.find(level, node);
    let unknown = visits.iter().filter(|visit| known(visit).is_none());
    let operands: Vec<&[f32]> = unknown.map(|visit| walker(visit).law.operand(level)).collect();
    let children = walker(&visits[0]).law.children(level, node);
    products.resize(children.count() * operands.len(), 0.0);
    children.products(&operands, products);
    let mut computed = products.chunks_exact_mut(children.count());
    for visit in visits {
        let Walker { law, points, .. } = walker(visit);
        let Range { start, end } = visit.points;
        let points = &points[start as usize..end as usize];
        let sink = |child, span, taken: Range<usize>| {
            sink(visit, child, span, start + taken.start as u32..start + taken.end as u32);
        };
        if let Some(masses) = known(visit) {
            share_out(masses, masses.iter().sum(), visit.span, points, sink);
            continue;
        }
        let masses = computed.next().expect("one row of products for each walker that knows no masses");
        let total = law.weigh(level, node, masses);
        share_out(masses, total, visit.span, points, sink);
    }
}
