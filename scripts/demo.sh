#!/usr/bin/env bash
# Builds Tidegate as it is meant to run and starts its demo. What the build
# lacks is installed first. The first build takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$HOME/.cargo/bin:$PATH"

./scripts/setup.sh build
cargo build --release --locked
exec "${CARGO_TARGET_DIR:-target}/release/tidegate" demo "$@"
