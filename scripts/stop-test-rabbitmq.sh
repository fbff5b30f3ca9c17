#!/usr/bin/env bash
# Stops the RabbitMQ that test runs leave running (tests/suite/support/broker.rs), unless another test run is using it.
set -euo pipefail

base=${TMPDIR:-/tmp}
base=${base%/}/payquery-tests-rabbitmq-$(id -u)
[[ -r $base/pids ]] || exit 0
if command -v flock >/dev/null && ! flock --nonblock "$base/users.lock" true; then
  echo "the tests' RabbitMQ in $base stays: another test run is using it" >&2
  exit 1
fi

# Each leads a group of its own: the server with all that it started, and its name service. Numbers outlive a crash, and may
# by now be somebody else's.
read -r server epmd <"$base/pids"
for pid in "$server" "$epmd"; do
  if [[ -r /proc/$pid/cmdline ]]; then
    command_line=$(tr '\0' ' ' <"/proc/$pid/cmdline")
  else
    command_line=$(ps -o command= -p "$pid" 2>/dev/null || true)
  fi
  if [[ $command_line == *rabbitmq-server* || $command_line == *epmd* ]]; then
    kill -KILL -- "-$pid" # nothing in it is worth a slower end
  fi
done
rm -rf "$base"
