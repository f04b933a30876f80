#!/usr/bin/env bash
# Proposals on Reuters news text, 64,000 classes, in place of Bnews: configs/sweeps/reuters-samplers.toml.
#
# Needs reuters21578/ (datasets/README.md says how it is made) under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Two cores: 39 minutes (AVX2); the figures are in docs/src/papers.md.
# The checkpoints of a run take 0.8 GB, 11 GB in all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/reuters-samplers.toml --jobs 2
