#!/usr/bin/env bash
# All tests with the feature `wgpu`, on whatever device wgpu finds: lints first, then the kernels beside plain Rust, heads and runs on the
# device beside those on the host. Without a device the tests that need one say so and pass, unless RFS_EXPECT_DEVICE is set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo clippy --workspace --all-targets --features wgpu -- -D warnings
cargo test --workspace --features wgpu --lib --bins --tests
