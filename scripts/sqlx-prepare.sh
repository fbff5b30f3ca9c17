#!/usr/bin/env bash
# Writes `.sqlx`, the shapes of all queries, from the migrations and the sources; with --check only compares.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/require.sh cargo cc postgres
PATH="$(scripts/tool.sh sqlx-cli):$PATH"
scripts/scratch-postgres.sh sh -c 'sqlx migrate run && cargo sqlx prepare "$@" -- --all-targets --locked' sh "$@"
