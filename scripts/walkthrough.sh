#!/usr/bin/env bash
# Builds payquery and walks through its main job with it: examples/walkthrough.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/require.sh cargo cc postgres curl jq
cargo build --locked --bin payquery
PAYQUERY_BIN="$(scripts/target-dir.sh)/debug/payquery" exec examples/walkthrough.sh "$@"
