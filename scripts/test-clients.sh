#!/usr/bin/env bash
# Real clients from npm, PyPI and Debian, and a real browser, against a real payquery: a port, a private Postgres and a RabbitMQ of its own. Arguments
# are test files (tests/clients/*.test.js when there are none). PAYQUERY_BIN names a payquery that is built already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/require.sh postgres rabbitmq curl jq python3 venv node npm chromium java amqp-client
if [[ -z ${SCRATCH_AMQP_URL:-} ]]; then
  exec scripts/scratch-rabbitmq.sh scripts/test-clients.sh "$@"
fi
payquery=$(scripts/payquery-bin.sh)
log=$(scripts/target-dir.sh)/test-clients.log
npm ci --prefix tests/clients --ignore-scripts --no-audit --no-fund
CLIENTS_PYTHON=$(scripts/venv.sh pika==1.4.4 standardwebhooks==1.1.0 flask==3.1.3)/bin/python
CHROMIUM=$(command -v chromium || command -v chromium-browser || echo '/Applications/Chromium.app/Contents/MacOS/Chromium')
AMQP_CLASSPATH=${AMQP_CLASSPATH:-/usr/share/java/amqp-client.jar:/usr/share/java/slf4j-api.jar}
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# Another origin than payquery's, by its host, too.
PAGES_URL=http://localhost:$port
export CLIENTS_PYTHON CHROMIUM AMQP_CLASSPATH PAGES_URL
export PAYQUERY_SOCKJS_CLIENT=$PAGES_URL/sockjs.js PAYQUERY_AMQP_URL=$SCRATCH_AMQP_URL
export PAYQUERY_WEBHOOK_ALLOW=127.0.0.0/8 # the tests' own receivers

if [[ $# -eq 0 ]]; then
  set -- tests/clients/*.test.js
fi
exec scripts/scratch-payquery.sh "$payquery" "$log" tests/clients/run.sh "$@"
