#!/usr/bin/env bash
# Gets what the tests need and runs all of them, then the walkthrough; arguments go to the test runner, and then it is the tests that they
# choose alone. The tests share one private Postgres and one RabbitMQ, which are stopped at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/require.sh cargo cc postgres rabbitmq curl # tests paste what the README and `payquery` say to paste

finish() {
  local code=$?
  scripts/stop-test-postgres.sh || true
  scripts/stop-test-rabbitmq.sh || true
  exit "$code"
}
trap finish EXIT
if command -v cargo-nextest >/dev/null; then
  # nextest runs no examples of the documentation
  cargo test --locked --doc
  cargo nextest run --locked "$@"
else
  cargo test --locked --no-fail-fast "$@" | awk '
    { print; fflush() }
    /^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf "total: %d passed, %d failed, %d ignored\n", passed, failed, ignored }'
fi
# Real consumers and the published library that verifies webhooks.
if [[ $# -eq 0 ]]; then
  PAYQUERY_BIN=$(scripts/target-dir.sh)/debug/payquery scripts/walkthrough.sh
fi
