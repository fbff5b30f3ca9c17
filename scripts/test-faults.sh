#!/usr/bin/env bash
# Breaks things around real processes, one fault after the other, and prints what it came to as a table. Takes some minutes.
# Arguments choose faults by name: scripts/test-faults.sh postgres_stopped clock_skew
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PATH=$PATH:/usr/sbin # where Debian has nginx
scripts/require.sh cargo cc postgres nginx
if [[ $(uname) == Linux ]]; then
  scripts/require.sh faketime # another clock for a process of its own
fi
unset DATABASE_URL
# A library that Debian has no program path for; where there is none the fault says so.
FAKETIME_LIBRARY=$(find /usr/lib /usr/lib64 /usr/local/lib -name 'libfaketimeMT.so*' 2>/dev/null | head -n 1 || true)
export FAKETIME_LIBRARY
exec cargo test --locked --test faults -- "$@"
