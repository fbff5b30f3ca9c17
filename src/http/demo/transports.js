// Four ways to learn of an order's changes, each as short as it can be. (clients/js has them for a real page: with back-off,
// watchdogs, steps from one to another, and pages that are hidden.)
//
// Each is a function of an order and a screen, and returns what stops it. A screen counts what was `asked`, is `show`n
// documents, and told of answers that are `unchanged`, of `trouble`, and that all is `well`.

const WAIT = 25; // seconds that a request asks to be held
const HELD = 1000; // an answer without news that took less was not held, in ms
const RETRY = 2000; // after a failure, in ms; with chance, so that not all come at once
const BUSY = 5000; // after a socket was told that there is no place for it, in ms
const AFTERWORD = 1000; // for what still comes on it, in ms
const HEARTBEAT = 15_000; // over a socket, in ms

const statusUrl = (order) => `/v1/orders/${order.order_id}/status`;
const chance = () => RETRY * (0.5 + Math.random());

/** An answer that is neither a document nor "nothing new". */
class Refusal extends Error {
  constructor(response, problem) {
    super(problem.detail);
    this.rest = Number(response.headers.get('Retry-After')) * 1000;
    this.isFinal = [400, 401, 404, 410].includes(response.status);
  }
}

/** Asks once; returns the pace that the service asks for, in ms. */
async function ask(order, screen, query, signal) {
  const headers = { Authorization: `Bearer ${order.client_secret}` };
  if (screen.version) headers['If-None-Match'] = `"${screen.version}"`;
  screen.asked();
  const response = await fetch(statusUrl(order) + query, { headers, cache: 'no-store', signal });
  if (response.status === 304) screen.unchanged();
  else if (response.ok) screen.show(await response.json());
  else throw new Refusal(response, await response.json().catch(() => ({ detail: `HTTP ${response.status}` })));
  return Number(response.headers.get('X-Poll-Interval')) * 1000 || RETRY;
}

/** Asks again and again, never twice at once; `askOnce` is told whether the last time failed, and returns how long to pause. */
function repeat(screen, askOnce) {
  const life = new AbortController();
  let timer;
  let hasFailed = false;
  const turn = async () => {
    let pause;
    try {
      pause = await askOnce(life.signal, hasFailed);
      hasFailed = false;
    } catch (failure) {
      hasFailed = true;
      if (life.signal.aborted) return;
      screen.trouble(failure);
      if (failure.isFinal) return;
      pause = failure.rest || chance();
    }
    if (!life.signal.aborted && !screen.isFinal) timer = setTimeout(turn, pause);
  };
  turn();
  return () => {
    life.abort();
    clearTimeout(timer);
  };
}

/** `screen.pace()`: milliseconds between two questions, or 0 to keep the service's pace. */
export function polling(order, screen) {
  return repeat(screen, async (signal) => {
    const asked = await ask(order, screen, '', signal);
    return screen.pace() || asked;
  });
}

export function longpoll(order, screen) {
  return repeat(screen, async (signal, hasFailed) => {
    const { version } = screen;
    const start = performance.now();
    // After a failure the screen wants to know at once that all is well again.
    const mayWait = version && !hasFailed;
    const pace = await ask(order, screen, mayWait ? `?wait=${WAIT}` : '', signal);
    const wasHeld = screen.version !== version || performance.now() - start >= HELD;
    return wasHeld || !mayWait ? 0 : pace;
  });
}

/** The browser comes back by itself, and names the last version. It can set no header: the secret stands in the address. */
export function sse(order, screen) {
  let source;
  let timer;
  const connect = () => {
    source = new EventSource(`${statusUrl(order)}?client_secret=${encodeURIComponent(order.client_secret)}`);
    screen.asked();
    source.onopen = () => screen.well();
    source.onmessage = ({ data }) => {
      screen.show(JSON.parse(data));
      if (screen.isFinal) stop();
    };
    source.onerror = () => {
      screen.trouble(new Error());
      if (source.readyState === EventSource.CONNECTING) screen.asked();
      // After an answer that is no stream it does not come back by itself.
      else timer = setTimeout(connect, chance());
    };
  };
  const stop = () => {
    clearTimeout(timer);
    source.close();
  };
  connect();
  return stop;
}

export function websocket(order, screen) {
  let socket;
  let timer;
  let isOver = false;
  let rest = 0; // that the service was left to wish for
  const connect = () => {
    rest = 0;
    screen.asked();
    socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v1/ws`, 'payquery.v1');
    const { order_id, client_secret } = order;
    const say = (message) => socket.send(JSON.stringify(message));
    socket.onopen = () => {
      say({ type: 'auth', order_id, client_secret });
      timer = setInterval(() => say({ type: 'heartBeat', msg: 'ping' }), HEARTBEAT);
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.msgType === 'heartBeat_ack') screen.unchanged();
      if (message.msgType === 'order_status') screen.show(message.data);
      if (message.msgType === 'error') refuse(message);
      if (screen.isFinal) stop();
    };
    socket.onclose = () => {
      clearInterval(timer);
      if (isOver) return;
      screen.trouble({ rest });
      timer = setTimeout(connect, rest || chance());
    };
  };
  const refuse = ({ code, data }) => {
    // Too many at once, or no place just now: that says nothing of the order.
    if (['429', '503'].includes(code)) {
      rest = BUSY;
      // Where only a place is missing, the document as it stands comes right after.
      clearInterval(timer);
      timer = setTimeout(() => socket.close(), AFTERWORD);
      return;
    }
    stop();
    screen.trouble({ message: data.detail, isFinal: true });
  };
  const stop = () => {
    isOver = true;
    clearInterval(timer);
    clearTimeout(timer);
    socket.close();
  };
  connect();
  return stop;
}
