#!/usr/bin/env bash
# Runs test files one after the other, as scripts/test-clients.sh has set everything up for them: a browser, a server and its Postgres are
# enough for two processors.
set -euo pipefail

failed=()
for file in "$@"; do
  timeout 300 node --test --test-reporter=spec "$file" || failed+=("$file") # one that hangs has failed
done
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
