#!/usr/bin/env bash
# Runs several replicas of payquery behind nginx on this machine, from Debian's packages, without Docker:
#   examples/replicas/run.sh [COMMAND...]
# With a command it runs that against them and stops; without one it runs until Ctrl-C. Settings: PAYQUERY_REPLICAS (3),
# PAYQUERY_PORT (nginx's; a free one), PAYQUERY_BIN (else it is built), and every setting of `payquery serve`.
# With DATABASE_URL set the replicas use that server, else a private Postgres that they share.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

needs=(nginx)
[[ -n ${DATABASE_URL:-} ]] || needs+=(postgres)
[[ -n ${PAYQUERY_BIN:-} ]] || needs+=(cargo cc)
scripts/require.sh "${needs[@]}"
if [[ -z ${PAYQUERY_BIN:-} ]]; then
  cargo build --release --locked --bin payquery
  PAYQUERY_BIN=$(scripts/target-dir.sh)/release/payquery
fi
export PAYQUERY_BIN
if [[ -n ${DATABASE_URL:-} ]]; then
  exec examples/replicas/fleet.sh "$@"
fi
exec "$PAYQUERY_BIN" with-postgres examples/replicas/fleet.sh "$@"
