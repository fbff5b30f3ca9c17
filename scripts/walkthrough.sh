#!/usr/bin/env bash
# Builds payquery and walks through its main job with it: examples/walkthrough.sh. With a RabbitMQ of its own, and pika.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pika=1.3.2
scripts/require.sh cargo cc postgres rabbitmq curl jq python3 venv
cargo build --locked --bin payquery
target=$(scripts/target-dir.sh)
venv=$target/tools/pika-$pika
if [[ ! -e $venv/installed ]]; then
  echo "installing pika $pika"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "pika==$pika"
  touch "$venv/installed"
fi
export PAYQUERY_BIN=$target/debug/payquery WALK_PYTHON=$venv/bin/python
exec scripts/scratch-rabbitmq.sh examples/walkthrough.sh "$@"
