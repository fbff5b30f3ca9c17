#!/usr/bin/env bash
# Runs a command with PAYQUERY_URL and PAYQUERY_API_KEY naming a throw-away payquery: scripts/scratch-payquery.sh PROGRAM LOG COMMAND...
# It has a port and a private Postgres of its own, and no rate limits; settings of PAYQUERY_… count.
set -euo pipefail

payquery=$1 log=$2
shift 2
unset DATABASE_URL
PAYQUERY_DATA_DIR=$(mktemp -d /tmp/payquery-scratch.XXXXXX)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PAYQUERY_DATA_DIR PAYQUERY_ADDR=127.0.0.1:$port PAYQUERY_URL=http://127.0.0.1:$port
export PAYQUERY_MERCHANT_RATE=0 PAYQUERY_POLL_RATE=0 PAYQUERY_AUTH_FAILURE_RATE=0

finish() {
  local code=$?
  kill -TERM "$service" 2>/dev/null || true
  wait "$service" || true
  rm -rf "$PAYQUERY_DATA_DIR"
  if [[ $code -ne 0 ]]; then
    echo "the service's log: $log" >&2
  fi
  exit "$code"
}
"$payquery" serve >"$log" 2>&1 &
service=$!
trap finish EXIT

until curl --silent --fail --max-time 5 --output /dev/null "$PAYQUERY_URL/readyz"; do
  if ! kill -0 "$service" 2>/dev/null; then
    tail -n 20 "$log" >&2
    exit 1
  fi
  sleep 0.1
done
PAYQUERY_API_KEY=$("$payquery" key create --merchant scratch --json | jq -r .api_key)
export PAYQUERY_API_KEY
"$@"
