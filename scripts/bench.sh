#!/usr/bin/env bash
# Measures payquery beside its peers, in turn, on the same two processors: scripts/bench.sh [--quick] [--publish] [ROWS...]
# Without arguments it takes about ten minutes. --quick is for trying it out, ROWS are families of rows (a wrong one lists them),
# --publish puts the table and the plots into docs/. docs/benchmarks.md says what is measured, and how to read it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PATH=$PATH:/usr/sbin # where Debian has nginx
if [[ $(uname) != Linux ]]; then
  echo "this needs Linux: processor time and memory are read from /proc" >&2
  exit 1
fi
scripts/require.sh cargo cc postgres taskset setpriv
if [[ ${1:-} == instructions ]]; then
  scripts/require.sh valgrind
else
  scripts/require.sh nginx wrk rabbitmq
  scripts/require.sh nchan || echo "nchan cannot be installed: the rows beside it are left out" >&2
fi
unset DATABASE_URL
cargo build --release --locked --bin payquery --bench compare
target=$(scripts/target-dir.sh)
# cargo names the benchmark's program after a hash, and says which it is.
compare=$(cargo build --release --locked --bin payquery --bench compare --message-format json 2>/dev/null |
  sed -n 's/.*"name":"compare".*"executable":"\([^"]*\)".*/\1/p')

BENCH_RESULTS=$target/bench
BENCH_DIRECTORY=$(mktemp -d /tmp/payquery-bench.XXXXXX)
chmod 711 "$BENCH_DIRECTORY" # PostgreSQL, which refuses root, must get in
PAYQUERY_BIN=$target/release/payquery
export BENCH_RESULTS BENCH_DIRECTORY PAYQUERY_BIN
mkdir -p "$BENCH_RESULTS"

finish() {
  local code=$? pid_file=$BENCH_DIRECTORY/postgres/data/postmaster.pid
  trap - EXIT INT TERM
  # The program stops all that it started; what is left is a PostgreSQL, if the program itself was killed.
  if [[ -r $pid_file ]]; then
    kill -INT "$(head -n 1 "$pid_file")" 2>/dev/null || true
    for _ in {1..100}; do
      [[ -e $pid_file ]] || break
      sleep 0.1
    done
  fi
  if [[ $code -ne 0 ]]; then
    mkdir -p "$BENCH_RESULTS/logs"
    find "$BENCH_DIRECTORY" -maxdepth 2 -name '*.log' -exec cp {} "$BENCH_RESULTS/logs/" \; 2>/dev/null || true
    echo "the logs are in $BENCH_RESULTS/logs" >&2
  fi
  rm -rf "$BENCH_DIRECTORY"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM
"$compare" "$@"
