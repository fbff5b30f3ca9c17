#!/usr/bin/env bash
# All that is checked without running payquery: format, clippy, the queries' shapes, dependencies, shell scripts, docker-compose.yml.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() {
  echo "-- $*"
  "$@"
}

# Needs no engine. Every profile for itself; and the broker's address is the one that its password leads to.
check_compose() (
  unset COMPOSE_PROFILES PAYQUERY_AMQP_URL
  export POSTGRES_PASSWORD=lint RABBITMQ_PASSWORD=lint # what a person is to fill in
  compose=(docker compose --env-file .env.example -f docker-compose.yml)
  "${compose[@]}" config --quiet
  for profile in $("${compose[@]}" config --profiles); do
    "${compose[@]}" --profile "$profile" config --quiet
  done
  "${compose[@]}" config | grep 'PAYQUERY_AMQP_URL: amqp://payquery:lint@rabbitmq/%2f$' >/dev/null || {
    echo "docker-compose.yml: payquery does not get the address of the profile's RabbitMQ" >&2
    exit 1
  }
)

scripts/require.sh cargo cc postgres
step cargo fmt --all -- --check
step cargo clippy --all-targets --locked -- -D warnings
step scripts/sqlx-prepare.sh --check
PATH="$(scripts/tool.sh cargo-deny):$PATH"
step cargo deny --locked check licenses bans sources
if command -v shellcheck >/dev/null; then
  step shellcheck scripts/*.sh examples/*.sh examples/replicas/*.sh tests/clients/*.sh .ci/run
else
  echo "-- shellcheck is not installed: shell scripts are not checked"
fi
if docker compose version >/dev/null 2>&1; then
  step check_compose
else
  echo "-- docker compose is not installed: docker-compose.yml is not checked"
fi
echo "lint: all good"
