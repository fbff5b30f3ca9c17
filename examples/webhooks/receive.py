#!/usr/bin/env python3
"""A small receiver of webhooks: verifies each one, notes it, and answers at once.

    WEBHOOK_SECRET=whsec_… python3 receive.py [PORT]

It prints its URL, and then a line for each webhook that is genuine: type, order, version. With the published library
(pip install standardwebhooks) that verifies; without it the same is done by hand, below. WEBHOOK_SECRET_FILE names a file with the
secret instead, which may come later: until then nothing is genuine.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

try:
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError
except ImportError:
    Webhook = None

TOLERANCE = 300  # seconds: what was signed longer ago may be a copy, sent again by somebody else
seen = set()  # ids of events that were dealt with; a real receiver keeps them in its database


def secret():
    if os.environ.get("WEBHOOK_SECRET"):
        return os.environ["WEBHOOK_SECRET"]
    with open(os.environ["WEBHOOK_SECRET_FILE"], encoding="ascii") as file:
        return file.read().strip()


def is_genuine(body, headers):
    if Webhook is not None:
        try:
            Webhook(secret()).verify(body, headers)
            return True
        except WebhookVerificationError:
            return False
    if abs(time.time() - int(headers.get("webhook-timestamp", 0))) > TOLERANCE:
        return False
    key = base64.b64decode(secret().removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(wanted, given) for given in headers.get("webhook-signature", "").split(" "))


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))  # the bytes as they came: they are what is signed
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            genuine = is_genuine(body, headers)
        except (OSError, ValueError, KeyError):
            genuine = False
        if genuine and headers["webhook-id"] not in seen:  # it may come twice
            seen.add(headers["webhook-id"])
            event = json.loads(body)
            print(event["type"], event["order_id"], event["version"], flush=True)
        if not genuine:
            print("not genuine: has this receiver the endpoint's secret?", file=sys.stderr, flush=True)
        self.send_response(204 if genuine else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if not os.environ.get("WEBHOOK_SECRET") and "WEBHOOK_SECRET_FILE" not in os.environ:
        sys.exit("WEBHOOK_SECRET is the endpoint's secret, whsec_…: the answer to its creation shows it, once")
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    print(f"http://127.0.0.1:{server.server_port}/", "standardwebhooks" if Webhook else "by hand", flush=True)
    server.serve_forever()
