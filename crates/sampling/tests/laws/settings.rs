//! Settings out of range.

use rf_sampling::{
    Classes, ClusterConfig, Error, FeatureMapKind, Grouping, MidxConfig, QuadraticConfig, Quantizer, RffConfig,
    SamplerConfig, UnigramConfig,
};

use crate::rig::{SEED, counts, tables};

#[test]
fn settings_out_of_range_are_refused() {
    let table = &tables()[0];
    let any = |config: SamplerConfig, counts: &[u64]| config.build(table.classes(), counts, SEED).unwrap_err();
    let refused = |config: RffConfig, counts: &[u64]| any(SamplerConfig::Rff(config), counts);
    let field = |error| match error {
        Error::BadSetting { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(refused(RffConfig { features: 0, ..Default::default() }, &[])), "features");
    assert_eq!(field(refused(RffConfig { nu: -1.0, ..Default::default() }, &[])), "nu");
    let positive = RffConfig { map: FeatureMapKind::Positive, nu: 40.5, ..Default::default() };
    assert_eq!(field(refused(positive.clone(), &[])), "nu");
    assert!(RffConfig { map: FeatureMapKind::Orthogonal, ..positive }.build(table.classes(), &[], SEED).is_ok());
    assert_eq!(field(refused(RffConfig { floor: f32::NAN, ..Default::default() }, &[])), "floor");
    assert_eq!(field(refused(RffConfig { leaf_size: Some(0), ..Default::default() }, &[])), "leaf_size");
    assert_eq!(field(refused(RffConfig { prior: 0.5, ..Default::default() }, &[1, 2])), "prior");
    assert_eq!(field(refused(RffConfig { growth: 0.5, ..Default::default() }, &[])), "growth");
    let similar = RffConfig { grouping: Grouping::Similarity, growth: 2.0, ..Default::default() };
    assert_eq!(field(refused(similar, &[])), "growth");
    let frequent = RffConfig { grouping: Grouping::Frequency, ..Default::default() };
    assert_eq!(field(refused(frequent.clone(), &[])), "grouping");
    assert_eq!(field(refused(frequent, &[1, 2])), "counts");
    let small = RffConfig { memory_gib: 1e-6, ..Default::default() };
    assert!(matches!(refused(small, &[]), Error::TooLarge { .. }));

    let refused = |config: ClusterConfig, counts: &[u64]| any(SamplerConfig::Cluster(config), counts);
    assert_eq!(field(refused(ClusterConfig { leaf_size: Some(0), ..Default::default() }, &counts())), "leaf_size");
    assert_eq!(field(refused(ClusterConfig { epsilon: 1.5, ..Default::default() }, &counts())), "epsilon");
    assert_eq!(field(refused(ClusterConfig { epsilon: f32::NAN, ..Default::default() }, &counts())), "epsilon");
    assert_eq!(field(refused(ClusterConfig { levels: Some(4), ..Default::default() }, &counts())), "levels");
    assert_eq!(field(refused(ClusterConfig { growth: Some(0.5), ..Default::default() }, &counts())), "growth");
    assert_eq!(field(refused(ClusterConfig::default(), &[1, 2])), "counts");

    let refused = |config: QuadraticConfig| any(SamplerConfig::Quadratic(config), &[]);
    assert_eq!(field(refused(QuadraticConfig { alpha: 0.0, ..Default::default() })), "alpha");
    assert_eq!(field(refused(QuadraticConfig { leaf_size: Some(0), ..Default::default() })), "leaf_size");
    assert_eq!(field(refused(QuadraticConfig { prior: 0.5, ..Default::default() })), "prior");
    let small = QuadraticConfig { memory_gib: 1e-6, ..Default::default() };
    assert!(matches!(refused(small), Error::TooLarge { .. }));

    let refused = |config: MidxConfig| any(SamplerConfig::Midx(config), &[]);
    assert_eq!(field(refused(MidxConfig { codewords: 0, ..Default::default() })), "codewords");
    assert_eq!(field(refused(MidxConfig { codewords: 1 << 16, ..Default::default() })), "codewords");
    assert_eq!(field(refused(MidxConfig { iterations: 0, ..Default::default() })), "iterations");
    assert_eq!(field(refused(MidxConfig { prior: 0.5, ..Default::default() })), "prior");
    assert!(matches!(refused(MidxConfig { memory_gib: 1e-6, ..Default::default() }), Error::TooLarge { .. }));
    let thin = SamplerConfig::Midx(MidxConfig { quantizer: Quantizer::Pq, ..Default::default() });
    assert_eq!(field(thin.build(Classes::new(&table.rows, 1), &[], SEED).unwrap_err()), "quantizer");

    let unigram = |power| SamplerConfig::Unigram(UnigramConfig { power });
    assert_eq!(field(any(unigram(f32::NAN), &counts())), "power");
    for config in [unigram(0.75), SamplerConfig::LogUniform {}] {
        assert_eq!(field(any(config.clone(), &[])), "kind");
        assert_eq!(field(any(config, &[1, 2])), "kind");
    }
}
