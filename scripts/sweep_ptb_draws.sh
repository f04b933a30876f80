#!/usr/bin/env bash
# Numbers of draws m under three proposals on Penn Treebank: configs/sweeps/ptb-draws.toml.
#
# Needs ptb/ptb.{train,valid,test}.txt (`rfs data fetch ptb`) under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Two cores: 7 minutes beside other work (AVX2); the figures are in docs/src/papers.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/ptb-draws.toml --jobs 2
