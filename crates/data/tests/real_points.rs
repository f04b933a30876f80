//! Real points against counts made by another program. They lie in the folder `RFS_DATA`.

use std::path::PathBuf;

use rf_data::{IdLists, XcBatches, XcConfig, XcDataConfig, XcPoints, XcSet, read_names};

/// The folder of the points, or a line on stderr that the test is skipped.
fn data(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("RFS_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped {test}: RFS_DATA is not set");
    }
    folder
}

fn load(folder: PathBuf, ending: &str) -> XcSet {
    let [train, test] = ["train.txt", "test.txt"].map(|name| folder.join(format!("{name}{ending}")));
    let config = XcConfig { normalize: false, ..XcConfig::new(train, test) };
    XcDataConfig::Xc(config).load(&PathBuf::new(), 1).unwrap()
}

/// Ids in use, of `n`.
fn in_use(lists: &IdLists, n: usize) -> usize {
    lists.counts(n).iter().filter(|&&count| count > 0).count()
}

fn features_in_use(points: &XcPoints, n: usize) -> usize {
    let mut seen = vec![false; n];
    points.features.ids().iter().for_each(|&id| seen[id as usize] = true);
    seen.into_iter().filter(|&seen| seen).count()
}

/// A mean to two decimals, as it is printed in the table of counts.
fn mean(total: usize, points: usize) -> String {
    format!("{:.2}", total as f64 / points as f64)
}

/// What the table of counts has of a split: points, points without labels, labels in use, features in use, labels per
/// point, features per point.
fn counts(points: &XcPoints, set: &XcSet) -> (usize, usize, usize, usize, String, String) {
    let n = points.len();
    (
        n,
        points.unlabelled(),
        in_use(&points.labels, set.labels),
        features_in_use(points, set.features),
        mean(points.labels.total(), n),
        mean(points.features.nonzeros(), n),
    )
}

/// Labels of the test points that no training point has.
fn unseen(set: &XcSet) -> usize {
    let test = set.test.as_ref().unwrap().labels.counts(set.labels);
    test.iter().zip(&set.counts).filter(|&(&test, &train)| test > 0 && train == 0).count()
}

#[test]
fn bibtex_has_its_counts() {
    let Some(root) = data("bibtex_has_its_counts") else { return };
    let set = load(root.join("bibtex"), "");
    assert_eq!((set.features, set.labels, unseen(&set)), (1836, 159, 0));
    assert_eq!(counts(&set.train, &set), (4880, 0, 159, 1836, "2.38".into(), "68.49".into()));
    assert_eq!(counts(set.test.as_ref().unwrap(), &set), (2515, 0, 159, 1836, "2.44".into(), "68.98".into()));
    assert_eq!(set.train.labels.row(0), [3, 23, 61, 63, 76]);
    assert_eq!(set.train.features.row(0).0[..4], [0, 5, 6, 20]);
}

#[test]
fn delicious_has_its_counts_and_points_without_labels() {
    let Some(root) = data("delicious_has_its_counts_and_points_without_labels") else { return };
    let set = load(root.join("delicious"), "");
    assert_eq!((set.features, set.labels, unseen(&set)), (500, 983, 0));
    assert_eq!(counts(&set.train, &set), (12_920, 10, 983, 500, "19.05".into(), "18.54".into()));
    assert_eq!(counts(set.test.as_ref().unwrap(), &set), (3185, 4, 982, 500, "18.91".into(), "17.29".into()));
    let batches = XcBatches::new(&set.train, 128, 1).unwrap();
    assert_eq!((batches.skipped(), batches.per_epoch()), (10, 12_910_u64.div_ceil(128)));
}

#[test]
fn yso_finna_has_its_counts_and_names() {
    let Some(root) = data("yso_finna_has_its_counts_and_names") else { return };
    let folder = root.join("yso-finna-en");
    let set = load(folder.clone(), ".gz");
    assert_eq!((set.features, set.labels, unseen(&set)), (70_031, 25_147, 78));
    assert_eq!(counts(&set.train, &set), (602_024, 0, 24_996, 70_030, "2.43".into(), "11.37".into()));
    assert_eq!(counts(set.test.as_ref().unwrap(), &set), (31_486, 0, 17_352, 32_358, "2.42".into(), "11.34".into()));
    assert_eq!(read_names(&folder.join("labels.txt.gz"), set.labels).unwrap().len(), 25_147);
}

#[test]
fn acl_authors_has_its_counts() {
    let Some(root) = data("acl_authors_has_its_counts") else { return };
    let set = load(root.join("acl-authors"), ".gz");
    assert_eq!((set.features, set.labels, unseen(&set)), (32_910, 108_752, 6519));
    assert_eq!(counts(&set.train, &set), (97_361, 0, 102_221, 32_902, "3.59".into(), "60.01".into()));
    assert_eq!(counts(set.test.as_ref().unwrap(), &set), (10_861, 0, 23_526, 21_415, "3.59".into(), "60.31".into()));
}
