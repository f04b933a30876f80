//! One file with the whole state of a run: named tensors and a small JSON value.
//!
//! The file is in the safetensors format, so other tools can read the tensors. Beside them its metadata has one
//! entry, `rf-training`, with three fields divided by spaces: the format's number, the CRC-32 of the rest, and JSON
//! with the CRC-32 of every tensor and the caller's state. A checkpoint is thus either exactly what was written or
//! refused.

mod element;
mod parts;
mod reader;
mod writer;

pub use reader::Checkpoint;
pub use writer::CheckpointWriter;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Number of the format described above.
const FORMAT: u32 = 1;

/// Name of the one metadata entry.
const NOTES: &str = "rf-training";

/// The JSON part of the metadata entry.
#[derive(Debug, Serialize, Deserialize)]
struct Notes {
    crc32: BTreeMap<String, u32>,
    state: serde_json::Value,
}

#[cfg(test)]
mod tests;
