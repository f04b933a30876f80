//! What burn does by itself: an embedding as a parameter, a dense gradient and a dense Adam.

use std::collections::BTreeSet;

use burn::nn::{Embedding, EmbeddingConfig, Initializer};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::RngExt;
use rf_sampling::{Purpose, Work, stream};
use rf_training::peak_memory_bytes;

use super::grid::Case;
use super::measure::{Counts, Lap, Stopwatch};
use super::row::Row;
use super::step::RATE;
use super::{cost, inputs};

/// Parts of a step; there is no sampler to refresh.
const STEP: [&str; 4] = ["draw", "loss", "backward", "rows"];

/// Times steps over uniform draws, as many as the sampled heads make. Rows are used as they are, without a norm: less
/// work than theirs.
pub fn measure(case: &Case) -> anyhow::Result<Row> {
    let device = Device::flex().autodiff();
    device.seed(case.seed);
    let initializer = Initializer::Normal { mean: 0.0, std: 1.0 / (case.dim as f64).sqrt() };
    let config = EmbeddingConfig::new(case.classes, case.dim).with_initializer(initializer);
    let mut model: Option<Embedding> = Some(config.init(&device));
    let mut optim = AdamConfig::new().init();
    let laps = case.pace.run(|number| {
        let (h, targets) = inputs::batch(case, number, &device);
        let h = h.require_grad().unsqueeze_dim::<3>(2);
        // An optimizer takes the model and gives back the next.
        let current = model.take().expect("every step gives a model back");

        let mut watch = Stopwatch::start();
        let ids = draw(case, number, &targets);
        let drawn = TensorData::new(ids.clone(), [case.batch, case.draws + 1]);
        let drawn = Tensor::<2, Int>::from_data(drawn, &device);
        watch.lap("draw");
        let logits = current.forward(drawn).matmul(h).squeeze_dim::<2>(2);
        let loss = log_softmax(logits, 1).narrow(1, 0, 1).mean().neg();
        watch.lap("loss");
        let grads = GradientsParams::from_grads(loss.backward(), &current);
        watch.lap("backward");
        model = Some(optim.step(RATE, current, grads));
        watch.lap("rows");

        let (pairs, distinct) = (ids.len(), ids.iter().collect::<BTreeSet<_>>().len());
        Ok(Lap { parts: watch.parts(), counts: Counts::new(distinct, pairs, Work::default()) })
    })?;
    let table = 4 * (case.classes * case.dim) as u64;
    let mut row = Row::new(case, &laps, &STEP, 0);
    row.set_memory(3 * table, peak_memory_bytes());
    row.set_costs(cost::of_dense(case, &laps.counts()), &STEP);
    Ok(row)
}

/// The target of each query and its draws, `[B, m + 1]`.
fn draw(case: &Case, number: u64, targets: &[u32]) -> Vec<i64> {
    let mut rng = stream(case.seed, Purpose::Draws, number, 0);
    let mut query = |&target: &u32| {
        let draws = (0..case.draws).map(|_| rng.random_range(0..case.classes as i64));
        [i64::from(target)].into_iter().chain(draws).collect::<Vec<_>>()
    };
    targets.iter().flat_map(&mut query).collect()
}
