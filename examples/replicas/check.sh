#!/usr/bin/env bash
# Shows that several replicas are as one: orders, reports and held requests meet through nginx, a stopped replica answers all
# that it held, and a rolling restart under load fails no request. Takes its own Postgres, ports and half a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

scripts/require.sh python3
unset DATABASE_URL
PAYQUERY_DATA_DIR=$(mktemp -d "${TMPDIR:-/tmp}/payquery-replicas-pg.XXXXXX")
export PAYQUERY_DATA_DIR
trap 'rm -rf "$PAYQUERY_DATA_DIR"' EXIT
export PAYQUERY_MERCHANT_RATE=0 PAYQUERY_POLL_RATE=0 PAYQUERY_LOG=${PAYQUERY_LOG:-warn,payquery=info}
examples/replicas/run.sh python3 examples/replicas/check.py
