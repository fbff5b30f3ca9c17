#!/usr/bin/env bash
# Counts the instructions of a poll, a wake-up and a report in the release build, with callgrind, and fails when one has grown by
# more than a tenth beyond benches/instructions.txt. --renew writes the numbers anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec scripts/bench.sh instructions "$@"
