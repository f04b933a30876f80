#!/usr/bin/env bash
# Everything that a graphics card is measured by, in one go: steps of a head by table size, PyTorch's full softmax on the same card, and
# tokens a second of language models, points a second of a classifier. One JSON file for each part in OUT (default: runs/gpu).
#
#     scripts/bench/gpu.sh wgpu            # any card with Vulkan or Metal; a few minutes, and the build
#     scripts/bench/gpu.sh cuda            # NVIDIA, with CUDA 12
#     SMALL=1 scripts/bench/gpu.sh wgpu    # sizes for software Vulkan
#
# The model over 3,953 topics of generated text has 1,000,110 words. PyTorch is run where python3 has it. The 10^7 classes of the last row take 10 GB a table and 30 GB with the moments of Adam.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
device=${1:?wgpu or cuda}
out=${OUT:-runs/gpu}
mkdir -p "$out"

classes=10000,100000,1000000,10000000 dim=256 batch=4096 draws=100 shared=4096 repeat=21 steps=300 topics=3953
profile=release folder=release
if [[ -n "${SMALL:-}" ]]; then
    # The kernels are compiled by the driver: the profile of the tests will do.
    classes=1000,10000 dim=64 batch=256 draws=20 shared=64 repeat=5 steps=5 topics=80
    profile=dev folder=debug
fi

cargo build --workspace --profile "$profile" --features "$device"
rfs=${CARGO_TARGET_DIR:-target}/$folder/rfs

# Two levels of leaves at every size: three have no form on a card. A draw of RF-softmax reads all rows of its leaf: on a card small
# leaves pay, though they make the tree larger.
for sampler in cluster:levels=2 rff:features=128,nu=2,leaf_law=gauss,leaf_size=16 unigram uniform; do
    "$rfs" bench step --device "$device" --classes "$classes" --dim "$dim" --batch "$batch" --draws "$draws" --repeat "$repeat" \
        --samplers "$sampler" --json >"$out/step-${sampler%%:*}-$device.json"
done

# Draws shared by the batch: of the leaf laws of RF-softmax only `features` has a law for it.
for sampler in rff:features=128,nu=2,leaf_law=features cluster:levels=2 unigram; do
    "$rfs" bench step --device "$device" --classes "$classes" --dim "$dim" --batch "$batch" --sharing batch --draws "$shared" \
        --repeat "$repeat" --samplers "$sampler" --json >"$out/step-shared-${sampler%%:*}-$device.json"
done

if python3 -c 'import torch' 2>/dev/null; then
    torch=$(python3 -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')
    python3 scripts/bench/full_softmax_torch.py --device "$torch" --classes "${classes%,10000000}" --dim "$dim" --batch "$batch" \
        --repeat "$repeat" >"$out/full-softmax-torch.json"
else
    echo "python3 has no PyTorch: the full softmax is not timed" >&2
fi

# Tokens and points a second: the summary of a short run has them.
train() {
    local name=$1 config=$2
    shift 2
    rm -rf "$out/$name"
    "$rfs" train "$config" --device "$device" --run "$out/$name" --set train.steps="$steps" --set train.eval_tokens=2000 "$@"
    cp "$out/$name/summary.json" "$out/$name-$device.json"
}
train quickstart configs/quickstart.toml --set data.test_tokens=2000
train words configs/quickstart.toml --set data.test_tokens=2000 --set data.topics="$topics" --set loss.sharing=batch --set loss.draws=4096 --set "loss.sampler={kind='cluster',levels=2}"
if [[ -n "${SMALL:-}" ]]; then
    echo "the data sets are for a card: their test data alone would take software Vulkan an hour" >&2
    exit
fi
data=${RFS_DATA:-datasets}
if [[ -e $data/ptb ]]; then
    train ptb configs/lm/ptb-cluster.toml
fi
if [[ -e $data/reuters21578 ]]; then
    train reuters configs/lm/reuters-cluster.toml
fi
if [[ -e $data/acl-authors ]]; then
    train acl configs/xmc/acl.toml
fi
ls "$out"
