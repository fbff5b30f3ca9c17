"""What check.sh shows, against the replicas that fleet.sh runs. Nothing but Python's standard library.

Every request goes over a kept connection, as clients do, and nothing is tried twice: each failure counts.
"""

import collections
import http.client
import json
import os
import signal
import sys
import threading
import time

FLEET = os.environ["FLEET"]
ADDRESS = os.environ["FLEET_ADDRESS"]
KEY = os.environ["FLEET_KEY"]
HELD = int(os.environ.get("CHECK_HELD", "300"))
LOAD_SECONDS = float(os.environ.get("CHECK_SECONDS", "10"))


class Client:
    """One connection. An answer is (status, headers, document)."""

    def __init__(self, address=ADDRESS, token=KEY):
        host, port = address.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=70)
        self.token = token

    def ask(self, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers["Authorization"] = "Bearer " + self.token
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, answer.headers, json.loads(text) if text[:1] in (b"{", b"[") else None


def create(client, number):
    status, _, order = client.ask("POST", "/v1/orders", {"out_trade_no": number, "amount": 1000, "currency": "CNY"})
    # 200: nginx asked again after the connection to a stopping replica broke, and the first replica had done it.
    expect(status in (200, 201), f"create: {status} {order}")
    return order


def report(client, order, status):
    code, _, document = client.ask("PUT", f"/v1/orders/{order['id']}/status", {"status": status})
    expect(code == 200, f"report: {code} {document}")
    return document


def expect(truth, message):
    if not truth:
        raise AssertionError(message)


def replicas():
    names = sorted(name[: -len(".address")] for name in os.listdir(FLEET) if name.endswith(".address"))
    return [Replica(os.path.join(FLEET, name)) for name in names]


class Replica:
    def __init__(self, files):
        self.files = files
        self.address = self.read("address")

    def read(self, what):
        with open(f"{self.files}.{what}", encoding="utf-8") as file:
            return file.read().strip()

    def held(self):
        connection = http.client.HTTPConnection(*self.address.split(":"), timeout=5)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        return sum(int(float(line.split()[1])) for line in lines if line.startswith("payquery_held_requests "))

    def is_ready(self):
        try:
            return Client(self.address).ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def restart(self):
        """SIGTERM; done when its successor is ready. The seconds it took."""
        start, pid = time.monotonic(), self.read("pid")
        os.kill(int(pid), signal.SIGTERM)
        wait_until(lambda: self.read("pid") not in ("", pid) and self.is_ready(), "a replica comes back")
        return time.monotonic() - start


def wait_until(condition, what):
    end = time.monotonic() + 30
    while not condition():
        expect(time.monotonic() < end, f"not within 30 s: {what}")
        time.sleep(0.02)


def holder_of(order):
    """The replica that holds requests for this order; one must be held."""
    holders = [replica for replica in replicas() if replica.held() > 0]
    expect(len(holders) == 1, f"{len(holders)} replicas hold requests for order {order['id']}")
    return holders[0]


class Hold(threading.Thread):
    """A held request, and how it ended."""

    def __init__(self, order, version=1, wait=50):
        super().__init__(daemon=True)
        self.order, self.version, self.wait, self.outcome = order, version, wait, None
        self.start()

    def run(self):
        client = Client(token=self.order["client_secret"])
        try:
            path = f"/v1/orders/{self.order['id']}/status?since_version={self.version}&wait={self.wait}"
            status, _, document = client.ask("GET", path)
            self.outcome = (status, document and document["version"])
        except (OSError, http.client.HTTPException) as error:
            self.outcome = (type(error).__name__, None)


def a_report_to_one_replica_wakes_a_hold_at_another():
    client = Client()
    order = create(client, "wake-1")
    held = Hold(order)
    wait_until(lambda: sum(replica.held() for replica in replicas()) == 1, "the request is held")
    holder = holder_of(order)
    other = next(replica for replica in replicas() if replica.address != holder.address)
    start = time.monotonic()
    report(Client(other.address), order, "succeeded")
    held.join()
    took = time.monotonic() - start
    expect(held.outcome == (200, 2), f"the held request: {held.outcome}")
    # Far from what a busy machine may take, and far from the 50 s that it would have been held.
    expect(took < 10, f"woken after {took:.3f} s")
    return f"woken after {took * 1000:.0f} ms; held at {holder.address}, reported at {other.address}"


def the_holds_of_one_order_meet_on_one_replica():
    order = create(Client(), "meet-1")
    holds = [Hold(order) for _ in range(30)]
    wait_until(lambda: sum(replica.held() for replica in replicas()) == 30, "all are held")
    holder = holder_of(order)
    report(Client(), order, "succeeded")
    for hold in holds:
        hold.join()
    outcomes = collections.Counter(hold.outcome for hold in holds)
    expect(outcomes == {(200, 2): 30}, f"{outcomes}")
    return f"30 held, all at {holder.address}"


def sessions_of_sockjs_stay_at_their_replica():
    """Each request on a connection of its own: only the session's name tells where it belongs."""
    order = create(Client(), "sockjs-1")

    def post(session, transport, *messages):
        connection = http.client.HTTPConnection(*ADDRESS.rsplit(":", 1), timeout=40)
        connection.request("POST", f"/ws/000/{session}/{transport}", json.dumps(messages) if messages else None)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    sessions = [f"check{number:03}" for number in range(30)]
    for session in sessions:
        expect(post(session, "xhr") == (200, "o\n"), "a session opens")
        connect = f"CONNECT\naccept-version:1.2\nclient-secret:{order['client_secret']}\n\n\0"
        subscribe = f"SUBSCRIBE\nid:1\ndestination:/topic/orders.{order['id']}\n\n\0"
        sent = post(session, "xhr_send", connect, subscribe)
        expect(sent == (204, ""), f"what is sent arrives: {sent}")
        told = ""
        while "MESSAGE" not in told:
            status, frame = post(session, "xhr")
            expect(status == 200 and frame.startswith("a["), f"{status} {frame}")
            told += frame
    places = [replica.held() for replica in replicas()]
    expect(sum(count > 0 for count in places) > 1, f"the sessions are spread: {places}")
    return f"30 sessions, each of 3 or more requests on connections of their own, spread {places}"


def sockets_come_through():
    opened = 0
    for path in ("/v1/ws", "/v1/echo", "/ws", "/ws/websocket", "/ws/000/socket01/websocket"):
        connection = http.client.HTTPConnection(*ADDRESS.rsplit(":", 1), timeout=10)
        handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        connection.request("GET", path, headers={**handshake, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
        status = connection.getresponse().status
        expect(status == 101, f"{path}: {status}")
        opened += 1
    return f"{opened} handshakes, 101 for each"


def metrics_and_readiness_stay_inside():
    for path in ("/metrics", "/readyz"):
        status, headers, _ = Client().ask("GET", path)
        expect(status == 404 and headers["Content-Type"] == "application/problem+json", f"{path}: {status}")
    order = create(Client(), "secret-1")
    secret = order["client_secret"]
    client = Client()
    client.connection.request("GET", f"/v1/orders/{order['id']}/status?client_secret={secret}")
    expect(client.connection.getresponse().status == 200, "the client secret in the query opens")

    def log():
        with open(os.path.join(FLEET, "access.log"), encoding="utf-8") as file:
            return file.read()

    wait_until(lambda: f"/v1/orders/{order['id']}/status" in log(), "the access log has the request")
    expect(secret not in log(), "the access log shows a client secret")
    return "404 for /metrics and /readyz; the access log has no query"


def a_stopped_replica_answers_all_that_it_holds():
    client = Client()
    orders = [create(client, f"stop-{number}") for number in range(60)]
    holds = [Hold(orders[number % len(orders)]) for number in range(3 * HELD)]
    wait_until(lambda: sum(replica.held() for replica in replicas()) == 3 * HELD, "all are held")
    fullest = max(replicas(), key=Replica.held)
    held = fullest.held()
    expect(held >= HELD * 2 / 3, f"only {held} are held at the fullest replica")
    fullest.restart()
    wait_until(lambda: sum(hold.outcome is not None for hold in holds) >= held, "its held requests are answered")
    answered = collections.Counter(hold.outcome for hold in holds if hold.outcome is not None)
    expect(answered == {(200, 1): held}, f"{held} were held; answered: {answered}")
    for order in orders:
        report(client, order, "succeeded")
    for hold in holds:
        hold.join()
    outcomes = collections.Counter(hold.outcome for hold in holds)
    expect(outcomes == {(200, 1): held, (200, 2): 3 * HELD - held}, f"{outcomes}")
    return f"{held} of {3 * HELD} held requests were at the stopped replica: all answered, 0 failed; the others went on"


class Load:
    """Pollers, holders, reporters and creators, each with a connection of its own; counts what they did and what failed."""

    def __init__(self):
        self.counts, self.failures, self.lock, self.stop = collections.Counter(), [], threading.Lock(), threading.Event()
        client = Client()
        self.orders = [create(client, f"load-{number}") for number in range(40)]
        workers = [self.poll] * 12 + [self.hold] * 60 + [self.report] * 6 + [self.create] * 4
        self.threads = [
            threading.Thread(target=self.work, args=(work, number), daemon=True) for number, work in enumerate(workers)
        ]
        for thread in self.threads:
            thread.start()

    def work(self, work, number):
        state = {"client": Client(), "number": number, "round": 0, "seen": {}}
        while not self.stop.is_set():
            state["round"] += 1
            try:
                work(state)
                outcome = work.__name__
            except (OSError, http.client.HTTPException, AssertionError, ValueError) as error:
                state["client"] = Client()
                outcome = "failed " + work.__name__
                with self.lock:
                    self.failures.append(f"{work.__name__}: {type(error).__name__} {error}")
            with self.lock:
                self.counts[outcome] += 1

    def look(self, state, order, query, **headers):
        state["client"].token = order["client_secret"]
        status, answer, document = state["client"].ask("GET", f"/v1/orders/{order['id']}/status{query}", **headers)
        expect(status in (200, 304), f"{status} {document}")
        version = int(answer["ETag"].strip('"'))
        seen = state["seen"].get(order["id"], 0)
        expect(version >= seen, f"version {version} after {seen}")
        state["seen"][order["id"]] = version

    def poll(self, state):
        order = self.orders[(state["number"] + state["round"]) % len(self.orders)]
        shown = state["seen"].get(order["id"], 0)
        self.look(state, order, "", If_None_Match=f'"{shown}"')

    def hold(self, state):
        order = self.orders[state["number"] % len(self.orders)]
        self.look(state, order, f"?wait=5&since_version={state['seen'].get(order['id'], 0)}")

    def report(self, state):
        order = self.orders[(state["number"] * 7 + state["round"]) % len(self.orders)]
        report(state["client"], order, ("processing", "pending")[state["round"] // len(self.orders) % 2])

    def create(self, state):
        create(state["client"], f"more-{state['number']}-{state['round']}")
        time.sleep(0.01)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def a_rolling_restart_fails_no_request():
    load = Load()
    end = time.monotonic() + LOAD_SECONDS
    took = []
    while time.monotonic() < end or len(took) < len(replicas()):
        took.append(replicas()[len(took) % len(replicas())].restart())
    load.end()
    done = ", ".join(f"{name} {count}" for name, count in sorted(load.counts.items()))
    kinds = collections.Counter(load.failures).most_common(5)
    expect(not load.failures, f"{len(load.failures)} requests failed of {sum(load.counts.values())}: {kinds}")
    return f"{len(took)} restarts of {min(took):.1f}–{max(took):.1f} s each, {sum(load.counts.values())} requests ({done}), 0 failed"


CHECKS = [
    a_report_to_one_replica_wakes_a_hold_at_another,
    the_holds_of_one_order_meet_on_one_replica,
    sessions_of_sockjs_stay_at_their_replica,
    sockets_come_through,
    metrics_and_readiness_stay_inside,
    a_stopped_replica_answers_all_that_it_holds,
    a_rolling_restart_fails_no_request,
]

failed = 0
for check in CHECKS:
    name = check.__name__.replace("_", " ")
    try:
        print(f"ok      {name}: {check()}", flush=True)
    except AssertionError as error:
        failed += 1
        print(f"FAILED  {name}: {error}", flush=True)
sys.exit(1 if failed else 0)
