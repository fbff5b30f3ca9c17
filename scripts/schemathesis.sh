#!/usr/bin/env bash
# Tests the running service against its own OpenAPI document with schemathesis: a port and a private Postgres of its
# own, no rate limits, the same cases on every run. Arguments go to `schemathesis run`. PAYQUERY_BIN names a payquery that is built already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

examples=${SCHEMATHESIS_EXAMPLES:-25} # for each operation and phase
seconds=900                           # past this it is stopped, and has failed; it takes less than a minute

scripts/require.sh postgres curl jq python3 venv
payquery=$(scripts/payquery-bin.sh)
venv=$(scripts/venv.sh schemathesis==4.32.5)
target=$(scripts/target-dir.sh)
scratch=$PWD/scripts/scratch-payquery.sh
config=$PWD/scripts/schemathesis.toml
export venv config examples seconds
export PAYQUERY_MAX_WAIT=1 # it asks to be held often

cd "$target" # it leaves its notes where it runs
# One worker: Python 3.11 miscounts the depth of syntax trees when two threads make them (CPython issue 106905).
# shellcheck disable=SC2016 # the inner shell has the key
exec "$scratch" "$payquery" "$target/schemathesis.log" bash -c 'timeout "$seconds" "$venv/bin/schemathesis" \
  --config-file "$config" run "$PAYQUERY_URL/openapi.json" --header "Authorization: Bearer $PAYQUERY_API_KEY" \
  --max-examples "$examples" --generation-deterministic --workers 1 --request-timeout 10 "$@"' schemathesis "$@"
