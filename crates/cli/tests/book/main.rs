//! The book in `docs/`: what it says of settings is made from the code, and every command and block in it is run.

mod blocks;
mod commands;
mod settings;
mod source;

use std::path::PathBuf;

/// The folder of the workspace.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
