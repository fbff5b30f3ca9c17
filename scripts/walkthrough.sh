#!/usr/bin/env bash
# Builds payquery and walks through its main job with it: examples/walkthrough.sh. With a RabbitMQ of its own, and pika.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pika=1.3.2
standardwebhooks=1.1.0 # the published library that verifies the webhooks
scripts/require.sh cargo cc postgres rabbitmq curl jq python3 venv
cargo build --locked --bin payquery
target=$(scripts/target-dir.sh)
venv=$target/tools/walk-$pika-$standardwebhooks
if [[ ! -e $venv/installed ]]; then
  echo "installing pika $pika and standardwebhooks $standardwebhooks"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "pika==$pika" "standardwebhooks==$standardwebhooks"
  touch "$venv/installed"
fi
export PAYQUERY_BIN=$target/debug/payquery WALK_PYTHON=$venv/bin/python
exec scripts/scratch-rabbitmq.sh examples/walkthrough.sh "$@"
