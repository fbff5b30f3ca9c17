#!/usr/bin/env bash
# Builds payquery and lets it run for a try: private Postgres, demo merchant, curl lines. With DATABASE_URL set it uses
# that server, and none is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

needs=(cargo cc)
[[ -n ${DATABASE_URL:-} ]] || needs+=(postgres)
scripts/require.sh "${needs[@]}"
cargo build --release --locked --bin payquery
exec "$(scripts/target-dir.sh)/release/payquery"
