#!/usr/bin/env bash
# One order from its creation to its log, with the real program and a private Postgres in an empty directory.
#
# Run it with `make walkthrough`, or with a payquery of your own: PAYQUERY_BIN=/path/to/payquery examples/walkthrough.sh
# It needs bash, curl, jq, python3 and an installed PostgreSQL, prints each step, and fails if anything is not as it should be.
# With WALK_PYTHON (a Python that has pika and standardwebhooks) the published library verifies the webhooks; and with SCRATCH_AMQP_URL
# (a RabbitMQ to play with), too, it shows messages.
set -euo pipefail
examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

payquery=${PAYQUERY_BIN:-payquery}
place=$(mktemp -d /tmp/payquery-walkthrough.XXXXXX)
chmod 755 "$place" # run as root, the server has an account of its own, which must be able to enter
service=""
held=""
consumer=""
receiver=""
left_out="" # what is not shown, for the last line

main() {
  start_service
  want_webhooks
  create_order
  poll_twice
  hold_and_report
  show_rejection
  read_log
  read_feed
  read_webhooks
  follow_by_rabbitmq
  echo
  echo "walkthrough: all as it should be$left_out"
}

start_service() {
  step "Start payquery in an empty directory"
  # Nothing of this shell's own settings, and a port that nobody else has.
  local name
  for name in DATABASE_URL $(compgen -e PAYQUERY_); do
    unset "$name"
  done
  export PAYQUERY_DATA_DIR=$place/data PAYQUERY_ADDR=127.0.0.1:0
  export PAYQUERY_WEBHOOK_ALLOW=127.0.0.0/8 # the receiver is at home, too
  if [[ -n ${SCRATCH_AMQP_URL:-} ]]; then
    export PAYQUERY_AMQP_URL=$SCRATCH_AMQP_URL
    # The warehouse's system: it has a queue from before the first order.
    AMQP_URL=$SCRATCH_AMQP_URL "$WALK_PYTHON" "$examples/rabbitmq/consume.py" >"$place/consumed" &
    consumer=$!
  fi
  "$payquery" serve >"$place/out" 2>"$place/log" &
  service=$!
  wait_for "payquery listens" listening
  if [[ -n $consumer ]]; then wait_for "the warehouse listens" warehouse_listens; fi
  url=$(sed -n 's|.*listening on \(http://[^ ]*\).*|\1|p' "$place/log")
  key=$("$payquery" key create --merchant walkthrough --json | jq -r .api_key)
  echo "it listens on $url; its first merchant has a key"
}

want_webhooks() {
  step "The warehouse wants to be told: a receiver of webhooks, and an endpoint for it"
  WEBHOOK_SECRET_FILE=$place/webhook.secret \
    "${WALK_PYTHON:-python3}" "$(dirname "${BASH_SOURCE[0]}")/webhooks/receive.py" >"$place/webhooks" &
  receiver=$!
  wait_for "the receiver listens" receiver_listens
  local at verifier
  read -r at verifier <"$place/webhooks"
  ask "$key" /v1/webhook-endpoints -H 'Content-Type: application/json' -d "{\"url\":\"$at\"}"
  expect_status 201
  expect .enabled true
  jq -r .secret "$place/body" >"$place/webhook.secret" # shown this once
  if [[ $verifier == standardwebhooks ]]; then
    echo "it verifies what comes with the published library, standardwebhooks"
  elif [[ -n ${WALK_PYTHON:-} ]]; then
    fail "the receiver verifies $verifier: $WALK_PYTHON should have standardwebhooks, and does not find it"
  else
    echo "it verifies what comes $verifier: this python3 has no standardwebhooks (\`make walkthrough\` brings it along)"
    left_out+="; webhooks were verified by hand, not by the published library"
  fi
}

create_order() {
  step "The merchant's backend creates an order of 10.00 CNY"
  ask "$key" /v1/orders -H 'Content-Type: application/json' \
    -d '{"out_trade_no":"walk-1","amount":1000,"currency":"CNY"}'
  expect_status 201
  expect .status pending
  expect .version 1
  id=$(jq -r .id "$place/body")
  secret=$(jq -r .client_secret "$place/body") # goes to the payer's screen
}

poll_twice() {
  step "The payer's screen asks: nothing yet"
  ask "$secret" "/v1/orders/$id/status"
  expect_status 200
  expect .final false
  expect_header etag '"1"'
  step "It asks again with what it knows: nothing new, and no body"
  ask "$secret" "/v1/orders/$id/status" -H 'If-None-Match: "1"'
  expect_status 304
  expect_header x-poll-interval 2 # seconds, set by the server
}

hold_and_report() {
  step "It asks once more and is held: up to 25 s, or until something happens"
  (
    curl -sS -o "$place/held" -w '%{http_code}' -H "Authorization: Bearer $secret" -H 'If-None-Match: "1"' \
      "$url/v1/orders/$id/status?wait=25" >"$place/held.status"
    now_ms >"$place/held.at"
  ) &
  held=$!
  wait_for "the request is held" is_held
  step "The payment has come: the backend reports it"
  ask "$key" "/v1/orders/$id/status" -X PUT -H 'Content-Type: application/json' \
    -d '{"trade_state":"SUCCESS","transaction_id":"4200001234202611200000000000","amount":1000}'
  local reported
  reported=$(now_ms)
  expect_status 200
  wait "$held"
  held=""
  check "the held request was answered with" 200 "$(cat "$place/held.status")"
  check "its status" succeeded "$(jq -r .status "$place/held")"
  check "its version" 2 "$(jq -r .version "$place/held")"
  local delay=$(($(cat "$place/held.at") - reported))
  # Far from what a busy machine may take, and far from the 25 s that it would have been held.
  ((delay < 10000)) || fail "the held request was woken $delay ms after the report was answered"
  echo "the held request was woken by the report ($delay ms after the report's own answer)"
}

show_rejection() {
  step "A mistaken report: what was paid cannot fail any more"
  ask "$key" "/v1/orders/$id/status" -X PUT -H 'Content-Type: application/json' -d '{"status":"failed"}'
  expect_status 409
  expect .code illegal_transition
}

read_log() {
  step "The order's log has all of it, the rejected report too"
  ask "$key" "/v1/orders/$id/events"
  expect_status 200
  local steps
  steps=$(jq -r '.data[] | "\(.type) \(.from // "-") \(.to) \(.accepted)"' "$place/body")
  check "the log" "order.created - pending true
order.succeeded pending succeeded true
order.rejected succeeded failed false" "$steps"
  echo "$steps"
}

read_feed() {
  step "The merchant's other systems read it from the event feed, and go on from its cursor"
  ask "$key" "/v1/events?types=order.succeeded"
  expect_status 200
  check "the order in the feed" "$id" "$(jq -r '.data[].order_id' "$place/body")"
  local cursor
  cursor=$(jq -r .next_cursor "$place/body")
  ask "$key" "/v1/events?after=$cursor"
  expect '.data | length' 0
  step "The same in a shell, one event a line"
  PAYQUERY_URL=$url PAYQUERY_API_KEY=$key "$payquery" events 2>"$place/cursor" | tee "$place/lines"
  check "the events" 3 "$(wc -l <"$place/lines" | tr -d ' ')"
  grep '^cursor: ' "$place/cursor"
}

follow_by_rabbitmq() {
  if [[ -z $consumer ]]; then
    left_out+="; RabbitMQ was left out (SCRATCH_AMQP_URL names none)"
    return
  fi
  step "The warehouse has heard of the change by RabbitMQ, of the rejected report too"
  wait_for "three events have arrived" three_events_have_arrived
  check "what arrived" "order.created $id walk-1 1
order.succeeded $id walk-1 2
order.rejected $id walk-1 2" "$(grep '^order' "$place/consumed")"
  grep '^order' "$place/consumed"
  step "A refund is reported by RabbitMQ: the same report, by message"
  AMQP_URL=$SCRATCH_AMQP_URL PAYQUERY_API_KEY=$key "$WALK_PYTHON" "$examples/rabbitmq/report.py" \
    "{\"order_id\":\"$id\",\"status\":\"refunded\"}" | tee "$place/answer"
  check "the answer" 200 "$(cut -d ' ' -f 1 "$place/answer")"
  ask "$secret" "/v1/orders/$id/status"
  expect .status refunded
  expect .version 3
}

read_webhooks() {
  step "The warehouse was told, in this order, each time with a signature that it verified"
  wait_for "three webhooks have come" webhooks_are_there
  check "what it was told" "order.created $id 1
order.succeeded $id 2
order.rejected $id 2" "$(tail -n +2 "$place/webhooks")"
  tail -n +2 "$place/webhooks"
}

# ask CREDENTIAL PATH CURL-ARGUMENTS... keeps the answer: head, body, status.
ask() {
  : >"$place/body"
  curl -sS --max-time 10 -D "$place/head" -o "$place/body" -H "Authorization: Bearer $1" "$url$2" "${@:3}"
  status=$(sed -n '1s|HTTP/1.1 \([0-9]*\).*|\1|p' "$place/head")
  echo "$status $(cat "$place/body")"
}

step() { printf '\n-- %s\n' "$*"; }
expect_status() { check "the status code" "$1" "$status"; }
expect() { check "$1" "$2" "$(jq -r "$1" "$place/body")"; }
expect_header() { check "$1" "$2" "$(tr -d '\r' <"$place/head" | sed -n "s/^$1: //p")"; }

# check WHAT EXPECTED FOUND
check() { [[ $3 == "$2" ]] || fail "$1 is $3 and should be $2"; }

listening() { grep -q 'listening on' "$place/log"; }
warehouse_listens() { grep -q '^waiting$' "$place/consumed"; }
three_events_have_arrived() { [[ $(grep -c '^order' "$place/consumed") -ge 3 ]]; }
receiver_listens() { [[ -s $place/webhooks ]]; }
webhooks_are_there() { [[ $(wc -l <"$place/webhooks") -ge 4 ]]; }
is_held() { curl -sS "$url/metrics" | grep '^payquery_held_requests 1$' >/dev/null; }

# wait_for WHAT COMMAND: asks every tenth of a second, for half a minute.
wait_for() {
  for _ in {1..300}; do
    if "$2"; then return; fi
    kill -0 "$service" 2>/dev/null || fail "payquery has ended"
    sleep 0.1
  done
  fail "not within 30 s: $1"
}

# Milliseconds. Not from `date`, which knows none on macOS.
now_ms() { jq -n 'now * 1000 | floor'; }

fail() {
  echo "walkthrough: $*" >&2
  exit 1
}

finish() {
  local code=$?
  trap - EXIT INT TERM
  if [[ -n $held ]]; then kill "$held" 2>/dev/null || true; fi
  if [[ -n $consumer ]]; then kill "$consumer" 2>/dev/null || true; fi
  if [[ -n $receiver ]]; then kill "$receiver" 2>/dev/null || true; fi
  if [[ -n $service ]]; then
    kill -TERM "$service" 2>/dev/null || true # stops its Postgres, too
    wait "$service" || true
  fi
  if [[ $code -ne 0 ]]; then
    echo "payquery's log ends with:" >&2
    tail -n 20 "$place/log" >&2 || true
    echo "walkthrough: FAILED" >&2
  fi
  rm -rf "$place"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

main
