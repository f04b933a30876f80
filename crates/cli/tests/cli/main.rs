//! The command as a user meets it: `rfs` is started, its exit code, its outputs and its run folder are looked at.

mod bad_input;
mod bench;
mod browser;
mod data;
mod diagnose;
mod diverged;
mod early_stop;
#[cfg(unix)]
mod full_disk;
#[cfg(unix)]
mod interrupted;
#[cfg(feature = "wgpu")]
mod on_card;
mod outcome;
mod predict;
mod repeatable;
mod report;
mod rig;
mod sweep;
mod tensorboard;
mod xmc;
