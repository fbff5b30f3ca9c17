#!/usr/bin/env bash
# All that is checked without running payquery: format, clippy, the queries' shapes, dependencies, shell scripts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() {
  echo "-- $*"
  "$@"
}

scripts/require.sh cargo cc postgres
step cargo fmt --all -- --check
step cargo clippy --all-targets --locked -- -D warnings
step scripts/sqlx-prepare.sh --check
PATH="$(scripts/tool.sh cargo-deny):$PATH"
step cargo deny --locked check licenses bans sources
if command -v shellcheck >/dev/null; then
  step shellcheck scripts/*.sh examples/*.sh examples/replicas/*.sh tests/clients/*.sh .ci/run
else
  echo "-- shellcheck is not installed: shell scripts are not checked"
fi
echo "lint: all good"
