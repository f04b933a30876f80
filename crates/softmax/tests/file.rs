//! Heads in files.

use std::fs;

use burn::tensor::{Device, Tensor, TensorData};
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{Purpose, stream};
use rf_softmax::{
    ClusterConfig, Error, Grouping, HeadGradients, LeafLaw, MidxConfig, NamedTensor, QuadraticConfig, RffConfig,
    RowOptimizer, SampledSoftmaxLoss, SampledSoftmaxLossConfig, SamplerConfig, SoftmaxOutput, StateData, StateFile,
    StateSource, to_vec,
};

const N: usize = 150;
const D: usize = 6;
const B: usize = 5;

fn rff(leaf_law: LeafLaw) -> SamplerConfig {
    SamplerConfig::Rff(RffConfig { features: 16, leaf_law, leaf_size: Some(7), prior: 0.5, ..Default::default() })
}

fn config(sampler: SamplerConfig, optimizer: RowOptimizer) -> SampledSoftmaxLossConfig {
    SampledSoftmaxLossConfig::new(N, D)
        .with_sampler(sampler)
        .with_counts((0..N as u64).rev().collect())
        .with_optimizer(optimizer)
        .with_draws(12)
        .with_bias(true)
        .with_learned_tau(true)
        .with_seed(8)
}

fn init(config: SampledSoftmaxLossConfig) -> SampledSoftmaxLoss {
    config.init(&Device::flex().autodiff()).unwrap()
}

fn plain() -> SampledSoftmaxLoss {
    init(config(rff(LeafLaw::Gauss), RowOptimizer::Adagrad))
}

fn queries(step: u64) -> Tensor<2> {
    let mut rng = stream(2, Purpose::Init, 5, step);
    let h: Vec<f32> = (0..B * D).map(|_| StandardNormal.sample(&mut rng)).collect();
    Tensor::from_data(TensorData::new(h, [B, D]), &Device::flex().autodiff()).require_grad()
}

fn step(head: &mut SampledSoftmaxLoss, number: u64) -> (SoftmaxOutput, HeadGradients) {
    let targets: Vec<u32> = (0..B as u64).map(|b| ((b * 31 + number * 7) % N as u64) as u32).collect();
    let output = head.forward_ids(queries(number), &targets).unwrap();
    let gradients = head.gradient(&output, &mut output.loss.backward());
    head.step(0.1, &gradients).unwrap();
    (output, gradients)
}

/// Every number of a head, to the last bit.
fn bits(head: &SampledSoftmaxLoss) -> Vec<(String, Vec<u64>)> {
    let bits = |tensor: NamedTensor<'_>| match tensor.data {
        StateData::F32(values) => (tensor.name, values.iter().map(|value| u64::from(value.to_bits())).collect()),
        StateData::U64(values) => (tensor.name, values),
    };
    head.state().into_iter().map(bits).collect()
}

#[test]
fn a_loaded_head_draws_and_trains_on_as_the_saved_one_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let quadratic = SamplerConfig::Quadratic(QuadraticConfig { leaf_size: Some(7), ..Default::default() });
    let similar = SamplerConfig::Rff(RffConfig {
        features: 16,
        leaf_law: LeafLaw::Gauss,
        leaf_size: Some(7),
        grouping: Grouping::Similarity,
        regroup_every: 5,
        ..Default::default()
    });
    let cluster = |grouping, levels| {
        let (grouping, levels) = (Some(grouping), Some(levels));
        let config = ClusterConfig { leaf_size: Some(7), grouping, levels, regroup_every: 5, ..Default::default() };
        SamplerConfig::Cluster(config)
    };
    let (clusters, regrouped) = (cluster(Grouping::Frequency, 2), cluster(Grouping::Similarity, 3));
    let midx = SamplerConfig::Midx(MidxConfig { codewords: 5, refresh_every: 5, ..Default::default() });
    let trees = [rff(LeafLaw::Features), rff(LeafLaw::Gauss), rff(LeafLaw::Exact), quadratic, similar];
    for sampler in trees.into_iter().chain([clusters, regrouped, midx]) {
        for optimizer in
            [RowOptimizer::Sgd, RowOptimizer::Adagrad, RowOptimizer::RowWiseAdagrad, RowOptimizer::LazyAdam]
        {
            let fresh = || init(config(sampler.clone(), optimizer));
            let (mut saved, mut loaded) = (fresh(), fresh());
            (0..9).for_each(|number| drop(step(&mut saved, number)));
            // What the other head has learned must leave no trace.
            (20..24).for_each(|number| drop(step(&mut loaded, number)));
            saved.save_file(&path).unwrap();
            loaded.load_file(&path).unwrap();
            assert_eq!(bits(&loaded), bits(&saved));
            let h = to_vec(queries(50));
            assert_eq!(loaded.draw(&h, &[0; B]).unwrap(), saved.draw(&h, &[0; B]).unwrap());
            for number in 9..12 {
                let ((want, want_gradients), (got, gradients)) = (step(&mut saved, number), step(&mut loaded, number));
                assert_eq!(got.mean().to_bits(), want.mean().to_bits(), "{sampler:?}, {optimizer:?}");
                assert_eq!(got.nll, want.nll);
                assert_eq!(gradients, want_gradients);
            }
            assert_eq!(bits(&loaded), bits(&saved), "{sampler:?}, {optimizer:?}");
        }
    }
}

#[test]
fn a_file_cut_short_is_refused_and_named_and_the_head_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    plain().save_file(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut head = plain();
    step(&mut head, 0);
    let before = bits(&head);
    for length in [0, 7, 8, 60, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = head.load_file(&path).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("head.safetensors") && message.contains("bytes long"), "{message}");
        assert_eq!(bits(&head), before);
    }
}

#[test]
fn other_files_are_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    let refused = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        let error = plain().load_file(&path).unwrap_err();
        assert!(matches!(error, Error::File { .. }) && error.to_string().contains("other"), "{error:?}");
    };
    refused(b"a line of text that is no safetensors file");
    refused(&[u64::MAX.to_le_bytes(), [0; 8]].concat());
    refused(&[&8u64.to_le_bytes()[..], b"not json"].concat());
    let absent = plain().load_file(folder.path().join("absent")).unwrap_err().to_string();
    assert!(absent.contains("absent"), "{absent}");
}

/// Loads the file of `saved` into `head`, expects a misfit, and returns what does not fit.
fn misfit(saved: &SampledSoftmaxLoss, mut head: SampledSoftmaxLoss) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    saved.save_file(&path).unwrap();
    let before = bits(&head);
    let error = head.load_file(&path).unwrap_err();
    assert!(error.to_string().contains("head.safetensors"), "{error}");
    assert_eq!(bits(&head), before);
    let Error::Misfit { why, .. } = error else { panic!("{error:?}") };
    *why
}

#[test]
fn a_head_of_other_settings_is_refused() {
    let uniform = || config(rff(LeafLaw::Gauss), RowOptimizer::Adagrad).with_sampler(SamplerConfig::Uniform {});
    let missing = misfit(&init(uniform()), plain());
    assert!(matches!(&missing, Error::MissingState(name) if name == "tree.leaf_sums"), "{missing:?}");

    let missing = misfit(&plain(), init(config(rff(LeafLaw::Gauss), RowOptimizer::LazyAdam)));
    assert!(matches!(&missing, Error::MissingState(name) if name == "classes.first_moment"), "{missing:?}");

    let wrong = misfit(&plain(), init(config(rff(LeafLaw::Gauss), RowOptimizer::Adagrad).with_bias(false)));
    let Error::WrongState { name, wanted, found } = wrong else { panic!("{wrong:?}") };
    assert_eq!((name.as_str(), wanted, found), ("classes.rows", N * D, N * (D + 1)));

    let seed = misfit(&plain(), init(config(rff(LeafLaw::Gauss), RowOptimizer::Adagrad).with_seed(9)));
    assert!(matches!(&seed, Error::BadSetting { field: "seed", .. }), "{seed:?}");
}

#[test]
fn rows_that_are_not_finite_are_refused_and_the_head_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let saved = plain();
    let rows = vec![f32::NAN; N * (D + 1)];
    let mut state = saved.state();
    state[0] = NamedTensor::f32("classes.rows".into(), vec![N, D + 1], &rows);
    StateFile::save(&path, &state).unwrap();
    let mut head = plain();
    let before = bits(&head);
    let error = head.load_file(&path).unwrap_err();
    assert!(matches!(&error, Error::Misfit { why, .. } if matches!(**why, Error::Sampler(_))), "{error:?}");
    assert_eq!(bits(&head), before);
}

#[test]
fn a_shared_head_is_not_loaded() {
    let (saved, head) = (plain(), plain());
    let clone = head.clone();
    assert!(matches!(misfit(&saved, head), Error::Shared));
    drop(clone);
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    plain().save_file(&path).unwrap();
    let old = fs::read(&path).unwrap();
    fs::create_dir(folder.path().join("head.safetensors.tmp")).unwrap();
    let mut head = plain();
    step(&mut head, 0);
    let error = head.save_file(&path).unwrap_err();
    assert!(matches!(&error, Error::File { .. }) && error.to_string().contains("head.safetensors"), "{error:?}");
    assert_eq!(fs::read(&path).unwrap(), old);
}

#[test]
fn numbers_of_another_type_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    StateFile::save(&path, &[NamedTensor::u64("steps".into(), vec![3]), NamedTensor::f32("x".into(), vec![1], &[0.5])])
        .unwrap();
    let mut file = StateFile::open(&path).unwrap();
    assert_eq!(file.u64("steps", 1).unwrap(), [3]);
    assert_eq!(file.f32("x", 1).unwrap(), [0.5]);
    let error = file.f32("steps", 1).unwrap_err().to_string();
    assert!(error.contains("state") && error.contains("`steps` holds U64 where F32 is needed"), "{error}");
}
