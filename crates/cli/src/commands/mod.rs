//! One file a command. Each takes a checked plan and the folder of its run.

pub mod eval;
pub mod train;
