#!/usr/bin/env bash
# Prints the path of a payquery: of the one that PAYQUERY_BIN names, or else of this tree's, built for tests.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

if [[ -z ${PAYQUERY_BIN:-} ]]; then
  "$here/require.sh" cargo cc >&2
  cargo build --locked --bin payquery >&2
  PAYQUERY_BIN=$("$here/target-dir.sh")/debug/payquery
fi
realpath "$PAYQUERY_BIN"
