#!/usr/bin/env bash
# The Reuters table of the README: the full softmax and RF-softmax with draws shared by the batch, 64,000 classes, d = 512,
# side by side on one core each, for 15 minutes of training time (evaluation is not counted).
#
# Needs reuters21578/ under RFS_DATA or datasets/ (datasets/README.md says how it is made) and two cores, about 1.2 GB each.
# The validation perplexities and their seconds are printed at the end; they stand in runs/reuters-*/journal.jsonl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
# train KIND CORE STEPS_BETWEEN_EVALUATIONS: with nine evaluations of about 13 seconds, 17 minutes hold 15 of training.
train() {
    timeout --signal=INT 17m taskset -c "$2" cargo run --release --quiet -- train "configs/lm/reuters-$1.toml" \
        --run "runs/reuters-$1" --threads 1 --set train.epochs=40 --set "train.evaluate_every=$3" || true
}
train full 0 100 &
train rff 1 900 &
wait
grep -H '"event":"evaluation"' runs/reuters-{full,rff}/journal.jsonl
