#!/usr/bin/env bash
# The Penn Treebank table of the README: the full softmax and every proposal of the papers, four epochs each, one seed.
#
# Needs ptb/ptb.{train,valid,test}.txt under RFS_DATA or datasets/ (`rfs data fetch ptb`).
# Two cores, 2.6 GHz AMD EPYC (Zen 5): about 6 min full, 8 min exp, 3 min uniform, unigram and log-uniform, 10 min rff,
# 30 min quadratic; under 320 MiB each. A run that was interrupted goes on.
# Expected test perplexity: see the table in README.md; a run is repeatable to the last digit on one kind of processor.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
for kind in full exp uniform log-uniform unigram quadratic rff; do
    cargo run --release --quiet -- train "configs/lm/ptb-$kind.toml" --run "runs/ptb-$kind" --resume
    cargo run --release --quiet -- eval "runs/ptb-$kind" --split test --json
done
