//! A whole training step of the head.

use std::time::Instant;

use burn::tensor::Device;
use rf_sampling::{ClassId, Sampler, Work};
use rf_softmax::{HeadGradients, RowGradients, RowOptimizer, SampledSoftmaxLoss, to_vec};
use rf_training::peak_memory_bytes;

use super::grid::Case;
use super::measure::{Counts, Lap, Stopwatch};
use super::row::Row;
use super::{cost, inputs};

/// What `milliseconds` of a row adds up: everything.
pub const STEP: [&str; 5] = ["draw", "loss", "backward", "rows", "refresh"];

/// Learning rate: it moves the rows, and changes nothing in the time.
pub const RATE: f64 = 0.01;

/// Steps that wait for a card together.
const IN_FLIGHT: u64 = 8;

/// Rows that are touched together before the clock starts.
const TOUCHED_TOGETHER: usize = 1 << 16;

/// Times training steps of a head with lazy Adam, each with queries and targets of its own.
pub fn measure(case: &Case, device: &Device) -> anyhow::Result<Row> {
    let mut head = case.head(RowOptimizer::LazyAdam, &device.clone().autodiff())?;
    let on_host = head.is_on_host();
    if on_host {
        touch_all(&mut head)?;
    }
    let once: fn(&Case, &mut SampledSoftmaxLoss, u64) -> _ = if on_host { once } else { once_on_card };
    let laps = case.pace.run(|number| once(case, &mut head, number))?;
    let mut row = Row::new(case, &laps, &STEP, head.sampler_bytes());
    if !on_host {
        row.milliseconds_in_flight = Some(in_flight(case, &mut head)?);
    }
    row.set_memory(head.bytes() as u64, peak_memory_bytes());
    row.set_costs(cost::of_step(case, &laps.counts()), &STEP);
    Ok(row)
}

/// Steps every row once with a gradient of zero, which changes none: the system hands out memory at the first write, and
/// a step in the middle of a training run no longer pays for that.
fn touch_all(head: &mut SampledSoftmaxLoss) -> anyhow::Result<()> {
    let (n, width) = (head.classes(), head.width());
    for first in (0..n).step_by(TOUCHED_TOGETHER) {
        let ids: Vec<ClassId> = (first..n.min(first + TOUCHED_TOGETHER)).map(|id| id as ClassId).collect();
        let values = vec![0.0; ids.len() * width];
        head.step_rows(RATE, &HeadGradients::new(RowGradients { ids, values }, None))?;
    }
    Ok(())
}

fn once(case: &Case, head: &mut SampledSoftmaxLoss, number: u64) -> anyhow::Result<Lap> {
    let (h, targets) = inputs::batch(case, number, head.device());
    let (h, before) = (h.require_grad(), head.sampler().work());

    let mut watch = Stopwatch::start();
    let queries = to_vec(head.logit_queries(h.clone())?);
    let candidates = head.draw(&queries, &targets)?;
    watch.lap("draw");
    let pairs = (0..case.batch).map(|query| 1 + candidates.of(query).count()).sum();
    watch.skip();
    let output = head.forward_with(h, &targets, candidates)?;
    watch.lap("loss");
    let mut grads = output.loss.backward();
    let gradients = head.gradient(&output, &mut grads);
    watch.lap("backward");
    let rows_before = head.step_rows(RATE, &gradients)?;
    watch.lap("rows");
    head.refresh(&output.classes, &rows_before)?;
    watch.lap("refresh");

    Ok(Lap { parts: watch.parts(), counts: Counts::new(output.distinct(), pairs, head.sampler().work() - before) })
}

/// The same on a graphics card: draws are part of the loss, and every part waits for the card.
fn once_on_card(case: &Case, head: &mut SampledSoftmaxLoss, number: u64) -> anyhow::Result<Lap> {
    let (h, targets) = inputs::batch(case, number, head.device());
    let h = h.require_grad();
    let device = head.device().clone();
    device.sync()?;

    let mut watch = Stopwatch::start();
    let output = head.forward_ids(h, &targets)?;
    device.sync()?;
    watch.lap("loss");
    let mut grads = output.loss.backward();
    let gradients = head.gradient(&output, &mut grads);
    device.sync()?;
    watch.lap("backward");
    head.step_rows(RATE, &gradients)?;
    device.sync()?;
    watch.lap("rows");
    head.refresh(&[], &[])?;
    device.sync()?;
    watch.lap("refresh");

    // Queries that share their draws are compared with all of them too.
    let pairs = case.batch * (1 + case.draws);
    Ok(Lap { parts: watch.parts(), counts: Counts::new(output.distinct(), pairs, Work::default()) })
}

/// Milliseconds of a step where several are handed to the card one behind the other, as in training.
fn in_flight(case: &Case, head: &mut SampledSoftmaxLoss) -> anyhow::Result<f64> {
    let device = head.device().clone();
    let batches: Vec<_> = (0..IN_FLIGHT).map(|number| inputs::batch(case, number, &device)).collect();
    device.sync()?;
    let began = Instant::now();
    for (h, targets) in batches {
        let output = head.forward_ids(h.require_grad(), &targets)?;
        let gradients = head.gradient(&output, &mut output.loss.backward());
        head.step_rows(RATE, &gradients)?;
        head.refresh(&[], &[])?;
    }
    device.sync()?;
    Ok(began.elapsed().as_secs_f64() * 1e3 / IN_FLIGHT as f64)
}
