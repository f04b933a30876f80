#!/usr/bin/env bash
# Codewords K of MIDX on Penn Treebank: configs/sweeps/ptb-codewords.toml.
#
# Needs ptb/ptb.{train,valid,test}.txt (`rfs data fetch ptb`) under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Two cores: about 4 minutes beside a build (AVX2); the figures are in docs/src/papers.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/ptb-codewords.toml --jobs 2
