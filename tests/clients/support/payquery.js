// The payquery that these tests talk to, and what its merchant does. scripts/test-clients.sh starts it and sets the variables.

import assert from 'node:assert/strict';

export const URL_BASE = process.env.PAYQUERY_URL ?? assert.fail('run this with `make test-clients`');
export const SOCKET_BASE = URL_BASE.replace(/^http/, 'ws');
const API_KEY = process.env.PAYQUERY_API_KEY;
/// How long a test waits for something that is to come.
export const PATIENCE_MS = 60_000;

/// A merchant's call; what it answers, which must be a success.
export async function call(method, path, body) {
  const answer = await fetch(URL_BASE + path, {
    method,
    headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.status === 204 ? undefined : answer.json();
}

let lastNumber = 0;

/// A new order: { id, secret }.
export async function createOrder() {
  lastNumber += 1;
  const out_trade_no = `clients-${process.pid}-${Date.now()}-${lastNumber}`;
  const order = await call('POST', '/v1/orders', { out_trade_no, amount: 1000, currency: 'CNY' });
  return { id: order.id, secret: order.client_secret };
}

export const report = (order, status) => call('PUT', `/v1/orders/${order.id}/status`, { status });

export { API_KEY };

/// What came, in order, for those who wait for it.
export class Inbox {
  #items = [];
  #taken = 0;
  #wake = () => {};

  push = (item) => {
    this.#items.push(item);
    this.#wake();
  };

  /// The next one that nobody took yet.
  async next() {
    const deadline = Date.now() + PATIENCE_MS;
    while (this.#taken === this.#items.length) {
      const left = deadline - Date.now();
      assert.ok(left > 0, `nothing more came after ${JSON.stringify(this.#items)}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#taken += 1;
    return this.#items[this.#taken - 1];
  }

  /// The next one for which `isMeant` holds; those before it are passed over.
  async find(isMeant) {
    for (;;) {
      const item = await this.next();
      if (isMeant(item)) return item;
    }
  }
}

/// Sees an order through its life on one transport: `next()` gives the next document that was told. What is told must be what a
/// poll would be told, each version once and in order.
export async function seeThrough(order, next) {
  const told = [await next()];
  for (const status of ['processing', 'succeeded']) {
    await report(order, status);
    told.push(await next());
  }
  assert.deepEqual(
    told.map((document) => [document.version, document.status, document.final]),
    [
      [1, 'pending', false],
      [2, 'processing', false],
      [3, 'succeeded', true],
    ],
  );
  assert.ok(told.every((document) => document.order_id === order.id));
}
