//! The two traits that every proposal obeys.

use std::borrow::Cow;

use rand::distr::Distribution;

use crate::{Block, Classes, Draw, Error, Work};

/// Number of a class, `0..n`.
pub type ClassId = u32;

/// The id that stands for "no class here": a query whose target it is has no part in a loss or a score. No table is long
/// enough to have such a class.
pub const IGNORED: ClassId = ClassId::MAX;

/// A family of proposal laws `q(· | h)` over the classes `0..n`.
///
/// A query is given *as it enters the logits*: the logit of class `i` is `query · c_i + b_i`, so a temperature is part
/// of the query. Laws that work on directions normalise it themselves.
pub trait Sampler: Send + Sync {
    /// The law of one query.
    type Law<'a>: Law
    where
        Self: 'a;

    /// What a block of queries can compute together before each draws alone, for instance feature maps in one matrix
    /// product; empty for laws that need nothing. Row `b` belongs to query `b`.
    ///
    /// # Shapes
    /// - queries: `[B, d]`
    /// - output: `[B, width]` for a width of the sampler's own
    fn features(&self, _queries: &[f32], _classes: Classes<'_>) -> Vec<f32> {
        Vec::new()
    }

    /// Fixes the query, whose row of [`features`](Sampler::features) is given.
    ///
    /// # Errors
    /// [`Error::BadQuery`] if the query is not finite.
    fn law<'a>(
        &'a self,
        query: &'a [f32],
        features: Cow<'a, [f32]>,
        classes: Classes<'a>,
    ) -> Result<Self::Law<'a>, Error>;

    /// Fixes the query `h`, shape `[d]`; from here the law is an ordinary distribution.
    ///
    /// # Errors
    /// [`Error::BadQuery`] if the query is not finite.
    fn at<'a>(&'a self, query: &'a [f32], classes: Classes<'a>) -> Result<Self::Law<'a>, Error> {
        self.law(query, Cow::Owned(self.features(query, classes)), classes)
    }

    /// One law `q̄` for a whole batch, whose draws all its queries share: a proposal of its own with an exact `q̄`. Laws
    /// that no query moves give themselves.
    ///
    /// # Shapes
    /// - queries: `[B, d]`
    ///
    /// # Errors
    /// [`Error::NoSharedLaw`] from a sampler that has none, as it is unless a sampler says otherwise;
    /// [`Error::BadQuery`] if a query is not finite.
    fn shared_law<'a>(&'a self, _queries: &[f32], _classes: Classes<'a>) -> Result<Self::Law<'a>, Error> {
        Err(Error::NoSharedLaw)
    }

    /// Draws for a block of queries, in their order. What each query draws is what its law draws alone; a sampler that
    /// keeps much per node may walk the queries together, to read each node once.
    ///
    /// # Errors
    /// The first error in the order of queries.
    fn draw_block(&self, block: &Block<'_>) -> Result<Vec<Vec<Draw>>, Error> {
        let draw = |task| {
            let (query, features) = block.query(task);
            let mut out = Vec::new();
            self.law(query, Cow::Borrowed(features), block.classes)?.draw_at(&task.points, task.excluded, &mut out)?;
            Ok(out)
        };
        block.tasks.iter().map(draw).collect()
    }

    /// Whether [`refresh`](Sampler::refresh) needs the rows before the step.
    fn reads_before(&self) -> bool {
        false
    }

    /// Takes up new embeddings of the `changed` classes (ascending, distinct), whose rows were `before`. Static laws
    /// keep still.
    ///
    /// # Shapes
    /// - before: `[changed.len(), width]`; anything if [`reads_before`](Sampler::reads_before) says no
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a new row is not finite; the sampler then keeps its old state.
    fn refresh(&mut self, _changed: &[ClassId], _before: &[f32], _classes: Classes<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Bytes that the sampler keeps, the class table not counted.
    fn bytes(&self) -> usize {
        0
    }

    /// What the sampler has done since it was built; zero for laws that keep no count.
    fn work(&self) -> Work {
        Work::default()
    }
}

/// One law `q(· | h)`: draws classes and knows the probability of each.
pub trait Law: Distribution<ClassId> + Sync {
    /// `ln q(class | h)`, in nats; `-inf` for a class that is never drawn.
    fn ln_prob(&self, class: ClassId) -> f32;

    /// `ln q` of all `n` classes. O(n): for tests and measurements.
    fn ln_probs(&self, n: usize) -> Vec<f32> {
        (0..n as ClassId).map(|class| self.ln_prob(class)).collect()
    }

    /// Draws from the law without the `excluded` classes (ascending), `q' = q / (1 - q(excluded))`, at the given
    /// points of its cumulative distribution (ascending, in `[0, 1)`), and appends one [`Draw`] for each distinct class.
    ///
    /// Independent uniform points give independent draws; points with one random offset give systematic ones.
    ///
    /// # Errors
    /// [`Error::NothingLeft`] if the law gives all its probability to excluded classes.
    fn draw_at(&self, points: &[f64], excluded: &[ClassId], out: &mut Vec<Draw>) -> Result<(), Error>;
}
