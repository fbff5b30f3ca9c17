#!/usr/bin/env bash
# Builds payquery and walks through its main job with it: examples/walkthrough.sh. With a RabbitMQ of its own, pika, and the
# published library that verifies webhooks.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(pika==1.3.2 standardwebhooks==1.1.0)
scripts/require.sh cargo cc postgres rabbitmq curl jq python3 venv
cargo build --locked --bin payquery
target=$(scripts/target-dir.sh)
venv=$target/tools/walkthrough-1
if [[ ! -e $venv/installed ]]; then
  echo "installing ${packages[*]}"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}"
  touch "$venv/installed"
fi
export PAYQUERY_BIN=$target/debug/payquery WALK_PYTHON=$venv/bin/python
exec scripts/scratch-rabbitmq.sh examples/walkthrough.sh "$@"
