//! Chooses the floor of RF-softmax on a trained model: KL(p‖q) and chi-squared of the published proposal (D = 1024,
//! nu = 4) under several floors, over held-out queries of a run of `configs/lm/ptb-full.toml`.
//!
//! `RFS_DATA=… cargo run --release -p rf-lm --example rff_floor -- runs/ptb-full`

use std::path::PathBuf;

use burn::tensor::Device;
use rf_data::Vocabulary;
use rf_lm::{ModelConfig, Settings, trained_queries};
use rf_sampling::{LeafLaw, RffConfig, SamplerConfig, quality};
use rf_softmax::{LossConfig, LossKind};
use rf_training::{OptimizerConfig, RunFolder, TrainConfig};

const QUERIES: usize = 128;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = RunFolder::open(&PathBuf::from(std::env::args().nth(1).ok_or("which run folder?")?))?;
    let settings = Settings {
        seed: 1,
        model: ModelConfig::default(),
        loss: LossConfig { kind: LossKind::Full, ..Default::default() },
        optimizer: OptimizerConfig::default(),
        train: TrainConfig::default(),
    };
    let vocabulary = Vocabulary::load(&folder.vocabulary())?;
    let tokens = vocabulary.encode(&rf_data::data_root().join("ptb/ptb.valid.txt"))?;
    let (head, queries) = trained_queries(&settings, &folder, &vocabulary, &tokens, QUERIES, &Device::flex())?;
    let classes = head.class_rows();
    let mean = |sampler: &rf_sampling::AnySampler| -> Result<(f64, f64), rf_sampling::Error> {
        let mut sum = (0.0, 0.0);
        for query in queries.chunks_exact(head.dim()) {
            let quality = quality(sampler, query, classes)?;
            sum = (sum.0 + quality.kl, sum.1 + quality.chi_squared);
        }
        let count = (queries.len() / head.dim()) as f64;
        Ok((sum.0 / count, sum.1 / count))
    };
    let (kl, chi) = mean(&SamplerConfig::Uniform {}.build(classes, &[], 1)?)?;
    println!("| proposal | KL | chi-squared |\n|---|--:|--:|\n| uniform | {kl:.3} | {chi:.3e} |");
    for (leaf_law, leaf_size) in
        [(LeafLaw::Features, 1), (LeafLaw::Features, 8), (LeafLaw::Gauss, 128), (LeafLaw::Exact, 128)]
    {
        for floor in [0.0, 3.4e-4, 1e-3, 3e-3, 0.01, 0.02, 0.05, 0.1, 0.2] {
            let config = RffConfig { leaf_law, leaf_size: Some(leaf_size), floor, ..Default::default() };
            let (kl, chi) = mean(&SamplerConfig::Rff(config).build(classes, &[], 1)?)?;
            println!("| {leaf_law:?}, leaves of {leaf_size}, floor {floor} | {kl:.3} | {chi:.3e} |");
        }
    }
    Ok(())
}
