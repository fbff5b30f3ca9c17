#!/usr/bin/env bash
# Runs a command with SCRATCH_AMQP_URL naming a throw-away RabbitMQ: scripts/scratch-rabbitmq.sh COMMAND...
# It has a directory and ports of its own, and only this machine reaches it.
set -euo pipefail

program=$("$(dirname "${BASH_SOURCE[0]}")/rabbitmq-program.sh")
directory=$(mktemp -d /tmp/payquery-rabbitmq.XXXXXX)
read -r amqp distribution epmd < <(python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for each in sockets: each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))')
server="" names=""

finish() {
  local code=$?
  trap - EXIT INT TERM
  if [[ -n $server ]]; then kill -KILL -- "-$server" 2>/dev/null || true; fi
  if [[ -n $names ]]; then kill "$names" 2>/dev/null || true; fi
  wait 2>/dev/null || true
  rm -rf "$directory"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

printf 'listeners.tcp.1 = 127.0.0.1:%s\nlog.console = false\nlog.file.level = warning\ndisk_free_limit.absolute = 10MB\n' \
  "$amqp" >"$directory/rabbitmq.conf"
echo '[].' >"$directory/enabled_plugins"
for name in $(compgen -e RABBITMQ_) $(compgen -e ERL_); do
  unset "$name"
done
epmd -address 127.0.0.1 -port "$epmd" &
names=$!
set -m # the server in a group of its own, to be ended with all that it started
env HOME="$directory" ERL_EPMD_PORT="$epmd" ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_NODENAME="payquery$amqp@localhost" \
  RABBITMQ_DIST_PORT="$distribution" RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE="$directory/rabbitmq.conf" \
  RABBITMQ_ENABLED_PLUGINS_FILE="$directory/enabled_plugins" RABBITMQ_MNESIA_BASE="$directory/data" \
  RABBITMQ_LOG_BASE="$directory/log" \
  RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}" \
  "$program" >"$directory/out" 2>&1 &
server=$!
disown "$server" # its end is no news
set +m
for _ in {1..900}; do
  if grep -q 'completed with' "$directory/out"; then break; fi
  if ! kill -0 "$server" 2>/dev/null; then
    cat "$directory/out" >&2
    exit 1
  fi
  sleep 0.1
done
export SCRATCH_AMQP_URL=amqp://guest:guest@127.0.0.1:$amqp/%2f
"$@"
