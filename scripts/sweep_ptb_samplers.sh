#!/usr/bin/env bash
# Every proposal on Penn Treebank at m = 100: configs/sweeps/ptb-samplers.toml.
#
# Needs ptb/ptb.{train,valid,test}.txt (`rfs data fetch ptb`) under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Two cores: about 23 minutes by the speeds in README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/ptb-samplers.toml --jobs 2
