#!/usr/bin/env bash
# The table of extreme classification on acl-authors and yso-finna-en: configs/sweeps/xmc-{acl,yso}.toml.
#
# Needs acl-authors/ and yso-finna-en/ under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Two cores: 18 minutes for acl and 20 for yso (AVX2); the figures are in docs/src/papers.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/xmc-acl.toml --jobs 2
cargo run --release --quiet -- sweep configs/sweeps/xmc-yso.toml --jobs 2
