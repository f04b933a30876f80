//! The command as a user meets it: `rfs` is started, its exit code, its outputs and its run folder are looked at.

mod bad_input;
mod outcome;
mod repeatable;
mod rig;
