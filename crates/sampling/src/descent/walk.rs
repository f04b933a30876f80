//! The walk down: all draws of a query together, the queries of a block side by side, level by level.

use std::ops::Range;

use super::Descent;
use super::kept::Kept;
use crate::draw::{Span, share_out};
use crate::{ClassId, Draw, Error, Work};

/// A query on its way down.
pub(crate) struct Walker<'w, L> {
    law: &'w L,
    kept: Kept,
    points: &'w [f64],
}

impl<'w, L: Descent> Walker<'w, L> {
    /// A walker of the given points, ascending, that leaves the excluded classes out.
    pub fn new(law: &'w L, points: &'w [f64], excluded: &[ClassId]) -> Result<Self, Error> {
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

/// Takes walkers over the same hierarchy down together, level by level: each node is read from memory once for all of
/// them. Returns what each drew, and the work that it took.
pub(crate) fn walk<L: Descent>(walkers: &[Walker<'_, L>]) -> (Vec<Vec<Draw>>, Work) {
    let mut work: Work = walkers.iter().map(|walker| walker.kept.work).sum();
    let mut drawn: Vec<Vec<Draw>> = walkers.iter().map(|walker| Vec::with_capacity(walker.points.len())).collect();
    let Some(Walker { law, .. }) = walkers.first() else { return (drawn, work) };
    let start = |(walker, at): (usize, &Walker<'_, L>)| {
        let points = 0..at.points.len() as u32;
        Visit { walker: walker as u32, node: 0, points, span: Span::WHOLE }
    };
    let mut visits: Vec<Visit> = walkers.iter().enumerate().map(start).collect();
    let mut products = Vec::new();
    let mut children: Vec<Vec<Visit>> = Vec::new();
    for level in (1..=law.height()).rev() {
        let mut below = Vec::with_capacity(2 * visits.len());
        for visits in nodes(level, &visits, walkers) {
            let range = law.children(level, visits[0].node as usize);
            children.resize_with(range.len().max(children.len()), Vec::new);
            share_out_node(level, visits, walkers, &mut products, |visit, child, span, points| {
                let node = (range.start + child) as u32;
                children[child].push(Visit { walker: visit.walker, node, points, span });
            });
            work.count(level, products.len());
            children[..range.len()].iter_mut().for_each(|visits| below.append(visits));
        }
        visits = below;
    }
    for visits in nodes(0, &visits, walkers) {
        let first = law.children(0, visits[0].node as usize).start;
        share_out_node(0, visits, walkers, &mut products, |visit, child, span, points| {
            let class = law.class_at(first + child);
            let draw = Draw { class, count: points.len() as u32, ln_prob: span.mass.ln() as f32 };
            drawn[visit.walker as usize].push(draw);
        });
        work.count(0, products.len());
    }
    (drawn, work)
}

/// The visits of each visited node of a level; while one node is worked on, the next is on its way from memory.
fn nodes<'v, L: Descent>(
    level: usize,
    visits: &'v [Visit],
    walkers: &'v [Walker<'_, L>],
) -> impl Iterator<Item = &'v [Visit]> {
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
fn share_out_node<L: Descent>(
    level: usize,
    visits: &[Visit],
    walkers: &[Walker<'_, L>],
    products: &mut Vec<f32>,
    mut sink: impl FnMut(&Visit, usize, Span, Range<u32>),
) {
    let node = visits[0].node as usize;
    let walker = |visit: &Visit| &walkers[visit.walker as usize];
    let known = |visit: &Visit| walker(visit).kept.find(level, node);
    let unknown: Vec<&L> =
        visits.iter().filter(|visit| known(visit).is_none()).map(|visit| walker(visit).law).collect();
    let count = walker(&visits[0]).law.children(level, node).len();
    products.resize(count * unknown.len(), 0.0);
    if !unknown.is_empty() {
        L::products(&unknown, level, node, products);
    }
    let mut computed = products.chunks_exact_mut(count);
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
