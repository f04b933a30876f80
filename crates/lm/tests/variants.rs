//! Every choice of model, loss and optimizer trains, and beats the frequencies of words.

use burn::tensor::Device;
use rf_data::{Corpus, DataConfig, SyntheticConfig};
use rf_lm::{Error, ModelConfig, Settings, train};
use rf_softmax::{
    Estimator, LeafLaw, LossConfig, LossKind, QuadraticConfig, RffConfig, RowOptimizer, SamplerConfig, Sharing,
    UnigramConfig,
};
use rf_training::{
    Cosine, OptimizerConfig, OptimizerKind, Plateau, RunFolder, ScheduleConfig, Score, Stop, Summary, TrainConfig,
};

/// A language of some 80 words.
fn corpus() -> Corpus {
    let text = SyntheticConfig {
        topics: 4,
        choices: vec![6, 12, 20],
        train_tokens: 20_000,
        valid_tokens: 1_000,
        test_tokens: 1_000,
        ..Default::default()
    };
    DataConfig::Synthetic(text).load(&rf_data::data_root(), 1).unwrap()
}

fn settings() -> Settings {
    Settings {
        seed: 1,
        model: ModelConfig { embedding: 24, hidden: 24, ..Default::default() },
        loss: LossConfig {
            draws: 10,
            sampler: SamplerConfig::Rff(RffConfig { features: 32, leaf_size: Some(8), ..Default::default() }),
            ..Default::default()
        },
        optimizer: OptimizerConfig { learning_rate: 0.01, clip_norm: Some(5.0), ..Default::default() },
        train: TrainConfig { steps: Some(300), batch_size: Some(8), bptt: Some(16), ..Default::default() },
    }
}

fn run(settings: &Settings, corpus: &Corpus) -> Result<Summary, Error> {
    let place = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&place.path().join("run"), false).unwrap();
    train(settings, corpus, &folder, &Device::flex(), false, &Stop::default())
}

fn perplexity(summary: &Summary) -> f64 {
    match summary.test {
        Some(Score::Value(perplexity)) => perplexity,
        _ => panic!("a language model has one score"),
    }
}

type Change = fn(&mut Settings);

#[test]
fn every_variant_learns() {
    let variants: Vec<(&str, Change)> = vec![
        ("as published", |_| {}),
        ("tied", |s| s.model.tied = true),
        ("tied with bias", |s| (s.model.tied, s.loss.bias) = (true, true)),
        ("two layers", |s| s.model.layers = 2),
        ("a projection", |s| s.model.projection = Some(16)),
        ("no dropout", |s| s.model.dropout = 0.0),
        ("variational dropout", |s| (s.model.dropout, s.model.variational, s.model.layers) = (0.2, true, 2)),
        ("recurrent and word dropout", |s| (s.model.recurrent_dropout, s.model.word_dropout) = (0.2, 0.1)),
        ("tied, word dropout", |s| (s.model.tied, s.model.word_dropout) = (true, 0.1)),
        ("cosine after a warm-up", |s| schedule(s, ScheduleConfig::Cosine(Cosine { final_fraction: 0.1 }))),
        ("plateau after a warm-up", |s| schedule(s, ScheduleConfig::Plateau(Plateau::default()))),
        ("weight decay", |s| s.optimizer.weight_decay = 1e-5),
        ("full", |s| s.loss.kind = LossKind::Full),
        ("uniform", |s| s.loss.sampler = SamplerConfig::Uniform {}),
        ("exp", |s| s.loss.sampler = SamplerConfig::Exp {}),
        ("log-uniform", |s| s.loss.sampler = SamplerConfig::LogUniform {}),
        ("unigram", |s| s.loss.sampler = SamplerConfig::Unigram(UnigramConfig::default())),
        ("quadratic", |s| s.loss.sampler = SamplerConfig::Quadratic(QuadraticConfig::default())),
        ("quadratic, absolute", |s| {
            s.loss.sampler = SamplerConfig::Quadratic(QuadraticConfig::default());
            s.loss.absolute = true;
        }),
        ("full, absolute", |s| (s.loss.kind, s.loss.absolute) = (LossKind::Full, true)),
        ("gauss leaves with a prior", |s| leaves(s, LeafLaw::Gauss, 0.75)),
        ("exact leaves", |s| leaves(s, LeafLaw::Exact, 0.0)),
        ("both corrected", |s| s.loss.estimator = Estimator::BothCorrected),
        ("shared draws", |s| (s.loss.sharing, s.loss.draws) = (Sharing::Batch, 40)),
        ("systematic draws", |s| s.loss.points = rf_softmax::Points::Systematic),
        ("trained temperature", |s| s.loss.learn_tau = true),
        ("raw rows with bias", |s| (s.loss.normalized, s.loss.tau, s.loss.bias) = (false, 1.0, true)),
        ("sgd", |s| (s.optimizer.kind, s.optimizer.learning_rate) = (OptimizerKind::Sgd, 0.5)),
        ("adagrad", |s| (s.optimizer.kind, s.optimizer.learning_rate) = (OptimizerKind::Adagrad, 0.1)),
        ("row-wise adagrad", |s| s.optimizer.rows = Some(RowOptimizer::RowWiseAdagrad)),
    ];
    let corpus = corpus();
    let unigram = corpus.known.unwrap().best_unigram;
    for (name, change) in variants {
        let mut settings = settings();
        change(&mut settings);
        let score = perplexity(&run(&settings, &corpus).unwrap());
        assert!(score < 0.95 * unigram, "{name}: perplexity {score}, best unigram {unigram}");
    }
}

fn schedule(settings: &mut Settings, schedule: ScheduleConfig) {
    (settings.optimizer.schedule, settings.optimizer.warmup_steps) = (schedule, 30);
    settings.train.evaluate_every = Some(60);
}

fn leaves(settings: &mut Settings, leaf_law: LeafLaw, prior: f32) {
    let config = RffConfig { features: 32, leaf_law, prior, leaf_size: Some(8), ..Default::default() };
    settings.loss.sampler = SamplerConfig::Rff(config);
}

#[test]
fn a_shared_table_of_two_widths_is_refused() {
    let mut settings = settings();
    (settings.model.tied, settings.model.embedding) = (true, 20);
    let error = run(&settings, &corpus()).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("model.tied"), "{error}");
}
