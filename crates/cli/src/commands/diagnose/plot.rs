//! KL against the time of a query, as a picture.

use std::path::Path;

use rf_training::replace_file;

use super::Outcome;
use crate::commands::plots::{Mark, Picture, Scatter};
use crate::commands::told::grouped;
use crate::exit::bad_input;

/// Refuses a file that could not be written, before anything is measured.
pub fn check(path: &Path) -> anyhow::Result<()> {
    let bad = |why: &str| Err(bad_input(format!("--plot {}: {why}", path.display())));
    if path.extension().is_none_or(|extension| extension != "svg") {
        return bad("the name must end in .svg");
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => bad("there is no such folder"),
        _ => Ok(()),
    }
}

/// Draws the outcome into the file at `path`.
pub fn write(outcome: &Outcome<'_>, path: &Path) -> anyhow::Result<()> {
    let svg = picture(outcome).svg()?;
    Ok(replace_file(path, |file| file.write_all(svg.as_bytes()))?)
}

fn picture(outcome: &Outcome<'_>) -> Picture {
    let (run, n) = (outcome.run.display(), grouped(outcome.n as u64));
    let (m, queries, entropy) = (outcome.m, outcome.queries, outcome.entropy);
    let title = format!("{run}: n = {n}, m = {m}, {queries} queries, entropy {entropy:.2} nats");
    let marks = outcome.rows.iter().map(|row| Mark {
        name: row.sampler.clone(),
        x: row.milliseconds(),
        y: row.kl,
        own: row.own,
    });
    Picture::Scatter(Scatter::of_kl(title, marks.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_could_not_be_written_is_refused_at_once() {
        let message = |path: &str| check(Path::new(path)).unwrap_err().to_string();
        assert_eq!(message("a.png"), "--plot a.png: the name must end in .svg");
        assert_eq!(message("/nowhere/a.svg"), "--plot /nowhere/a.svg: there is no such folder");
        assert!(check(Path::new("a.svg")).is_ok());
    }
}
