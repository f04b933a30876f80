//! Real texts against counts made by another program. They lie in the folder `RFS_DATA`.

use std::path::PathBuf;

use rf_data::{Batches, DataConfig, Source, Split, TextConfig, Vocabulary};

/// The folder of the texts, or a line on stderr that the test is skipped.
fn data(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("RFS_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped {test}: RFS_DATA is not set");
    }
    folder
}

fn penn_treebank() -> TextConfig {
    let source = |split: &str| Source::from(format!("ptb/ptb.{split}.txt"));
    TextConfig { train: source("train"), valid: source("valid"), test: source("test"), vocabulary: None, stream: None }
}

#[test]
fn penn_treebank_has_its_published_counts() {
    let Some(root) = data("penn_treebank_has_its_published_counts") else { return };
    let corpus = DataConfig::Text(penn_treebank()).load(&root, 1).unwrap();
    assert_eq!((corpus.train.tokens(), corpus.valid.len(), corpus.test.len()), (929_589, 73_760, 82_430));
    assert_eq!(corpus.vocabulary.len(), 10_000);
    let counts = corpus.vocabulary.counts();
    assert_eq!(counts.iter().sum::<u64>(), 929_589);
    assert!(counts.is_sorted_by(|a, b| a >= b));
    assert_eq!(counts[corpus.vocabulary.eos() as usize], 42_068);
    assert_eq!(corpus.vocabulary.word(0), "the");
}

#[test]
fn a_cap_of_ten_thousand_changes_nothing_on_penn_treebank() {
    let Some(root) = data("a_cap_of_ten_thousand_changes_nothing_on_penn_treebank") else { return };
    let path = root.join("ptb/ptb.train.txt");
    assert_eq!(Vocabulary::from_file(&path, Some(10_000)).unwrap(), Vocabulary::from_file(&path, None).unwrap());
}

#[test]
fn every_token_of_a_real_text_is_scored_once() {
    let Some(root) = data("every_token_of_a_real_text_is_scored_once") else { return };
    let vocabulary = Vocabulary::from_file(&root.join("ptb/ptb.train.txt"), None).unwrap();
    let text = DataConfig::Text(penn_treebank()).split(Split::Test, &vocabulary, &root, 1).unwrap();
    let batches = Batches::new(&text, vocabulary.eos(), 20, 35).unwrap();
    assert_eq!(batches.iter().map(|window| window.scored).sum::<usize>(), 82_430);
}

#[test]
fn packed_reuters_has_its_counts_and_takes_a_cap() {
    let Some(root) = data("packed_reuters_has_its_counts_and_takes_a_cap") else { return };
    let folder = root.join("reuters21578");
    let train = folder.join("reuters.train.txt.gz");
    let whole = Vocabulary::from_file(&train, None).unwrap();
    assert_eq!(whole.len(), 74_307 + 2);
    assert_eq!(whole.counts().iter().sum::<u64>(), 2_714_802);
    let test = whole.encode(&folder.join("reuters.test.txt")).unwrap();
    assert_eq!(test.len(), 111_653);
    assert_eq!(test.iter().filter(|&&id| Some(id) == whole.unk()).count(), 3_045);
    let capped = Vocabulary::from_file(&train, Some(40_000)).unwrap();
    assert_eq!((capped.len(), capped.counts().iter().sum()), (40_000, 2_714_802u64));
}
