#!/usr/bin/env bash
# Builds payquery and walks through its main job with it: examples/walkthrough.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=1.1.0 # of the published library that verifies the webhooks

scripts/require.sh cargo cc postgres curl jq python3 venv
cargo build --locked --bin payquery
venv=$(scripts/target-dir.sh)/tools/standardwebhooks-$version
if [[ ! -e $venv/installed ]]; then
  echo "installing standardwebhooks $version"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "standardwebhooks==$version"
  touch "$venv/installed"
fi
PYTHON="$venv/bin/python3" PAYQUERY_BIN="$(scripts/target-dir.sh)/debug/payquery" exec examples/walkthrough.sh "$@"
