//! Time of a training step on real and on generated points, beside burn's dense embeddings and Adam.
//!
//! `RFS_DATA=… cargo run --release -p rf-xmc --example step_time`: acl-authors (108,752 labels) and a generated set of
//! 25,000 labels with as many features, labels and non-zeros a point; batch 256, d = 128, RF-softmax with D = 128 and
//! 1,024 draws that the batch shares. Each is timed three times, in turn.

use std::time::Instant;

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::RngExt;
use rf_data::{Values, XcBatches, XcConfig, XcDataConfig, XcSet, XcSyntheticConfig, data_root};
use rf_sampling::{Purpose, stream};
use rf_softmax::{LossConfig, RffConfig, SamplerConfig, Sharing};
use rf_training::{OptimizerConfig, RunFolder, Stop, TrainConfig};
use rf_xmc::{ModelConfig, Settings, train};

const BATCH: usize = 256;
const DIM: usize = 128;
const DRAWS: usize = 1024;
const STEPS: u64 = 300;
/// Dense steps are slow, and all alike.
const DENSE_STEPS: u64 = 10;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let path = "acl-authors/train.txt.gz";
    if !data_root().join(path).exists() {
        eprintln!("skipped: there is no {path} in {}", data_root().display());
        return Ok(());
    }
    let acl = XcConfig { values: Values::TfIdf, ..XcConfig::new(path, path) };
    let acl = XcSet { test: None, ..XcDataConfig::Xc(acl).load(&data_root(), 1)? };
    let synthetic = synthetic_like(&acl).load(&data_root(), 1)?;
    for (name, set) in [("acl-authors", &acl), ("generated", &synthetic)] {
        let points = set.train.len() as f64;
        let (nonzeros, labels) = (set.train.features.nonzeros() as f64, set.train.labels.total() as f64);
        println!(
            "{name}: {} labels, {} features; a point has {:.1} features and {:.2} labels",
            set.labels,
            set.features,
            nonzeros / points,
            labels / points
        );
    }
    for _ in 0..3 {
        for (name, set) in [("acl-authors", &acl), ("generated", &synthetic)] {
            let (milliseconds, rows) = sparse(set)?;
            println!("{name}: {milliseconds:.2} ms a step, {rows:.0} distinct label rows");
        }
        println!("acl-authors, burn dense: {:.1} ms a step", dense(&acl)?);
    }
    Ok(())
}

/// 25,000 labels, and else what `set` has.
fn synthetic_like(set: &XcSet) -> XcDataConfig {
    let points = set.train.len() as f64;
    XcDataConfig::Synthetic(XcSyntheticConfig {
        labels: 25_000,
        inclusion: vec![1.0, 0.9, 0.8, 0.6, 0.29],
        skew: 0.3,
        features: set.features,
        features_per_point: set.train.features.nonzeros() as f64 / points,
        train_points: set.train.len(),
        valid_points: 1,
        test_points: 1,
        ..Default::default()
    })
}

/// Milliseconds and distinct label rows of a training step.
fn sparse(set: &XcSet) -> Outcome<(f64, f64)> {
    let rff = RffConfig { features: 128, nu: 2.0, prior: 0.75, ..Default::default() };
    let settings = Settings {
        seed: 1,
        model: ModelConfig { dim: DIM, ..Default::default() },
        loss: LossConfig {
            draws: DRAWS,
            sharing: Sharing::Batch,
            sampler: SamplerConfig::Rff(rff),
            ..Default::default()
        },
        optimizer: OptimizerConfig { learning_rate: 0.005, ..Default::default() },
        train: TrainConfig { steps: Some(STEPS), batch_size: Some(BATCH), ..Default::default() },
    };
    let place = tempfile::tempdir()?;
    let folder = RunFolder::create(&place.path().join("run"), false)?;
    let set = XcSet { valid: None, test: None, ..set.clone() };
    let summary = train(&settings, &set, Default::default(), &folder, &Device::flex(), false, &Stop::default())?;
    let rows = summary.extra["distinct_rows"].as_f64().unwrap_or_default();
    Ok((1e3 * summary.train_seconds / STEPS as f64, rows))
}

/// Both tables as burn has them.
#[derive(Module, Debug)]
struct Dense {
    features: Embedding,
    labels: Embedding,
}

/// Milliseconds of a step of burn's embeddings with dense gradients and dense Adam: the same points, one label each, and as
/// many candidates, drawn uniformly.
fn dense(set: &XcSet) -> Outcome<f64> {
    let device = Device::flex().autodiff();
    let table = |rows| EmbeddingConfig::new(rows, DIM).init(&device);
    let mut model = Dense { features: table(set.features), labels: table(set.labels) };
    let mut optimizer = AdamConfig::new().init();
    let mut batches = XcBatches::new(&set.train, BATCH, 1)?;
    let began = Instant::now();
    for step in 0..DENSE_STEPS {
        let points = batches.batch(step);
        let rows = points.iter().map(|&point| set.train.features.row(point as usize));
        // A bag as one matrix product: padded to the longest point, as an embedding needs it.
        let longest = rows.clone().map(|row| row.0.len()).max().unwrap_or_default();
        let (mut ids, mut values) = (vec![0i64; BATCH * longest], vec![0.0f32; BATCH * longest]);
        for (point, row) in rows.enumerate() {
            for (at, (&id, &value)) in row.0.iter().zip(row.1).enumerate() {
                (ids[point * longest + at], values[point * longest + at]) = (i64::from(id), value);
            }
        }
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [BATCH, longest]), &device);
        let values = Tensor::<3>::from_data(TensorData::new(values, [BATCH, 1, longest]), &device);
        let h = values.matmul(model.features.forward(ids)).squeeze_dim::<2>(1);
        let mut rng = stream(1, Purpose::Draws, step, 0);
        let own = points.iter().map(|&point| i64::from(set.train.labels.row(point as usize)[0]));
        let candidates: Vec<i64> = own.chain((0..DRAWS).map(|_| rng.random_range(0..set.labels as i64))).collect();
        let count = candidates.len();
        let candidates = Tensor::<2, Int>::from_data(TensorData::new(candidates, [1, count]), &device);
        let logits = h.matmul(model.labels.forward(candidates).squeeze_dim::<2>(0).transpose());
        let own = Tensor::<2>::eye(BATCH, &device);
        let loss = (log_softmax(logits, 1).narrow(1, 0, BATCH) * own).sum().neg() / BATCH as f64;
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.005, model, gradients);
    }
    Ok(1e3 * began.elapsed().as_secs_f64() / DENSE_STEPS as f64)
}
