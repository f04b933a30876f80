#!/usr/bin/env bash
# RF-softmax on Penn Treebank at three temperatures T = 1/sqrt(nu), D = 1024: configs/sweeps/ptb-temperature.toml.
#
# Needs ptb/ptb.{train,valid,test}.txt (`rfs data fetch ptb`) under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Two cores: 9 minutes for the last seven of its nine runs, beside other work (AVX2); the figures are in docs/src/papers.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/ptb-temperature.toml --jobs 2
