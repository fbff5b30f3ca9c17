#!/usr/bin/env bash
# Walks through payquery's main job: examples/walkthrough.sh. With a RabbitMQ of its own, and pika. PAYQUERY_BIN names a payquery that is built already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/require.sh postgres rabbitmq curl jq python3 venv
PAYQUERY_BIN=$(scripts/payquery-bin.sh)
WALK_PYTHON=$(scripts/venv.sh pika==1.4.4 standardwebhooks==1.1.0)/bin/python
export PAYQUERY_BIN WALK_PYTHON
exec scripts/scratch-rabbitmq.sh examples/walkthrough.sh "$@"
