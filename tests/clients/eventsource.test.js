// Server-sent events, by npm's eventsource.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventSource } from 'eventsource';
import { Inbox, URL_BASE, createOrder, report, seeThrough } from './support/payquery.js';

const streamOf = (order) => `${URL_BASE}/v1/orders/${order.id}/status?client_secret=${order.secret}`;

function follow(url, options) {
  const [events, errors, requests] = [new Inbox(), new Inbox(), []];
  const fetchCounted = (input, init) => {
    requests.push(init.headers);
    return fetch(input, { ...init, headers: { ...init.headers, ...options?.headers } });
  };
  const source = new EventSource(url, { fetch: fetchCounted });
  source.onmessage = events.push;
  source.onerror = errors.push;
  return { source, requests, errors, next: () => events.next() };
}

test('an EventSource sees each version with its id, and stops coming back after the final one', async () => {
  const order = await createOrder();
  const stream = follow(streamOf(order));
  const ids = [];
  await seeThrough(order, async () => {
    const event = await stream.next();
    ids.push(event.lastEventId);
    return JSON.parse(event.data);
  });
  assert.deepEqual(ids, ['1', '2', '3']);
  // The stream ends; the EventSource asks once more with the last id, is told 204, and gives up.
  let ended;
  while (stream.source.readyState !== EventSource.CLOSED) ended = await stream.errors.next();
  assert.equal(ended.code, 204);
  assert.equal(stream.requests.length, 2);
  assert.equal(stream.requests[1]['Last-Event-ID'], '3');
});

test('with Last-Event-ID nothing that was seen is told again', async () => {
  const order = await createOrder();
  await report(order, 'processing');
  const stream = follow(streamOf(order) + '&last_event_id=2');
  await new Promise((resolve) => (stream.source.onopen = resolve));
  await report(order, 'succeeded');
  assert.equal((await stream.next()).lastEventId, '3');
  stream.source.close();
});

test('a wrong secret ends an EventSource with a 404', async () => {
  const [order, other] = [await createOrder(), await createOrder()];
  const stream = follow(streamOf({ id: order.id, secret: other.secret }));
  assert.equal((await stream.errors.next()).code, 404);
  assert.equal(stream.source.readyState, EventSource.CLOSED);
});
