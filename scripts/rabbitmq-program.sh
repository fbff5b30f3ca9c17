#!/usr/bin/env bash
# Prints where the installed RabbitMQ has its server program; fails if there is none. On Debian that is not the one on the
# PATH, which insists on an account of its own.
set -euo pipefail

for program in /usr/lib/rabbitmq/bin/rabbitmq-server {/opt/homebrew,/usr/local}/opt/rabbitmq/sbin/rabbitmq-server; do
  if [[ -x $program ]]; then
    printf '%s\n' "$program"
    exit 0
  fi
done
command -v rabbitmq-server
