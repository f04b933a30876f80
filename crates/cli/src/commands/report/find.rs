//! Run folders, given by themselves or by a folder above them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rf_training::RunFolder;

use crate::exit::bad_input;

/// A run folder and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    pub name: String,
}

/// All runs at or below `paths`, each once, those of a folder by name.
///
/// A run is named after its folder, one below the folder that was given by its way from there; where two would have
/// one name, each has its path.
///
/// # Errors
/// Bad input if there is no run at or below one of them.
pub fn runs(paths: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    let (mut found, mut known) = (Vec::new(), HashSet::new());
    for given in paths {
        if !given.is_dir() {
            return Err(bad_input(format!("{}: there is no such folder", given.display())));
        }
        let mut below = Vec::new();
        search(given, &mut below)?;
        if below.is_empty() {
            let problem = "is not a run folder: it has no plan.toml, and there is no run below it";
            return Err(bad_input(format!("{} {problem}", given.display())));
        }
        for path in below {
            if known.insert(fs::canonicalize(&path).with_context(|| path.display().to_string())?) {
                let name = name(&path, given);
                found.push(Found { path, name });
            }
        }
    }
    let names: Vec<String> = found.iter().map(|found| found.name.clone()).collect();
    for run in &mut found {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = run.path.display().to_string();
        }
    }
    Ok(found)
}

/// Adds the run at `path`, or else those below it.
fn search(path: &Path, runs: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if RunFolder::open(path).is_ok() {
        runs.push(path.to_owned());
        return Ok(());
    }
    let context = || path.display().to_string();
    let mut folders = Vec::new();
    for entry in fs::read_dir(path).with_context(context)? {
        let entry = entry.with_context(context)?;
        // Links are not followed: they may lead around in a circle.
        if entry.file_type().with_context(context)?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    folders.iter().try_for_each(|folder| search(folder, runs))
}

fn name(path: &Path, given: &Path) -> String {
    let below = path.strip_prefix(given).ok().filter(|below| !below.as_os_str().is_empty());
    let name = below.map(Path::to_owned).or_else(|| Some(fs::canonicalize(path).ok()?.file_name()?.into()));
    name.unwrap_or_else(|| path.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(runs: &[&str]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for run in runs {
            fs::create_dir_all(place.path().join(run)).unwrap();
            fs::write(place.path().join(run).join("plan.toml"), "").unwrap();
        }
        place
    }

    fn names(paths: &[PathBuf]) -> Vec<String> {
        runs(paths).unwrap().into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn a_folder_stands_for_all_runs_below_it_and_a_run_counts_once() {
        let place = place(&["b", "a/two", "a/one", "a/one/checkpoint"]);
        let below = |name: &str| place.path().join(name);
        assert_eq!(names(&[place.path().to_owned()]), ["a/one", "a/two", "b"]);
        assert_eq!(names(&[below("a/two"), below("a"), below("b/.")]), ["two", "one", "b"]);
    }

    #[test]
    fn runs_of_one_name_have_their_paths() {
        let place = place(&["x/rff", "y/rff", "y/exp"]);
        let [x, y] = ["x", "y"].map(|name| place.path().join(name));
        let path = |path: &Path| path.join("rff").display().to_string();
        assert_eq!(names(&[x.clone(), y.clone()]), [path(&x), "exp".into(), path(&y)]);
    }

    #[test]
    fn a_folder_without_runs_is_refused_by_name() {
        let place = place(&[]);
        let refused = |path: PathBuf| runs(&[path]).unwrap_err().to_string();
        assert!(refused(place.path().into()).ends_with("it has no plan.toml, and there is no run below it"));
        assert!(refused(place.path().join("no")).ends_with("no: there is no such folder"));
    }
}
