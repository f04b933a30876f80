//! The draws of a batch, and the loss evaluated on them.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use burn::tensor::Device;
use rf_sampling::{BatchRequest, Block, Classes, Draw, Error, Points, Sampler, Work, draw_batch};
use rf_softmax::{Candidates, RowOptimizer, SampledSoftmaxLoss, to_vec};

use super::entrant::Entrant;
use super::exact::{Choice, ExactInBlocks};
use super::grid::Case;
use super::measure::{Counts, Lap, Laps, milliseconds};
use super::row::Row;
use super::{cost, inputs};

/// What `milliseconds` of a row adds up: feature map, walk and `ln q`. The evaluation of the loss comes on top.
const DRAWS: [&str; 2] = ["features", "walk"];

/// All that one evaluation of a sampled loss takes.
const EVALUATION: [&str; 3] = ["features", "walk", "loss"];

/// Times batches of draws of one sampler over one table, each with queries that it has not seen.
pub fn measure(case: &Case) -> anyhow::Result<Row> {
    let head = case.head(RowOptimizer::Sgd, &Device::flex())?;
    let (laps, bytes) = match case.entrant {
        Entrant::ExpBlocks => repeat(case, &head, &ExactInBlocks::new(head.class_rows(), Choice::Inverse))?,
        Entrant::ExpGumbel => repeat(case, &head, &ExactInBlocks::new(head.class_rows(), Choice::Gumbel))?,
        Entrant::Sampler(_) | Entrant::DenseAdam => repeat(case, &head, head.sampler())?,
    };
    let mut row = Row::new(case, &laps, &DRAWS, bytes);
    row.evaluation_milliseconds = Some(laps.times(&EVALUATION).median);
    row.set_costs(cost::of_draws(case, &laps.counts()), &DRAWS);
    Ok(row)
}

fn repeat<S: Sampler>(case: &Case, head: &SampledSoftmaxLoss, sampler: &S) -> anyhow::Result<(Laps, usize)> {
    let laps = case.pace.run(|number| once(case, head, sampler, number))?;
    Ok((laps, sampler.bytes()))
}

fn once<S: Sampler>(case: &Case, head: &SampledSoftmaxLoss, sampler: &S, number: u64) -> anyhow::Result<Lap> {
    let (h, targets) = inputs::batch(case, number, head.device());
    let queries = to_vec(head.logit_queries(h.clone())?);
    let (draws, points) = (case.draws, Points::Independent);
    let request = BatchRequest { queries: &queries, draws, points, seed: case.seed, step: number };
    let (timed, before) = (Timed::new(sampler), sampler.work());

    let began = Instant::now();
    let drawn = draw_batch(&timed, head.class_rows(), request, |query| Some(&targets[query..=query]))?;
    let drawing = milliseconds(began.elapsed());
    let pairs = case.batch + drawn.iter().map(Vec::len).sum::<usize>();
    let began = Instant::now();
    let output = head.forward_with(h, &targets, Candidates::from_draws(&drawn, draws))?;
    let loss = milliseconds(began.elapsed());

    let features = drawing * timed.share_of_features();
    let parts = vec![("features", features), ("walk", drawing - features), ("loss", loss)];
    Ok(Lap { parts, counts: Counts::new(output.classes.len(), pairs, sampler.work() - before) })
}

/// A sampler that notes how its time is shared between features and draws, on whichever threads they are computed.
struct Timed<'s, S> {
    sampler: &'s S,
    features_nanoseconds: AtomicU64,
    walk_nanoseconds: AtomicU64,
}

impl<'s, S: Sampler> Timed<'s, S> {
    fn new(sampler: &'s S) -> Self {
        Self { sampler, features_nanoseconds: AtomicU64::new(0), walk_nanoseconds: AtomicU64::new(0) }
    }

    fn share_of_features(&self) -> f64 {
        let seconds = |nanoseconds: &AtomicU64| nanoseconds.load(Ordering::Relaxed) as f64;
        let (features, walk) = (seconds(&self.features_nanoseconds), seconds(&self.walk_nanoseconds));
        if features > 0.0 { features / (features + walk) } else { 0.0 }
    }
}

fn timed<T>(total: &AtomicU64, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    total.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
    result
}

impl<S: Sampler> Sampler for Timed<'_, S> {
    type Law<'a>
        = S::Law<'a>
    where
        Self: 'a;

    fn features(&self, queries: &[f32], classes: Classes<'_>) -> Vec<f32> {
        timed(&self.features_nanoseconds, || self.sampler.features(queries, classes))
    }

    fn law<'a>(
        &'a self,
        query: &'a [f32],
        features: Cow<'a, [f32]>,
        classes: Classes<'a>,
    ) -> Result<Self::Law<'a>, Error> {
        self.sampler.law(query, features, classes)
    }

    fn draw_block(&self, block: &Block<'_>) -> Result<Vec<Vec<Draw>>, Error> {
        timed(&self.walk_nanoseconds, || self.sampler.draw_block(block))
    }

    fn work(&self) -> Work {
        self.sampler.work()
    }
}
