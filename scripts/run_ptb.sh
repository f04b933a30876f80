#!/usr/bin/env bash
# The Penn Treebank table of the README: full softmax, exact softmax proposal, uniform and RF-softmax, three epochs each.
#
# Needs ptb/ptb.{train,valid,test}.txt (Mikolov's preprocessing; see datasets/README.md) under RFS_DATA or datasets/.
# Two cores, 2.6 GHz AMD EPYC (Zen 5): about 4 min full, 6 min exp, 2 min uniform, 10 min rff; under 320 MiB each.
# Expected test perplexity: see the table in README.md; a run is repeatable to the last digit on one kind of processor.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
for kind in full exp uniform rff; do
    cargo run --release --quiet -- train "configs/lm/ptb-$kind.toml" --run "runs/ptb-$kind" --resume
    cargo run --release --quiet -- eval "runs/ptb-$kind" --split test --json
done
