//! A sweep: one experiment under many settings, each for several seeds.
//!
//! A file ([`mod@file`]) becomes a list of runs here, every plan resolved and checked before any of them begins. A run is its
//! experiment file under overrides, as `rfs train` takes them: those of `[set]`, of its case, of its point of the grid,
//! of the command line and of its seed, the later ones winning.

mod file;
mod name;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Value;

use self::file::{Axis, Case, SweepFile};
use crate::document::Override;
use crate::exit::bad_input;
use crate::plan::AnyPlan;
use crate::runs::default_folder;

/// Bytes in the longest name of a folder, less than file systems allow.
const LONGEST_NAME: usize = 200;

/// A checked sweep.
#[derive(Debug)]
pub struct Sweep {
    /// Name of the file, without its ending.
    pub name: String,
    /// Where runs and results are kept.
    pub folder: PathBuf,
    /// The keys of the grid.
    pub keys: Vec<String>,
    /// What is compared.
    pub settings: Vec<Setting>,
    /// The runs, those of a setting one after the other.
    pub runs: Vec<Run>,
}

/// A case at a point of the grid.
#[derive(Debug)]
pub struct Setting {
    /// A name, made of the case and the values; `base` for a sweep over seeds alone.
    pub name: String,
    /// Name of the case, where there are cases.
    pub case: Option<String>,
    /// Values of the keys of the grid.
    pub values: Vec<Value>,
}

/// One run.
#[derive(Debug)]
pub struct Run {
    /// Name of its folder.
    pub name: String,
    /// Index of its setting.
    pub setting: usize,
    /// The experiment file.
    pub base: PathBuf,
    /// What is laid over it.
    pub changes: Vec<Override>,
    /// What comes of it.
    pub plan: AnyPlan,
    /// Where it is kept.
    pub folder: PathBuf,
}

impl Sweep {
    /// The sweep of the file at `path` under the overrides `set`, kept in `folder` or in `runs/NAME`.
    ///
    /// # Errors
    /// Bad input: in the file, in a plan of a run, or two runs that are the same.
    pub fn of_file(path: &Path, set: &[Override], folder: Option<&Path>) -> anyhow::Result<Self> {
        Self::new(path, SweepFile::load(path)?, set, folder)
    }

    fn new(path: &Path, file: SweepFile, set: &[Override], folder: Option<&Path>) -> anyhow::Result<Self> {
        check_overrides(&file, set)?;
        let folder = folder.map_or_else(|| default_folder(path), Path::to_owned);
        let keys: Vec<_> = file.grid.iter().map(|axis| axis.key.clone()).collect();
        let name = path.file_stem().unwrap_or(path.as_os_str()).display().to_string();
        let mut sweep = Self { name, folder, keys, settings: Vec::new(), runs: Vec::new() };
        let cases: Vec<_> = if file.cases.is_empty() { vec![None] } else { file.cases.iter().map(Some).collect() };
        for case in cases {
            for point in product(&file.grid) {
                let own = case.into_iter().flat_map(|case| &case.set).chain(point.iter().map(|(_, change)| change));
                let changes: Vec<_> = file.set.iter().chain(own).chain(set).cloned().collect();
                let values = point.iter().map(|(value, _)| value.clone()).collect();
                sweep.add(path, base(path, &file, case)?, case, values, (changes, file.seeds.as_deref()))?;
            }
        }
        sweep.check_distinct(path)?;
        Ok(sweep)
    }

    /// Adds a setting and its runs.
    fn add(
        &mut self,
        path: &Path,
        base: &Path,
        case: Option<&Case>,
        values: Vec<Value>,
        (changes, seeds): (Vec<Override>, Option<&[u64]>),
    ) -> anyhow::Result<()> {
        let case = case.map(|case| case.name.clone());
        let name = name::of_setting(case.as_deref(), &name::short(&self.keys), &values);
        let setting = self.settings.len();
        for seed in seeds.map_or(vec![None], |seeds| seeds.iter().map(Some).collect()) {
            let mut changes = changes.clone();
            changes.extend(seed.map(|seed| seed_of(path, *seed)).transpose()?);
            let plan = AnyPlan::of_file(base, &changes)?;
            let name = name::of_run(&name, plan.seed());
            if name.len() > LONGEST_NAME {
                let message = "the name is too long for a folder; give the settings names, in [[case]] tables";
                return Err(bad_input(format!("{}: {name}: {message}", path.display())));
            }
            let folder = self.folder.join(&name);
            self.runs.push(Run { name, setting, base: base.to_owned(), changes, plan, folder });
        }
        let name = if name.is_empty() { "base".to_owned() } else { name };
        self.settings.push(Setting { name, case, values });
        Ok(())
    }

    /// Refuses runs that share a folder, and runs that differ in name only.
    fn check_distinct(&self, path: &Path) -> anyhow::Result<()> {
        let mut names = BTreeMap::new();
        for (index, run) in self.runs.iter().enumerate() {
            let same = self.runs[..index].iter().find(|other| other.plan == run.plan);
            let problem = match (names.insert(&run.name, index), same) {
                (Some(_), _) => format!("two runs have the name {}", run.name),
                (None, Some(other)) => format!("the runs {} and {} are the same", other.name, run.name),
                (None, None) => continue,
            };
            return Err(bad_input(format!("{}: {problem}", path.display())));
        }
        Ok(())
    }
}

/// Refuses an override that takes the place of what the sweep varies.
fn check_overrides(file: &SweepFile, set: &[Override]) -> anyhow::Result<()> {
    let axes = file.grid.iter().flat_map(|axis| &axis.points).map(|(_, change)| change);
    let hides = |change: &Override, hidden: &Override| hidden.is_within(&change.key());
    if let Some((change, hidden)) = axes
        .flat_map(|axis| set.iter().map(move |change| (change, axis)))
        .find(|(change, hidden)| hides(change, hidden))
    {
        return Err(bad_input(format!("{change}: the sweep gives `{}` several values ({hidden})", hidden.key())));
    }
    let all = file.set.iter().chain(file.cases.iter().flat_map(|case| &case.set)).chain(set);
    match all.into_iter().find(|change| change.is_within("seed") && file.seeds.is_some()) {
        Some(change) => Err(bad_input(format!("{change}: the sweep has a list of seeds"))),
        None => Ok(()),
    }
}

/// The experiment file of a case.
fn base<'f>(path: &Path, file: &'f SweepFile, case: Option<&'f Case>) -> anyhow::Result<&'f Path> {
    let base = case.and_then(|case| case.base.as_ref()).or(file.base.as_ref());
    let missing = || match case {
        Some(Case { place, name, .. }) => {
            bad_input(format!("{place}: missing field `base` for the case {name}: the experiment file"))
        }
        None => bad_input(format!("{}: missing field `base`: the experiment file", path.display())),
    };
    base.map(PathBuf::as_path).ok_or_else(missing)
}

/// The change that gives a run its seed.
fn seed_of(path: &Path, seed: u64) -> anyhow::Result<Override> {
    format!("seed={seed}").parse().map_err(|message| bad_input(format!("{}: {message}", path.display())))
}

/// All points of a grid, the last key changing fastest; one point of no value where there are no keys.
fn product(grid: &[Axis]) -> Vec<Vec<&(Value, Override)>> {
    grid.iter().fold(vec![Vec::new()], |points, axis| {
        let longer =
            |point: &Vec<_>| axis.points.iter().map(|value| [&point[..], &[value]].concat()).collect::<Vec<_>>();
        points.iter().flat_map(longer).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sweeps of a folder with two experiment files.
    fn sweep(text: &str, set: &[&str]) -> anyhow::Result<Sweep> {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.toml"), "task = 'lm'\n[loss.sampler]\nkind = 'rff'\n").unwrap();
        std::fs::write(place.path().join("b.toml"), "task = 'xmc'\nseed = 5\n").unwrap();
        let set: Vec<_> = set.iter().map(|text| text.parse().unwrap()).collect();
        let path = place.path().join("s.toml");
        Sweep::new(&path, SweepFile::parse(&path, text)?, &set, None)
    }

    fn names(text: &str) -> Vec<String> {
        sweep(text, &[]).unwrap().runs.into_iter().map(|run| run.name).collect()
    }

    /// The message of an error, without the folder of the file.
    fn message(text: &str, set: &[&str]) -> String {
        let message = sweep(text, set).unwrap_err().to_string();
        let from = message.find("s.toml").unwrap_or(0);
        if message.starts_with("--set") { message } else { message[from..].to_owned() }
    }

    #[test]
    fn a_grid_is_every_combination_for_every_seed() {
        let text =
            "base = 'a.toml'\nseeds = [1, 2]\n[grid]\n'loss.sampler.nu' = [1.0, 4.0]\n'loss.draws' = [5, 7, 9]\n";
        let sweep = sweep(text, &[]).unwrap();
        assert_eq!((sweep.settings.len(), sweep.runs.len()), (6, 12));
        let settings: Vec<_> = sweep.settings.iter().map(|setting| setting.name.as_str()).collect();
        let wanted = ["nu=1_draws=5", "nu=1_draws=7", "nu=1_draws=9", "nu=4_draws=5", "nu=4_draws=7", "nu=4_draws=9"];
        assert_eq!(settings, wanted);
        let run = &sweep.runs[9];
        assert_eq!((run.name.as_str(), run.setting, run.plan.seed()), ("nu=4_draws=7_seed=2", 4, 2));
        assert_eq!(run.plan.loss().draws, 7);
        assert_eq!((&sweep.name, run.folder.to_str()), (&"s".to_owned(), Some("runs/s/nu=4_draws=7_seed=2")));
    }

    #[test]
    fn cases_stand_alone_or_at_every_point_and_without_seeds_that_of_the_base_holds() {
        let cases =
            "base = 'a.toml'\n[[case]]\nname = 'x'\nset.loss.tau = 3.0\n[[case]]\nname = 'y'\nbase = 'b.toml'\n";
        assert_eq!(names(cases), ["x_seed=1", "y_seed=5"]);
        let both = names(&format!("{cases}[grid]\n'loss.draws' = [5, 7]\n"));
        assert_eq!(both, ["x_draws=5_seed=1", "x_draws=7_seed=1", "y_draws=5_seed=5", "y_draws=7_seed=5"]);
        assert_eq!(names("base = 'a.toml'\nseeds = [3]"), ["seed=3"]);
    }

    #[test]
    fn the_later_setting_wins() {
        let text = "base = 'a.toml'\n[set]\nloss.tau = 1.0\nloss.draws = 1\ntrain.steps = 1\n\
                    [[case]]\nname = 'x'\nset.loss.draws = 2\nset.train.steps = 2\n[grid]\n'loss.estimator' = ['both-corrected']\n";
        let run = &sweep(text, &["train.epochs=3"]).unwrap().runs[0];
        let AnyPlan::Lm(plan) = &run.plan else { panic!("not lm") };
        assert_eq!((plan.loss.tau, plan.loss.draws, plan.train.epochs, plan.train.steps), (1.0, 2, Some(3), None));
    }

    #[test]
    fn a_bad_value_of_any_run_is_named_with_its_line() {
        let text = "base = 'a.toml'\n[grid]\n'loss.sampler.nu' = [\n  1.0,\n  -1.0,\n]\n";
        let wanted = "s.toml, line 5, loss.sampler.nu: -1 is not allowed; it must be positive and finite";
        assert_eq!(message(text, &[]), wanted);
        let text = "base = 'a.toml'\n[grid]\n'loss.sampler.mu' = [1.0]\n";
        assert!(message(text, &[]).starts_with("s.toml, line 3, loss.sampler.mu: unknown field `mu`, expected one of"));
        let text = "base = 'a.toml'\n[set]\n'train.steps' = 'x'\n";
        assert!(message(text, &[]).starts_with("s.toml, line 3, train.steps: invalid type: string \"x\""));
        assert!(message("base = 'a.toml'", &["loss.taw=1"]).starts_with("--set loss.taw=1: unknown field `taw`"));
    }

    #[test]
    fn what_hides_the_sweep_is_refused() {
        let text = "base = 'a.toml'\nseeds = [1]\n[grid]\n'loss.sampler.nu' = [1.0]\n";
        for change in ["loss.sampler.nu=2", "loss.sampler={kind='exp'}"] {
            let message = message(text, &[change]);
            let wanted = format!("--set {change}: the sweep gives `loss.sampler.nu` several values (");
            assert!(message.starts_with(&wanted) && message.ends_with("s.toml, line 4, loss.sampler.nu)"), "{message}");
        }
        assert_eq!(message(text, &["seed=3"]), "--set seed=3: the sweep has a list of seeds");
        assert!(sweep(text, &["loss.sampler.features=64"]).is_ok());
        assert!(sweep("base = 'a.toml'", &["seed=3"]).is_ok());
    }

    #[test]
    fn runs_that_are_the_same_are_refused() {
        let text = "base = 'a.toml'\n[grid]\n'loss.draws' = [5, 5]\n";
        assert_eq!(message(text, &[]), "s.toml: two runs have the name draws=5_seed=1");
        let text = "base = 'a.toml'\n[[case]]\nname = 'x'\n[[case]]\nname = 'y'\nset.seed = 1\n";
        assert_eq!(message(text, &[]), "s.toml: the runs x_seed=1 and y_seed=1 are the same");
        let text = "base = 'a.toml'\n[grid]\n'loss.sampler.nu' = [1.0, 2.0]\n'loss.sampler' = [{ kind = 'uniform' }]\n";
        let message = message(text, &[]);
        assert!(message.ends_with("are the same"), "{message}");
    }

    #[test]
    fn an_experiment_file_is_needed_and_must_be_there() {
        assert_eq!(message("seeds = [1]", &[]), "s.toml: missing field `base`: the experiment file");
        let text = "[[case]]\nname = 'x'\n";
        assert_eq!(message(text, &[]), "s.toml, line 2: missing field `base` for the case x: the experiment file");
        let error = format!("{:#}", sweep("base = 'c.toml'", &[]).unwrap_err());
        assert!(error.contains("c.toml: No such file"), "{error}");
        let text = "base = 'a.toml'\n[set]\n'data' = { kind = 'text', train = 'a', valid = 'b', test = 'c' }\n";
        assert_eq!(names(text), ["seed=1"]);
    }

    #[test]
    fn a_name_that_no_folder_may_have_is_refused() {
        let text = format!("base = 'a.toml'\n[[case]]\nname = '{}'\n", "x".repeat(250));
        assert!(message(&text, &[]).contains("the name is too long for a folder"));
    }

    #[test]
    fn every_sweep_in_configs_has_a_plan_for_every_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/sweeps");
        let mut sweeps = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let sweep = Sweep::of_file(&entry.unwrap().path(), &[], None).unwrap();
            assert!(sweep.runs.len() >= 2, "{}", sweep.name);
            sweeps += 1;
        }
        assert!(sweeps >= 7, "{sweeps}");
    }
}
