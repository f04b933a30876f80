//! `rfs train` of a classifier.

use std::convert::Infallible;
use std::path::PathBuf;

use burn::tensor::Device;
use rf_data::{XcConfig, XcDataConfig};
use rf_training::RunFolder;

use super::outcome_of;
use crate::commands::told;
use crate::exit::OrBadInput;
use crate::interrupt::stop_on_signals;
use crate::plan::Plan;
use crate::task::Xmc;

/// Trains as `plan` says and tells the outcome.
pub fn run(plan: &Plan<Xmc>, folder: &RunFolder, device: &Device, resume: bool) -> anyhow::Result<()> {
    eprintln!("{}", source(&plan.data));
    let data = plan.data.load(&rf_data::data_root(), plan.seed).or_bad_input()?;
    eprint!("{}", told::xmc::before(plan, &data, folder)?);
    let stop = stop_on_signals()?;
    let outcome = rf_xmc::train(&plan.settings(), &data, plan.data.propensity(), folder, device, resume, &stop);
    let summary = outcome_of(outcome, folder)?;
    print!("{}", told::xmc::after(&summary, data.known.as_ref(), folder));
    Ok(())
}

/// What is read, which may take a while.
fn source(data: &XcDataConfig) -> String {
    let XcDataConfig::Xc(config) = data else { return "generating points".into() };
    let files = files(config);
    let bytes = files.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|about| about.len()).sum();
    let names: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
    format!("reading {} ({})", names.join(", "), told::size(bytes))
}

/// Every file that a data set names.
fn files(config: &XcConfig) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(_) = config.try_map(|path| {
        files.push(path.clone());
        Ok::<_, Infallible>(path.clone())
    });
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_named_with_the_size_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), "12345").unwrap();
        std::fs::write(path("b"), "123").unwrap();
        let config = XcConfig { label_names: Some(path("c")), ..XcConfig::new(path("a"), path("b")) };
        let names = ["a", "b", "c"].map(|name| path(name).display().to_string()).join(", ");
        assert_eq!(source(&XcDataConfig::Xc(config)), format!("reading {names} (8 B)"));
    }
}
