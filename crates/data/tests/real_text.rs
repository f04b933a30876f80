//! Real texts against counts made by another program. They lie in the folder `RFS_DATA`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use rf_data::{Batches, Census, DataConfig, Source, Split, TextConfig, Vocabulary};

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

/// Cuts a text into `shards` files of a folder, every other one packed.
fn cut(text: &str, shards: usize, folder: &Path) {
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    for (index, part) in lines.chunks(lines.len().div_ceil(shards)).enumerate() {
        let file = File::create(folder.join(format!("news.en-{index:05}-of-{shards:05}"))).unwrap();
        if index % 2 == 0 {
            (&file).write_all(part.concat().as_bytes()).unwrap();
        } else {
            GzEncoder::new(file, Compression::fast()).write_all(part.concat().as_bytes()).unwrap();
        }
    }
}

#[test]
fn news_in_shards_is_the_news_in_one_file() {
    let Some(root) = data("news_in_shards_is_the_news_in_one_file") else { return };
    let path = root.join("lm1b-heldout/1b_benchmark.dev.tokens");
    let folder = tempfile::tempdir().unwrap();
    cut(&std::fs::read_to_string(&path).unwrap(), 7, folder.path());
    let load = |train: Source| {
        let (valid, test, vocabulary) = (Source::from(&*path), Source::from(&*path), Some(20_000));
        DataConfig::Text(TextConfig { train, valid, test, vocabulary, stream: Some(true) }).load(&root, 1).unwrap()
    };
    let (whole, shards) = (load(Source::from(&*path)), load(Source::from(folder.path())));
    assert_eq!(shards.vocabulary, whole.vocabulary);
    assert_eq!(shards.train.tokens(), 322_706);
    let census = Census::of(&Source::from(folder.path()).files().unwrap(), &|_| ()).unwrap();
    assert_eq!((census.lines(), census.tokens(), census.types(), census.bytes()), (12_216, 322_706, 32_785, 1_673_607));
    let (mut a, mut b) = (whole.windows(32, 20).unwrap(), shards.windows(32, 20).unwrap());
    assert_eq!(a.per_epoch(), 504);
    for step in 0..a.per_epoch() + 9 {
        if step % 100 == 50 {
            let place = b.place();
            b = shards.windows(32, 20).unwrap();
            b.go_to(step, place.as_ref()).unwrap();
        }
        assert!(a.next_window().unwrap() == b.next_window().unwrap(), "window {step}");
    }
}
