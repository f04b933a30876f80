#!/usr/bin/env bash
# The table of extreme classification of Rawat et al. 2019 on its own data sets: configs/sweeps/xmc-paper.toml.
#
# Needs xmc/{amazoncat13k,delicious200k,wikilshtc325k}/, got by hand (`rfs data fetch amazoncat13k` tells how), under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Not run so far, so no time and no figures are known here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/xmc-paper.toml --jobs 2
