//! How to go on with a run that came to a halt.

use std::path::Path;

use rf_training::{Checkpoint, Error, RunFolder};

/// What to tell beside `error`, after which the run in `folder` can go on.
pub fn way_on(error: &Error, folder: &RunFolder) -> String {
    let path = folder.checkpoint();
    let step_of = |path: &Path| Checkpoint::open(path).ok().and_then(|checkpoint| checkpoint.step());
    let Some(step) = step_of(&path) else {
        return format!("there is no checkpoint in {} yet", folder.path().display());
    };
    let command = command(std::env::args());
    let way_on = format!("the checkpoint of step {step} is in {}; to go on from it:\n  {command}", path.display());
    if !matches!(error, Error::Diverged { .. }) {
        return way_on;
    }
    // Numbers may be finite and far off long before they overflow, so the latest checkpoint may be of no use.
    let best = step_of(&folder.best()).filter(|best| *best != step).map_or(String::new(), |best| {
        format!("\nor, with --checkpoint best, from the best checkpoint, that of step {best}")
    });
    format!("{way_on} --set optimizer.learning_rate=RATE{best}")
}

/// The command that was typed, with `--resume`.
fn command(typed: impl Iterator<Item = String>) -> String {
    let mut words: Vec<_> = typed.collect();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".into());
    }
    line(words)
}

/// A command as a shell reads it.
pub fn line(words: impl IntoIterator<Item = String>) -> String {
    words.into_iter().map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command_of(words: &[&str]) -> String {
        command(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn the_command_is_the_one_typed_with_resume_once() {
        assert_eq!(
            command_of(&["rfs", "train", "a.toml", "--set", "seed=3"]),
            "rfs train a.toml --set seed=3 --resume"
        );
        assert_eq!(command_of(&["rfs", "train", "--resume", "a.toml"]), "rfs train --resume a.toml");
    }

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(
            command_of(&["rfs", "my run", "data={kind='text'}"]),
            r"rfs 'my run' 'data={kind='\''text'\''}' --resume"
        );
    }
}
