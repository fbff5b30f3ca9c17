#!/usr/bin/env bash
# Real clients from npm, PyPI and Debian, and a real browser, against a real payquery: a port, a private Postgres and a RabbitMQ of its own. Arguments
# are test files (tests/clients/*.test.js when there are none).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pika=1.4.4
standardwebhooks=1.1.0
flask=3.1.3
scripts/require.sh cargo cc postgres rabbitmq curl jq python3 venv node npm chromium java amqp-client
if [[ -z ${SCRATCH_AMQP_URL:-} ]]; then
  exec scripts/scratch-rabbitmq.sh scripts/test-clients.sh "$@"
fi
cargo build --locked --bin payquery
target=$(scripts/target-dir.sh)
payquery=$target/debug/payquery
log=$target/test-clients.log
chromium=$(command -v chromium || command -v chromium-browser || echo '/Applications/Chromium.app/Contents/MacOS/Chromium')

npm ci --prefix tests/clients --ignore-scripts --no-audit --no-fund
venv=$target/tools/clients-$pika-$standardwebhooks-$flask
if [[ ! -e $venv/installed ]]; then
  echo "installing pika $pika, standardwebhooks $standardwebhooks and flask $flask"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "pika==$pika" "standardwebhooks==$standardwebhooks" "flask==$flask"
  touch "$venv/installed"
fi

unset DATABASE_URL
PAYQUERY_DATA_DIR=$(mktemp -d /tmp/payquery-clients.XXXXXX)
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
PAYQUERY_ADDR=127.0.0.1:$(free_port)
# Another origin than payquery's, by its host, too.
PAGES_URL=http://localhost:$(free_port)
export PAYQUERY_DATA_DIR PAYQUERY_ADDR PAGES_URL PAYQUERY_SOCKJS_CLIENT=$PAGES_URL/sockjs.js
export PAYQUERY_AMQP_URL=$SCRATCH_AMQP_URL PAYQUERY_MERCHANT_RATE=0 PAYQUERY_POLL_RATE=0 PAYQUERY_AUTH_FAILURE_RATE=0
export PAYQUERY_WEBHOOK_ALLOW=127.0.0.0/8 # the tests' own receivers

finish() {
  local code=$?
  kill -TERM "$service" 2>/dev/null || true
  wait "$service" || true
  rm -rf "$PAYQUERY_DATA_DIR"
  if [[ $code -ne 0 ]]; then
    echo "the service's log: $log" >&2
  fi
  exit "$code"
}
"$payquery" serve >"$log" 2>&1 &
service=$!
trap finish EXIT

until curl --silent --fail --max-time 5 --output /dev/null "http://$PAYQUERY_ADDR/readyz"; do
  if ! kill -0 "$service" 2>/dev/null; then
    tail -n 20 "$log" >&2
    exit 1
  fi
  sleep 0.1
done
PAYQUERY_API_KEY=$("$payquery" key create --merchant clients --json | jq -r .api_key)
export PAYQUERY_API_KEY PAYQUERY_URL=http://$PAYQUERY_ADDR CHROMIUM=$chromium CLIENTS_PYTHON=$venv/bin/python
export AMQP_CLASSPATH=${AMQP_CLASSPATH:-/usr/share/java/amqp-client.jar:/usr/share/java/slf4j-api.jar}

if [[ $# -eq 0 ]]; then
  set -- tests/clients/*.test.js
fi
# A test that hangs is a failure. One file after the other: a browser, a server and its Postgres are enough for two processors.
failed=()
for file in "$@"; do
  timeout 300 node --test --test-reporter=spec "$file" || failed+=("$file")
done
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
