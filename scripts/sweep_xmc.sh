#!/usr/bin/env bash
# The table of extreme classification on acl-authors and yso-finna-en: configs/sweeps/xmc-{acl,yso}.toml.
#
# Needs acl-authors/ and yso-finna-en/ under RFS_DATA or datasets/.
# Two runs at a time, one core each; a sweep that was interrupted goes on.
# Two cores: about 20 minutes for acl and 15 for yso by the speeds in README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release
cargo run --release --quiet -- sweep configs/sweeps/xmc-acl.toml --jobs 2
cargo run --release --quiet -- sweep configs/sweeps/xmc-yso.toml --jobs 2
