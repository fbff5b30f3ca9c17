#!/usr/bin/env bash
# Tests the running service against its own OpenAPI document with schemathesis: a port and a private Postgres of its
# own, no rate limits, the same cases on every run. Arguments go to `schemathesis run`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=4.32.5
examples=${SCHEMATHESIS_EXAMPLES:-25} # for each operation and phase
seconds=180                           # past this it is stopped, and has failed

scripts/require.sh cargo cc postgres curl jq python3 venv
cargo build --locked --bin payquery
target=$(scripts/target-dir.sh)
payquery=$target/debug/payquery
venv=$target/tools/schemathesis-$version
log=$target/schemathesis.log
config=$PWD/scripts/schemathesis.toml

if [[ ! -e $venv/installed ]]; then
  echo "installing schemathesis $version"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
  touch "$venv/installed"
fi

unset DATABASE_URL
PAYQUERY_DATA_DIR=$(mktemp -d /tmp/payquery-schemathesis.XXXXXX)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PAYQUERY_DATA_DIR PAYQUERY_ADDR=127.0.0.1:$port
export PAYQUERY_MERCHANT_RATE=0 PAYQUERY_POLL_RATE=0 PAYQUERY_AUTH_FAILURE_RATE=0
export PAYQUERY_MAX_WAIT=1 # it asks to be held often

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

until curl --silent --fail --max-time 5 --output /dev/null "http://$PAYQUERY_ADDR/readyz"; do
  if ! kill -0 "$service" 2>/dev/null; then
    tail -n 20 "$log" >&2
    exit 1
  fi
  sleep 0.1
done
key=$("$payquery" key create --merchant schemathesis --json | jq -r .api_key)
cd "$target" # it leaves its notes where it runs
# One worker: Python 3.11 miscounts the depth of syntax trees when two threads make them (CPython issue 106905).
timeout "$seconds" "$venv/bin/schemathesis" --config-file "$config" run "http://$PAYQUERY_ADDR/openapi.json" \
  --header "Authorization: Bearer $key" --max-examples "$examples" --generation-deterministic \
  --workers 1 --request-timeout 10 "$@"
