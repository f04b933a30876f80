#!/usr/bin/env bash
# Everything that must hold before a commit, cheapest first: formatting, lints, tests, docs, dependencies.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# stage NAME COMMAND...: a heading, the command, its wall time.
stage() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@"
    printf -- '-- %s: %d s\n' "$name" "$((SECONDS - start))"
}

stage format cargo fmt --all --check
stage lint cargo clippy --workspace --all-targets -- -D warnings
stage test cargo test --workspace
stage doc env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps
if command -v cargo-deny >/dev/null; then
    stage deny cargo deny check
else
    printf '\n== deny: skipped, cargo-deny is not installed (cargo install cargo-deny)\n'
fi
printf '\nAll checks passed.\n'
