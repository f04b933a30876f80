#!/usr/bin/env bash
# RF-softmax on Penn Treebank at five numbers D of features, T = 0.5: configs/sweeps/ptb-features.toml.
#
# Needs ptb/ptb.{train,valid,test}.txt (`rfs data fetch ptb`) under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Two cores: an estimate of 3 minutes by the speeds in README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/ptb-features.toml --jobs 2
