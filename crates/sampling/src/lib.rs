//! Proposal laws.
#![allow(missing_docs)]
mod linalg;
mod stream;
pub use linalg::{Matrix, Threads, dot, matmul};
pub use stream::{Purpose, stream};
