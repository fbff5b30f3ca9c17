#!/usr/bin/env bash
# Checks and tests the client library in clients/js against the real service, in Node, in Chromium and in a mini-program
# simulator, and the demo's pages in Chromium. PAYQUERY_BIN names a payquery that is built already; CHROMIUM_BIN a browser.
# Arguments choose test files: scripts/test-js.sh browser
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

needs=(node npm openssl postgres)
[[ -n ${CHROMIUM_BIN:-} ]] || needs+=(chromium)
scripts/require.sh "${needs[@]}"
PAYQUERY_BIN=$(scripts/payquery-bin.sh)
export PAYQUERY_BIN
# Nothing of this shell's own settings: the tests have a Postgres of their own.
for name in DATABASE_URL $(compgen -e PAYQUERY_ | grep -v '^PAYQUERY_BIN$'); do
  unset "$name"
done

# What the demo's pages looked like: for CI to keep, and people to see.
SCREENSHOTS=$(realpath -m "${CARGO_TARGET_DIR:-target}/screenshots")
export SCREENSHOTS

cd clients/js
step() {
  echo "-- $*"
  "$@"
}
step npm ci --ignore-scripts --no-progress
step npm run --silent check
step npm test --silent -- "$@"
step npm run --silent size
step npm run --silent pack:check
echo "screenshots of the demo's pages: $SCREENSHOTS"
echo "client: all good"
