#!/usr/bin/env bash
# RF-softmax on Penn Treebank at three temperatures T = 1/sqrt(nu), D = 1024: configs/sweeps/ptb-temperature.toml.
#
# Needs ptb/ptb.{train,valid,test}.txt (`rfs data fetch ptb`) under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Two cores: an estimate of 3 minutes by the speeds in README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/ptb-temperature.toml --jobs 2
