//! The `[data]` table of an experiment on points with labels.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::XcFiles;
use super::filter::{read_filter, read_names};
use super::header::{Expected, Header};
use super::read::Reading;
use super::{Propensity, Values, ValuesConfig, Weighting, XcKnown, XcPoints, XcSet, XcSyntheticConfig};
use crate::{Error, Split};

/// Where points with labels come from.
///
/// `kind = "xc"` reads files of the Extreme Classification Repository, `kind = "synthetic"` generates. An unknown key
/// is an error that names the allowed ones.
///
/// # Example
/// ```
/// use rf_data::XcDataConfig;
/// let config: XcDataConfig = toml::from_str(r#"kind = "synthetic""#).unwrap();
/// assert_eq!(config, XcDataConfig::default());
/// let error = toml::from_str::<XcDataConfig>("kind = 'xc'\ntrain = 'a'\ntest = 'b'\nvalue = 'binary'").unwrap_err();
/// assert!(error.to_string().contains("unknown field `value`, expected one of `train`"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a program has one of it")]
pub enum XcDataConfig {
    /// Files of the repository.
    Xc(XcConfig),
    /// Generated points.
    Synthetic(XcSyntheticConfig),
}

/// Files of the Extreme Classification Repository, plain or gzip, and what is made of their values.
///
/// A file begins with a header, `points features labels`, and each line after it is a point,
/// `label,label feature:value feature:value`. Ids count from 0. A point without labels begins with a space, or at once
/// with its first feature. Ids may be in any order in a line, but not twice. Values are finite numbers. Blank lines
/// are allowed behind the last point only. For the form of two files see [`XcFiles`].
///
/// Files are read in blocks, which are parsed on all threads: memory holds the points and a few blocks. A line may
/// have 64 MiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XcConfig {
    /// Training points: a path, or `{ features = "...", labels = "..." }`.
    pub train: XcFiles,
    /// Validation points, the same; absent for none, or for those of `valid_points`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<XcFiles>,
    /// Training points with labels that are held out at random, as the seed says, for validation; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_points: Option<usize>,
    /// Test points, as `train`.
    pub test: XcFiles,
    /// Labels of training points that are neither right nor wrong: a pair `point label` a line; absent for none. They are
    /// neither learnt nor negatives; in evaluation they are left out of what is predicted, and still count as labels of a
    /// point that has them, as in pyxclib.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_filter: Option<PathBuf>,
    /// The same of validation points. Points that are held out take theirs from `train_filter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_filter: Option<PathBuf>,
    /// The same of test points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_filter: Option<PathBuf>,
    /// Names of the labels: line i, from 0, is the name of label i; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_names: Option<PathBuf>,
    /// What is made of each value, "given" by default: "given", "binary", "counts" or "tf-idf".
    #[serde(default)]
    pub values: Values,
    /// Whether the weighted features of a point are scaled to an ℓ2 norm of 1; true by default.
    #[serde(default = "yes")]
    pub normalize: bool,
    /// Features are hashed into so many, values of equal ones added before they are weighted; absent for the features
    /// of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashed_features: Option<usize>,
    /// Constants of the propensity-scored measures, 0.55 and 1.5 by default.
    #[serde(default)]
    pub propensity: Propensity,
}

/// How large a data set is, by its headers alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XcSizes {
    /// Training points, without those held out.
    pub points: usize,
    /// Features of a model's input.
    pub features: usize,
    /// Labels, n.
    pub labels: usize,
}

fn yes() -> bool {
    true
}

impl Default for XcDataConfig {
    /// The synthetic points.
    fn default() -> Self {
        Self::Synthetic(XcSyntheticConfig::default())
    }
}

impl XcDataConfig {
    /// Loads all splits, their values weighted.
    ///
    /// Paths are relative to `root`; absolute paths stay. `seed` fixes generated points and those that are held out.
    ///
    /// # Errors
    /// [`Error::Config`] for values without a meaning; [`Error::Header`] and [`Error::Field`]; those of the files. All
    /// headers are read before any point.
    pub fn load(&self, root: &Path, seed: u64) -> Result<XcSet, Error> {
        match self {
            Self::Xc(config) => config.below(root).load(seed),
            Self::Synthetic(config) => config.load(seed),
        }
    }

    /// Loads one split, its values weighted as they were for a saved run; `None` if there is no such split.
    ///
    /// Training points are read only for their own split, and for validation points that are held out of them.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn split(
        &self,
        split: Split,
        weighting: &Weighting,
        root: &Path,
        seed: u64,
    ) -> Result<Option<XcPoints>, Error> {
        let mut points = match self {
            Self::Xc(config) => config.below(root).split(split, seed)?,
            Self::Synthetic(config) => Some(config.generate(split, seed)?),
        };
        if let Some(points) = &mut points {
            weighting.apply(&mut points.features);
        }
        Ok(points)
    }

    /// Reads new points for a model of this data set, their values as they stand in the file, but hashed where the
    /// features of the model are. [`Weighting::apply`] is up to the caller.
    ///
    /// `features` are those of the model, hence `hashed_features` where that is set; then the file may have any number.
    ///
    /// # Errors
    /// As [`read_points`](crate::read_points).
    pub fn read_points(&self, path: &Path, features: usize, labels: usize) -> Result<XcPoints, Error> {
        let mut reading = match self {
            Self::Xc(config) => config.reading()?,
            Self::Synthetic(_) => Reading::default(),
        };
        let features = reading.buckets.is_none().then_some(features);
        reading.expected = Some(Expected { features, labels, of: "the model has" });
        reading.points(&XcFiles::from(path)).map(|(points, _)| points)
    }

    /// How large the data set is; of files, the headers are read.
    ///
    /// # Errors
    /// As [`load`](Self::load), of the headers.
    pub fn sizes(&self, root: &Path) -> Result<XcSizes, Error> {
        match self {
            Self::Xc(config) => config.below(root).sizes(),
            Self::Synthetic(config) => {
                config.check()?;
                Ok(XcSizes { points: config.train_points, features: config.features, labels: config.labels })
            }
        }
    }

    /// Names of the labels, where the config has them.
    ///
    /// # Errors
    /// As [`read_names`](crate::read_names).
    pub fn label_names(&self, root: &Path, labels: usize) -> Result<Option<Vec<String>>, Error> {
        match self {
            Self::Xc(XcConfig { label_names: Some(path), .. }) => read_names(&root.join(path), labels).map(Some),
            _ => Ok(None),
        }
    }

    /// How the values are weighted.
    pub fn values(&self) -> ValuesConfig {
        match self {
            Self::Xc(config) => ValuesConfig { values: config.values, normalize: config.normalize },
            Self::Synthetic(_) => ValuesConfig::default(),
        }
    }

    /// Constants of the propensity-scored measures.
    pub fn propensity(&self) -> Propensity {
        match self {
            Self::Xc(config) => config.propensity,
            Self::Synthetic(_) => Propensity::default(),
        }
    }

    /// Refuses values without a meaning; no file is looked at.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Xc(config) => config.check(),
            Self::Synthetic(config) => config.check(),
        }
    }

    /// What the best model reaches, for synthetic points.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that make no data set.
    pub fn known(&self) -> Result<Option<XcKnown>, Error> {
        match self {
            Self::Xc(_) => Ok(None),
            Self::Synthetic(config) => config.known().map(Some),
        }
    }
}

impl XcConfig {
    /// The config of a training and a test file, all else by default.
    pub fn new(train: impl Into<XcFiles>, test: impl Into<XcFiles>) -> Self {
        Self {
            train: train.into(),
            valid: None,
            valid_points: None,
            test: test.into(),
            train_filter: None,
            valid_filter: None,
            test_filter: None,
            label_names: None,
            values: Values::default(),
            normalize: true,
            hashed_features: None,
            propensity: Propensity::default(),
        }
    }

    /// The same config, its paths changed one by one.
    ///
    /// # Errors
    /// Whatever `change` returns.
    pub fn try_map<E>(&self, mut change: impl FnMut(&PathBuf) -> Result<PathBuf, E>) -> Result<Self, E> {
        Ok(Self {
            train: self.train.try_map(&mut change)?,
            valid: self.valid.as_ref().map(|files| files.try_map(&mut change)).transpose()?,
            test: self.test.try_map(&mut change)?,
            train_filter: self.train_filter.as_ref().map(&mut change).transpose()?,
            valid_filter: self.valid_filter.as_ref().map(&mut change).transpose()?,
            test_filter: self.test_filter.as_ref().map(&mut change).transpose()?,
            label_names: self.label_names.as_ref().map(&mut change).transpose()?,
            ..self.clone()
        })
    }

    /// The same config, its relative paths below `root`.
    pub fn below(&self, root: &Path) -> Self {
        let Ok(config) = self.try_map(|path| Ok::<_, std::convert::Infallible>(root.join(path)));
        config
    }

    fn load(&self, seed: u64) -> Result<XcSet, Error> {
        let sizes = self.sizes()?;
        if let Some(path) = &self.label_names {
            read_names(path, sizes.labels)?;
        }
        let (mut train, header) = self.read_train()?;
        let expected = self.expected(header);
        let mut valid = match (&self.valid, self.valid_points) {
            (Some(files), _) => Some(self.read(files, self.valid_filter.as_deref(), Some(expected))?.0),
            (None, Some(count)) => Some(train.hold_out(count, seed)?),
            (None, None) => None,
        };
        let mut test = self.read(&self.test, self.test_filter.as_deref(), Some(expected))?.0;
        let counts = train.labels.counts(sizes.labels);
        let config = ValuesConfig { values: self.values, normalize: self.normalize };
        let weighting = Weighting::fit(&config, &train.features, sizes.features);
        for points in [Some(&mut train), valid.as_mut(), Some(&mut test)].into_iter().flatten() {
            weighting.apply(&mut points.features);
        }
        let XcSizes { features, labels, .. } = sizes;
        Ok(XcSet { features, labels, train, valid, test: Some(test), counts, weighting, known: None })
    }

    /// One split, not weighted.
    fn split(&self, split: Split, seed: u64) -> Result<Option<XcPoints>, Error> {
        self.check()?;
        let expected = || Ok(Some(self.expected(self.reading()?.header(&self.train)?)));
        match (split, &self.valid, self.valid_points) {
            (Split::Test, ..) => Ok(Some(self.read(&self.test, self.test_filter.as_deref(), expected()?)?.0)),
            (Split::Valid, Some(files), _) => Ok(Some(self.read(files, self.valid_filter.as_deref(), expected()?)?.0)),
            (Split::Valid, None, None) => Ok(None),
            (Split::Train | Split::Valid, _, held_out) => {
                let mut train = self.read_train()?.0;
                let valid = held_out.map(|count| train.hold_out(count, seed)).transpose()?;
                Ok(if split == Split::Train { Some(train) } else { valid })
            }
        }
    }

    /// Reads all headers, and sees whether the other files are there.
    fn sizes(&self) -> Result<XcSizes, Error> {
        self.check()?;
        let train = self.reading()?.header(&self.train)?;
        let reading = Reading { expected: Some(self.expected(train)), ..self.reading()? };
        for files in self.valid.iter().chain([&self.test]) {
            reading.header(files)?;
        }
        for path in [&self.train_filter, &self.valid_filter, &self.test_filter].into_iter().flatten() {
            std::fs::metadata(path).map_err(|source| Error::Open { path: path.clone(), source })?;
        }
        let features = self.hashed_features.unwrap_or(train.features as usize);
        let points = (train.points as usize).saturating_sub(self.valid_points.unwrap_or(0));
        Ok(XcSizes { points, features, labels: train.labels as usize })
    }

    /// The training points, those to be held out among them. What a filter names is no label to be learnt.
    fn read_train(&self) -> Result<(XcPoints, Header), Error> {
        let (mut train, header) = self.read(&self.train, self.train_filter.as_deref(), None)?;
        train.labels.subtract(&train.filtered);
        Ok((train, header))
    }

    fn read(
        &self,
        files: &XcFiles,
        filter: Option<&Path>,
        expected: Option<Expected>,
    ) -> Result<(XcPoints, Header), Error> {
        let (mut points, header) = Reading { expected, ..self.reading()? }.points(files)?;
        if let Some(path) = filter {
            points.filtered = read_filter(path, points.len(), header.labels as usize)?;
        }
        Ok((points, header))
    }

    fn expected(&self, train: Header) -> Expected {
        let features = Some(train.features as usize);
        Expected { features, labels: train.labels as usize, of: "the training points have" }
    }

    fn reading(&self) -> Result<Reading, Error> {
        let values = ValuesConfig { values: self.values, normalize: self.normalize };
        let buckets = self.hashed_features.map(|buckets| match u32::try_from(buckets) {
            Ok(buckets @ 1..) => Ok(buckets),
            _ => Err(Error::config("hashed_features", buckets, format!("must be 1 to {}", u32::MAX))),
        });
        Ok(Reading { buckets: buckets.transpose()?, counts: !values.allows_negative(), ..Reading::default() })
    }

    /// Refuses values without a meaning.
    fn check(&self) -> Result<(), Error> {
        self.propensity.check()?;
        self.reading()?;
        if let (Some(_), Some(count)) = (&self.valid, self.valid_points) {
            return Err(Error::config("valid_points", count, "there is also a file `valid`; only one can be"));
        }
        if let (Some(path), None) = (&self.valid_filter, &self.valid) {
            return Err(Error::config("valid_filter", path.display(), "there is no file `valid` to be filtered"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::IdLists;
    use super::*;

    const TRAIN: &str = "6 4 3\n0 0:1\n1,2 0:3 1:4\n 2:1\n2 1:1\n0,1 0:2\n1 1:1\n";
    const TEST: &str = "2 4 3\n0 0:6 1:8\n2 3:1\n";

    /// A folder with a data set, and its config with more keys.
    fn data(keys: &str) -> (tempfile::TempDir, XcDataConfig) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("train.txt", TRAIN),
            ("test.txt", TEST),
            ("other.txt", "2 5 3\n0 0:6 1:8\n2 3:1\n"),
            ("more.txt", "2 4 9\n0 0:6 1:8\n2 3:1\n"),
            ("filter.txt", "0 2\n1 0\n"),
            ("own.txt", "1 2\n"),
            ("names.txt", "a\nb c\nd\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let test = if keys.contains("test = 'other") { "" } else { "test = 'test.txt'\n" };
        (folder, toml::from_str(&format!("kind = 'xc'\ntrain = 'train.txt'\n{test}{keys}")).unwrap())
    }

    fn load(keys: &str) -> Result<XcSet, Error> {
        let (folder, config) = data(keys);
        config.load(folder.path(), 1)
    }

    fn problem(keys: &str) -> String {
        let error = load(keys).unwrap_err();
        assert!(error.is_bad_input());
        error.to_string()
    }

    #[test]
    fn a_config_survives_its_own_toml() {
        let files = "train = { features = 'a', labels = 'b' }\nvalid = 'c'\ntest = 'd'\n";
        let rest = "train_filter = 'e'\nvalid_filter = 'f'\ntest_filter = 'g'\nlabel_names = 'h'\nvalues = 'tf-idf'\n\
                    normalize = false\nhashed_features = 10\npropensity = { a = 0.6, b = 2.6 }\n";
        for text in [format!("kind = 'xc'\n{files}{rest}"), "kind = 'xc'\ntrain = 'a'\ntest = 'b'".into()] {
            let config: XcDataConfig = toml::from_str(&text).unwrap();
            assert_eq!(toml::from_str::<XcDataConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        }
        let config: XcDataConfig = toml::from_str("kind = 'xc'\ntrain = 'a'\ntest = 'b'").unwrap();
        assert_eq!(config, XcDataConfig::Xc(XcConfig::new("a", "b")));
        assert_eq!(config.values(), ValuesConfig { values: Values::Given, normalize: true });
        assert_eq!(config.propensity(), Propensity { a: 0.55, b: 1.5 });
    }

    #[test]
    fn unknown_keys_and_values_are_named() {
        let problem = |keys: &str| toml::from_str::<XcDataConfig>(keys).unwrap_err().to_string();
        let error = problem("kind = 'xc'\ntrain = 'a'\ntest = 'b'\nlabels = 3");
        assert!(error.contains("unknown field `labels`, expected one of `train`, `valid`, `valid_points`"), "{error}");
        let error = problem("kind = 'xc'\ntrain = 'a'\ntest = 'b'\nvalues = 'tfidf'");
        assert!(error.contains("expected one of `given`, `binary`, `counts`, `tf-idf`"), "{error}");
        assert!(problem("kind = 'xc'\ntrain = 'a'").contains("missing field `test`"));
        assert!(problem("kind = 'text'").contains("expected `xc` or `synthetic`"));
        assert!(problem("kind = 'synthetic'\ncell = 3").contains("unknown field `cell`, expected one of `labels`"));
    }

    #[test]
    fn every_path_is_changed() {
        let text = "train = { features = 'a', labels = 'b' }\nvalid = 'c'\ntest = 'd'\ntrain_filter = 'e'\n\
                    valid_filter = 'f'\ntest_filter = 'g'\nlabel_names = '/h'\n";
        let config: XcConfig = toml::from_str(text).unwrap();
        let mut seen = Vec::new();
        let same = config.try_map(|path| {
            seen.push(path.display().to_string());
            Ok::<_, ()>(path.clone())
        });
        assert_eq!((same, seen.join(" ")), (Ok(config.clone()), "a b c d e f g /h".into()));
        let below = config.below(Path::new("/root"));
        assert_eq!(below.train.to_string(), "/root/a, /root/b");
        assert_eq!(below.label_names, Some("/h".into()));
    }

    #[test]
    fn a_data_set_is_read_counted_and_weighted() {
        let set = load("").unwrap();
        assert_eq!((set.features, set.labels, &set.counts[..]), (4, 3, &[2, 3, 2][..]));
        assert_eq!((set.train.len(), set.train.unlabelled(), set.valid, set.known), (6, 1, None, None));
        assert_eq!(set.train.features.row(1), (&[0, 1][..], &[0.6, 0.8][..]));
        assert_eq!(set.test.unwrap().features.row(0).1, [0.6, 0.8]);
        assert_eq!(load("normalize = false").unwrap().train.features.row(1).1, [3.0, 4.0]);
        assert_eq!(load("values = 'binary'\nnormalize = false").unwrap().train.features.row(1).1, [1.0, 1.0]);
    }

    #[test]
    fn tf_idf_is_fitted_on_the_training_points_that_are_left() {
        let set = load("values = 'tf-idf'\nnormalize = false\nvalid_points = 2").unwrap();
        let (train, valid, test) = (&set.train, set.valid.as_ref().unwrap(), set.test.as_ref().unwrap());
        assert_eq!((train.len(), valid.len(), set.counts.iter().sum::<u64>()), (4, 2, train.labels.total() as u64));
        let shown = train.features.ids().iter().filter(|&&id| id == 0).count() as f64;
        let idf = (5.0 / (1.0 + shown)).ln() + 1.0;
        assert!((f64::from(set.weighting.idf()[0]) - idf).abs() < 1e-6);
        assert!((f64::from(test.features.row(0).1[0]) - 6.0 * idf).abs() < 1e-5);
    }

    #[test]
    fn each_split_alone_is_what_it_is_in_the_set() {
        for keys in [
            "values = 'tf-idf'\nvalid_points = 2\ntrain_filter = 'filter.txt'\ntest_filter = 'filter.txt'",
            "valid = 'test.txt'\nvalid_filter = 'filter.txt'\nhashed_features = 2",
            "",
        ] {
            let (folder, config) = data(keys);
            let set = config.load(folder.path(), 7).unwrap();
            let weighting = Weighting::with_idf(&config.values(), set.weighting.idf().to_vec());
            let split = |split| config.split(split, &weighting, folder.path(), 7).unwrap();
            assert_eq!(split(Split::Train).as_ref(), Some(&set.train));
            assert_eq!((split(Split::Valid), split(Split::Test)), (set.valid.clone(), set.test.clone()));
            let sizes = XcSizes { points: set.train.len(), features: set.features, labels: set.labels };
            assert_eq!(config.sizes(folder.path()).unwrap(), sizes);
        }
    }

    #[test]
    fn filtered_labels_go_with_their_points() {
        let set = load("train_filter = 'filter.txt'\ntest_filter = 'filter.txt'").unwrap();
        assert_eq!(
            (set.train.filtered.row(0), set.train.filtered.row(1), set.train.filtered.total()),
            (&[2][..], &[0][..], 2)
        );
        assert_eq!(set.test.unwrap().filtered, IdLists::new(vec![0, 1, 2], vec![2, 0]));
        let set = load("train_filter = 'own.txt'").unwrap();
        assert_eq!((set.train.labels.row(1), set.train.filtered.row(1), set.counts[2]), (&[1][..], &[2][..], 1));
        let error = problem("train_filter = 'names.txt'");
        assert!(error.ends_with("names.txt, line 1, field 1: `a` is no point"), "{error}");
    }

    #[test]
    fn hashed_features_are_those_of_the_model() {
        let (folder, config) = data("hashed_features = 2");
        let set = config.load(folder.path(), 1).unwrap();
        assert_eq!(set.features, 2);
        assert!(set.train.features.ids().iter().all(|&id| id < 2));
        // A file with any number of features.
        let mut new = config.read_points(&folder.path().join("other.txt"), 2, 3).unwrap();
        set.weighting.apply(&mut new.features);
        assert_eq!(new, set.test.unwrap());
        assert!(problem("hashed_features = 0").starts_with("hashed_features = 0: must be 1 to 4294967295"));
    }

    #[test]
    fn splits_of_other_sizes_are_refused_before_any_point_is_read() {
        let error = problem("test = 'other.txt'");
        assert!(error.ends_with("line 1: the header says 5 features, but the training points have 4"), "{error}");
        let error = problem("valid = 'more.txt'");
        assert!(error.ends_with("line 1: the header says 9 labels, but the training points have 3"), "{error}");
        assert!(problem("test_filter = 'none.txt'").ends_with("none.txt: cannot open the file"));
        assert!(problem("label_names = 'filter.txt'").ends_with("line 2: there are 3 labels, but only 2 names"));
    }

    #[test]
    fn keys_that_contradict_each_other_are_refused() {
        let error = problem("valid = 'test.txt'\nvalid_points = 1");
        assert_eq!(error, "valid_points = 1: there is also a file `valid`; only one can be");
        let error = problem("valid_filter = 'filter.txt'");
        assert!(error.ends_with("filter.txt: there is no file `valid` to be filtered"), "{error}");
        assert!(
            problem("valid_points = 5").starts_with("valid_points = 5: must be at least 1 and leave some of the 5")
        );
        assert!(problem("propensity = { b = 0.0 }").starts_with("propensity.b = 0: "));
    }

    #[test]
    fn names_are_those_of_the_config() {
        let (folder, config) = data("label_names = 'names.txt'");
        assert_eq!(config.label_names(folder.path(), 3).unwrap(), Some(vec!["a".into(), "b c".into(), "d".into()]));
        assert_eq!(XcDataConfig::default().label_names(folder.path(), 3).unwrap(), None);
    }

    #[test]
    fn synthetic_points_are_a_data_set_too() {
        let config = XcSyntheticConfig { train_points: 500, valid_points: 100, test_points: 200, ..Default::default() };
        let config = XcDataConfig::Synthetic(config);
        let set = config.load(Path::new(""), 3).unwrap();
        assert_eq!(set.known, config.known().unwrap());
        assert_eq!(config.sizes(Path::new("")).unwrap(), XcSizes { points: 500, features: 5000, labels: 2000 });
        let split = |split| config.split(split, &set.weighting, Path::new(""), 3).unwrap();
        assert_eq!(split(Split::Train).as_ref(), Some(&set.train));
        assert_eq!((split(Split::Valid), split(Split::Test)), (set.valid.clone(), set.test.clone()));
        let (_, values) = set.train.features.row(0);
        assert!((values.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    }
}
