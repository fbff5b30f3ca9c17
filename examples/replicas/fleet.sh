#!/usr/bin/env bash
# What run.sh runs once DATABASE_URL names a server: starts the replicas and nginx, keeps them running, stops them in order.
# For whoever runs against them (check.sh), $FLEET has a pid and an address of each replica and the access log; a replica
# that is stopped is started again on its port, as a supervisor would.
set -euo pipefail
set -m # children have process groups of their own: a Ctrl-C reaches this script alone, which then stops them in order
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export PATH=$PATH:/usr/sbin
replicas=${PAYQUERY_REPLICAS:-3}
FLEET=$(mktemp -d "${TMPDIR:-/tmp}/payquery-replicas.XXXXXX")
export FLEET
# nginx is the only peer that they have.
export PAYQUERY_TRUSTED_PROXIES=127.0.0.1
# A Postgres as it is installed takes 100 connections; the replicas share 72 of them for requests, and each takes four more for
# its chores and to listen.
export PAYQUERY_DB_CONNECTIONS=${PAYQUERY_DB_CONNECTIONS:-$((72 / replicas > 16 ? 16 : 72 / replicas))}

main() {
  trap finish EXIT
  trap 'exit 130' INT TERM
  "$PAYQUERY_BIN" migrate >/dev/null
  local replica
  for ((replica = 1; replica <= replicas; replica++)); do
    supervise "$replica" &
  done
  for ((replica = 1; replica <= replicas; replica++)); do
    wait_until_listening "$replica"
  done
  start_nginx
  FLEET_KEY=$("$PAYQUERY_BIN" key create --merchant demo --json | sed 's/.*"api_key":"\([^"]*\)".*/\1/')
  export FLEET_KEY
  if [[ $# -gt 0 ]]; then
    "$@"
    return
  fi
  welcome
  wait # for a signal
}

# Runs one replica, again and again until the fleet is stopped. The first start finds a free port, the others take it again.
supervise() {
  local files=$FLEET/replica-$1 address=127.0.0.1:0
  trap - EXIT INT TERM
  : >"$files.log"
  while [[ ! -e $FLEET/stopping ]]; do
    PAYQUERY_ADDR=$address "$PAYQUERY_BIN" serve >>"$files.log" 2>&1 &
    echo $! >"$files.pid"
    if [[ $address == *:0 ]]; then
      address=$(listening_address "$files.log")
      echo "$address" >"$files.address"
    fi
    wait $! || sleep 1 # one that fails is not started a hundred times a second
  done
}

listening_address() {
  local address
  for _ in {1..300}; do
    address=$(sed -n 's|.*listening on http://\([0-9.:]*\).*|\1|p' "$1" | tail -n 1)
    if [[ -n $address ]]; then
      echo "$address"
      return
    fi
    sleep 0.1
  done
}

wait_until_listening() {
  for _ in {1..300}; do
    [[ ! -s $FLEET/replica-$1.address ]] || return 0
    sleep 0.1
  done
  echo "replica $1 does not start:" >&2
  tail -n 5 "$FLEET/replica-$1.log" >&2
  exit 1
}

# nginx with the configuration beside this script, in the fleet's directory and without leave to write elsewhere.
start_nginx() {
  local address temporary files
  cp examples/replicas/nginx.conf "$FLEET/nginx.conf"
  for address in "$FLEET"/replica-*.address; do
    echo "server $(cat "$address") max_fails=0;"
  done >"$FLEET/replicas.conf"
  for temporary in client_body proxy fastcgi uwsgi scgi; do
    echo "${temporary}_temp_path $FLEET/nginx-$temporary;"
  done >"$FLEET/temporary.conf"
  files=$(ulimit -H -n)
  [[ $files != unlimited ]] || files=65536
  # As root nginx changes to an account of its own, which must reach its files.
  [[ $EUID -ne 0 ]] || chmod 711 "$FLEET"
  local try
  for try in {1..20}; do
    FLEET_ADDRESS=127.0.0.1:${PAYQUERY_PORT:-$((20000 + RANDOM % 10000))}
    echo "listen $FLEET_ADDRESS backlog=4096;" >"$FLEET/listen.conf"
    nginx -p "$FLEET" -c "$FLEET/nginx.conf" -g "daemon off; pid $FLEET/nginx.pid; worker_rlimit_nofile $files;" \
      >"$FLEET/access.log" 2>"$FLEET/nginx.log" &
    nginx=$!
    until [[ -s $FLEET/nginx.pid ]]; do
      kill -0 "$nginx" 2>/dev/null || break
      sleep 0.05
    done
    if [[ -s $FLEET/nginx.pid ]]; then
      export FLEET_ADDRESS
      return
    fi
    # A port that was found by chance may be in use.
    if [[ -n ${PAYQUERY_PORT:-} || $try -eq 20 ]] || ! grep -q 'Address already in use' "$FLEET/nginx.log"; then
      cat "$FLEET/nginx.log" >&2
      exit 1
    fi
  done
}

welcome() {
  cat <<EOF

  $replicas replicas behind nginx

  address   http://$FLEET_ADDRESS
  API key   $FLEET_KEY
  logs      $FLEET

  curl -sS http://$FLEET_ADDRESS/v1/orders -H 'Authorization: Bearer $FLEET_KEY' \\
    -H 'Content-Type: application/json' -d '{"out_trade_no":"$(date +%s)","amount":1000,"currency":"CNY"}'

  Ctrl-C stops them.
EOF
}

# The replicas first: nginx still carries their last answers. A stop that hangs is ended after the replicas' own limits.
finish() {
  local code=$? pid_file
  trap - EXIT
  trap '' INT TERM
  touch "$FLEET/stopping"
  for pid_file in "$FLEET"/replica-*.pid; do
    [[ ! -s $pid_file ]] || kill -TERM "$(cat "$pid_file")" 2>/dev/null || true
  done
  for pid_file in "$FLEET"/replica-*.pid; do
    [[ ! -s $pid_file ]] || wait_for_end "$(cat "$pid_file")"
  done
  if [[ -n ${nginx:-} ]]; then
    kill -QUIT "$nginx" 2>/dev/null || true
    wait_for_end "$nginx"
  fi
  if [[ $code -eq 0 || $code -eq 130 ]]; then
    rm -rf "$FLEET"
  else
    echo "the logs are in $FLEET" >&2
  fi
  # Stopped as it was asked to.
  [[ $code -ne 130 ]] || code=0
  exit "$code"
}

wait_for_end() {
  for _ in {1..150}; do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
}

main "$@"
