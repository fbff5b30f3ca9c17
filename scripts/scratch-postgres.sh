#!/usr/bin/env bash
# Runs a command with DATABASE_URL naming a throw-away PostgreSQL: scripts/scratch-postgres.sh COMMAND...
# payquery could start one as well, but cannot be built while `.sqlx` is out of date.
set -euo pipefail

bindir=$("$(dirname "${BASH_SOURCE[0]}")/postgres-bindir.sh")
directory=$(mktemp -d /tmp/payquery-scratch.XXXXXX)
server=("$bindir/pg_ctl" -s -w -D "$directory/data")

# PostgreSQL refuses to run as root.
run() {
  if [[ $EUID -eq 0 ]]; then
    runuser -u "$account" -- "$@"
  else
    "$@"
  fi
}

finish() {
  local code=$?
  run "${server[@]}" -m immediate stop || true
  rm -rf "$directory"
  exit "$code"
}

if [[ $EUID -eq 0 ]]; then
  account=postgres
  id "$account" >/dev/null 2>&1 || account=nobody
  chown "$account" "$directory"
fi
trap finish EXIT
run "$bindir/initdb" -D "$directory/data" -U payquery -A trust -E UTF8 --locale=C --no-sync >/dev/null
run "${server[@]}" -l "$directory/log" -o "-c listen_addresses='' -c fsync=off -p 5432 -k $directory" start
export DATABASE_URL="postgres:///payquery?host=$directory&port=5432&user=payquery&sslmode=disable"
run "$bindir/psql" -X -q -d "${DATABASE_URL/payquery?/postgres?}" -c 'create database payquery'
"$@"
