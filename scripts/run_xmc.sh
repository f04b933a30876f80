#!/usr/bin/env bash
# The tables of extreme classification in README.md: every sampler at one recipe on yso-finna-en and acl-authors, and our
# recipe beside omikuji. RFS_DATA is the folder of the data. Two cores: about an hour in all, 3.4 GB of memory at most.
#
#     RFS_DATA=… scripts/run_xmc.sh
#
# omikuji is run where it is installed (cargo install omikuji --features cli): 247 s on yso, 106 s on acl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
data=${RFS_DATA:-datasets}
runs=runs/xmc

train() {
    local name=$1 config=$2
    shift 2
    [[ -e $runs/$name/summary.json ]] || cargo run --release -- train "$config" --run "$runs/$name" --resume "$@"
}

for set in acl yso; do
    config=configs/xmc/$set.toml
    # Our recipe: P@1 17.9 on acl in 70 s of training, 36.4 on yso in 141 s.
    train "$set" "$config"

    # One recipe for all samplers: d = 128, 5 epochs on acl and 1 on yso.
    epochs=$([[ $set == acl ]] && echo 5 || echo 1)
    one=(--set model.dim=128 --set train.epochs="$epochs")
    own=(--set loss.sharing=query --set loss.draws=100)
    train "$set-full" "$config" "${one[@]}" --set loss.kind=full
    train "$set-rff" "$config" "${one[@]}"
    train "$set-exp" "$config" "${one[@]}" --set "loss.sampler={kind='exp'}"
    train "$set-unigram" "$config" "${one[@]}" --set "loss.sampler={kind='unigram'}"
    train "$set-uniform" "$config" "${one[@]}" --set "loss.sampler={kind='uniform'}"
    train "$set-rff-published" "$config" "${one[@]}" --set "loss.sampler={kind='rff'}"
    train "$set-rff-published-own" "$config" "${one[@]}" "${own[@]}" --set "loss.sampler={kind='rff'}"
    train "$set-quadratic" "$config" "${one[@]}" "${own[@]}" --set "loss.sampler={kind='quadratic'}"
done

if command -v omikuji >/dev/null; then
    for set in acl-authors yso-finna-en; do
        files=$(mktemp -d)
        for split in train test; do gunzip -c "$data/$set/$split.txt.gz" >"$files/$split.txt"; done
        time omikuji train --model_path "$files/model" "$files/train.txt"
        omikuji test "$files/model" "$files/test.txt"
        rm -r "$files"
    done
fi

# Memory and speed at the size of WikiLSHTC-325K, on generated points: 3.4 GB, 15 s.
train wikilshtc-size configs/quickstart-xmc.toml --set data.labels=325056 --set data.features=1617899 \
    --set data.features_per_point=42 --set data.train_points=200000 --set data.valid_points=100 \
    --set data.test_points=100 --set model.dim=128 --set train.steps=60 --set train.batch_size=512 \
    --set loss.draws=2048 --set loss.sharing=batch \
    --set "loss.sampler={kind='rff',features=128,nu=2.0,prior=0.75}"
