//! From errors to exit codes.

use std::fmt::Display;
use std::process::ExitCode;

/// Marks an error as one of the input: a configuration, a data file, a run folder.
///
/// The command then exits with 2, as it does for bad usage.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BadInput(anyhow::Error);

/// An error of the input with nothing below it.
pub fn bad_input(message: impl Display) -> anyhow::Error {
    BadInput(anyhow::anyhow!("{message}")).into()
}

/// Marks the error of a result as one of the input: `….or_bad_input()?`.
pub trait OrBadInput<T> {
    /// The same result, its error wrapped in [`BadInput`].
    fn or_bad_input(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrBadInput<T> for Result<T, E> {
    fn or_bad_input(self) -> anyhow::Result<T> {
        self.map_err(|error| BadInput(error.into()).into())
    }
}

/// Exit code of a command that failed: 2 for bad input, 1 for anything else.
pub fn code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if is_bad_input(error) { 2 } else { 1 })
}

fn is_bad_input(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<BadInput>())
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    #[test]
    fn bad_input_is_recognised_under_context_and_prints_its_chain_once() {
        let error: Result<(), io::Error> = Err(io::Error::other("cut short"));
        let error = error.context("ptb.train.txt").or_bad_input().context("reading the data").unwrap_err();
        assert!(is_bad_input(&error));
        assert_eq!(format!("{error:#}"), "reading the data: ptb.train.txt: cut short");
    }

    #[test]
    fn any_other_error_is_not_bad_input() {
        assert!(!is_bad_input(&anyhow::anyhow!("the disk is full").context("checkpoint")));
        assert!(is_bad_input(&bad_input("no such split")));
    }
}
