#!/usr/bin/env bash
# Stops the private Postgres that test runs leave running, unless another test run is using it.
set -euo pipefail

base=${TMPDIR:-/tmp}
base=${base%/}/payquery-tests-$(id -u)
pid_file=$base/data/postmaster.pid
[[ -r $pid_file ]] || exit 0
if command -v flock >/dev/null && ! flock --nonblock "$base/users.lock" true; then
  echo "the tests' Postgres in $base stays: another test run is using it" >&2
  exit 1
fi

# A pid file outlives a crash, and its number may by now be somebody else's.
pid=$(head -n 1 "$pid_file")
if [[ -r /proc/$pid/cmdline ]]; then
  command_line=$(tr '\0' ' ' <"/proc/$pid/cmdline")
else
  command_line=$(ps -o command= -p "$pid" 2>/dev/null || true)
fi
[[ $command_line == *postgres*-D*data* && $command_line == *payquery* ]] || exit 0

kill -INT "$pid" # a fast shutdown
for _ in {1..300}; do
  [[ -e $pid_file ]] || exit 0
  sleep 0.1
done
echo "the tests' Postgres (process $pid) in $base does not stop" >&2
exit 1
