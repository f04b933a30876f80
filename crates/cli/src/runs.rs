//! Where runs are kept.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rf_training::{Checkpoint, Error, RunFolder};

use crate::args::{CheckpointChoice, TrainArgs};
use crate::exit::{OrBadInput, bad_input};
use crate::plan::{AnyPlan, Differences};

/// The folder that `rfs train` works in, with `plan` stored in it.
///
/// A folder that holds a run is refused, unless it is to be resumed and its plan is continued by `plan`.
pub fn open_for_training(args: &TrainArgs, plan: &AnyPlan) -> anyhow::Result<RunFolder> {
    let path = args.run.clone().unwrap_or_else(|| default_folder(&args.config));
    let folder = match RunFolder::create(&path, args.resume) {
        Err(error @ Error::HoldsARun { .. }) => {
            let hint = "continue it with --resume, or keep the new one elsewhere with --run DIR";
            return Err(bad_input(format!("{error}: {hint}")));
        }
        other => other?,
    };
    if folder.holds_a_run() {
        compare_plans(plan, &AnyPlan::load(&folder)?, &folder)?;
        if args.checkpoint == Some(CheckpointChoice::Best) && !latest_is_best(&folder) {
            folder.back_to_best().or_bad_input()?;
        }
    }
    plan.save(&folder)?;
    if args.tensorboard {
        // A run writes event files where their folder is, so that one that goes on need not be told again.
        let path = folder.tensorboard();
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    Ok(folder)
}

/// The folder of a run that is there, and its plan.
pub fn open_for_reading(path: &Path) -> anyhow::Result<(AnyPlan, RunFolder)> {
    let folder = RunFolder::open(path).or_bad_input()?;
    Ok((AnyPlan::load(&folder)?, folder))
}

/// The checkpoint asked for; if none was, the one that the summary scores.
pub fn checkpoint(folder: &RunFolder, choice: Option<CheckpointChoice>) -> anyhow::Result<PathBuf> {
    let latest = Checkpoint::open(&folder.checkpoint()).or_bad_input()?;
    Ok(match choice {
        Some(CheckpointChoice::Latest) => folder.checkpoint(),
        Some(CheckpointChoice::Best) if !latest.is_best() => folder.best(),
        None if !latest.is_best() && folder.best().exists() => folder.best(),
        Some(CheckpointChoice::Best) | None => folder.checkpoint(),
    })
}

/// Whether the latest checkpoint is whole and has the best validation of all.
fn latest_is_best(folder: &RunFolder) -> bool {
    Checkpoint::open(&folder.checkpoint()).is_ok_and(|latest| latest.is_best())
}

/// `runs/ptb` for `configs/lm/ptb.toml`.
pub fn default_folder(config: &Path) -> PathBuf {
    Path::new("runs").join(config.file_stem().unwrap_or(config.as_os_str()))
}

/// The error about a folder whose run has another plan, `differences` being in the way.
pub fn another_plan(folder: &RunFolder, differences: &[String]) -> anyhow::Error {
    let (path, differences) = (folder.path().display(), differences.join("; "));
    bad_input(format!("{path} holds a run with another plan, which cannot be resumed with this one: {differences}"))
}

/// Refuses a plan that does not continue the `saved` one, and tells what it changes if it does.
fn compare_plans(plan: &AnyPlan, saved: &AnyPlan, folder: &RunFolder) -> anyhow::Result<()> {
    let Differences { allowed, refused } = plan.differences(saved)?;
    let path = folder.path().display();
    if !refused.is_empty() {
        return Err(another_plan(folder, &refused));
    }
    if !allowed.is_empty() {
        eprintln!("changed for the rest of the run in {path}: {}", allowed.join("; "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};
    use crate::experiment;

    const TEXT: &str = "task = 'lm'\n";

    fn open(run: &Path, more: &[&str]) -> anyhow::Result<RunFolder> {
        let run = run.display().to_string();
        let typed = [&["rfs", "train", "a.toml", "--run", &run], more].concat();
        let Command::Train(args) = Args::parse_from(typed).command else { panic!("not train") };
        let document = experiment::parse(&args.config, TEXT, &args.set)?;
        open_for_training(&args, &AnyPlan::new(document, "/data".as_ref())?)
    }

    #[test]
    fn a_run_is_named_after_its_file() {
        assert_eq!(default_folder(Path::new("configs/lm/ptb.toml")), Path::new("runs/ptb"));
    }

    #[test]
    fn a_second_run_in_a_folder_is_refused_with_the_ways_out() {
        let place = tempfile::tempdir().unwrap();
        let folder = open(place.path(), &[]).unwrap();
        open(place.path(), &["--set", "seed=5"]).unwrap();
        fs::write(folder.journal(), "").unwrap();
        let error = open(place.path(), &[]).unwrap_err().to_string();
        assert!(error.contains("already holds a run: continue it with --resume, or"), "{error}");
    }

    #[test]
    fn a_run_is_resumed_with_its_own_plan_or_a_longer_one() {
        let place = tempfile::tempdir().unwrap();
        let folder = open(place.path(), &["--resume", "--set", "train.epochs=2"]).unwrap();
        fs::write(folder.journal(), "").unwrap();
        open(place.path(), &["--resume", "--set", "train.epochs=2"]).unwrap();
        open(place.path(), &["--resume", "--set", "train.epochs=3"]).unwrap();
        let AnyPlan::Lm(plan) = open_for_reading(place.path()).unwrap().0 else { panic!("not lm") };
        assert_eq!(plan.train.epochs, Some(3));
        let error = open(place.path(), &["--resume", "--set", "seed=2"]).unwrap_err().to_string();
        assert!(error.ends_with("seed: 1 there, 2 here; train.epochs: 3 there, 1 here"), "{error}");
        assert_eq!(open_for_reading(place.path()).unwrap().0, AnyPlan::Lm(plan));
    }

    #[test]
    fn a_folder_that_is_no_run_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let error = open_for_reading(place.path()).unwrap_err().to_string();
        assert!(error.ends_with("is not a run folder: it has no plan.toml"), "{error}");
    }
}
