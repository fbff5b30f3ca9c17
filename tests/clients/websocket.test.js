// `/v1/ws` and `/v1/echo`, by npm's ws.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { API_KEY, Inbox, SOCKET_BASE, createOrder, report, seeThrough } from './support/payquery.js';

function open(path, protocols, options) {
  const socket = new WebSocket(SOCKET_BASE + path, protocols, options);
  const messages = new Inbox();
  socket.on('message', (data, isBinary) => messages.push(isBinary ? data : data.toString()));
  const opened = new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const say = (message) => socket.send(JSON.stringify(message));
  const hear = async (kind) => {
    const message = await messages.find((text) => JSON.parse(text).msgType === kind);
    return JSON.parse(message);
  };
  return { socket, opened, closed, messages, say, hear };
}

test('a socket is told the order as it stands and each change', async () => {
  const order = await createOrder();
  const client = open('/v1/ws', ['payquery.v1']);
  await client.opened;
  assert.equal(client.socket.protocol, 'payquery.v1');
  client.say({ type: 'auth', order_id: order.id, client_secret: order.secret });
  const ack = await client.hear('auth_ack');
  assert.deepEqual([ack.code, ack.success], ['200', true]);
  await seeThrough(order, async () => (await client.hear('order_status')).data);
  client.say({ type: 'heartBeat', msg: 'ping' });
  await client.hear('heartBeat_ack');
  client.socket.close(1000);
  assert.equal(await client.closed, 1000);
});

test('several orders are followed on one socket, and each only for as long as is asked', async () => {
  const orders = [await createOrder(), await createOrder(), await createOrder()];
  const client = open('/v1/ws');
  await client.opened;
  client.say({ type: 'auth', order_id: orders[0].id, client_secret: orders[0].secret });
  for (const order of orders.slice(1)) {
    client.say({ type: 'subscribe', order_id: order.id, client_secret: order.secret });
  }
  const first = new Set();
  for (const _ of orders) first.add((await client.hear('order_status')).data.order_id);
  assert.deepEqual(first, new Set(orders.map((order) => order.id)));
  client.say({ type: 'unsubscribe', order_id: orders[1].id });
  await client.hear('unsubscribe_ack');
  for (const order of orders) await report(order, 'succeeded');
  const later = new Set([(await client.hear('order_status')).data.order_id, (await client.hear('order_status')).data.order_id]);
  assert.deepEqual(later, new Set([orders[0].id, orders[2].id]));
  client.socket.close();
});

test('a client that comes back with its last version misses nothing and hears nothing twice', async () => {
  const order = await createOrder();
  const auth = { type: 'auth', order_id: order.id, client_secret: order.secret };
  const lost = open('/v1/ws');
  await lost.opened;
  lost.say(auth);
  const { data } = await lost.hear('order_status');
  lost.socket.terminate();
  await report(order, 'processing');
  const back = open('/v1/ws');
  await back.opened;
  back.say({ ...auth, version: data.version });
  assert.equal((await back.hear('order_status')).data.version, 2);
  back.socket.terminate();
  const current = open('/v1/ws');
  await current.opened;
  current.say({ ...auth, version: 2 });
  await current.hear('auth_ack');
  await report(order, 'succeeded');
  assert.equal((await current.hear('order_status')).data.version, 3);
  current.socket.close();
});

test("a merchant's socket is told of all of the merchant's orders", async () => {
  const client = open('/v1/ws', [], { headers: { authorization: `Bearer ${API_KEY}` } });
  await client.opened;
  await client.hear('auth_ack');
  const order = await createOrder();
  await report(order, 'succeeded');
  const message = await client.messages.find((text) => {
    const { msgType, data } = JSON.parse(text);
    return msgType === 'order_status' && data.order_id === order.id && data.final;
  });
  assert.equal(JSON.parse(message).data.status, 'succeeded');
  client.socket.close();
});

test('wrong credentials are told and end the socket', async () => {
  const [order, other] = [await createOrder(), await createOrder()];
  const client = open('/v1/ws');
  await client.opened;
  client.say({ type: 'auth', order_id: order.id, client_secret: other.secret });
  const error = await client.hear('error');
  assert.equal(error.success, false);
  assert.equal(error.code, '404');
  assert.equal(await client.closed, 3000);
});

test('the echo echoes text and bytes, and selects its protocol', async () => {
  const client = open('/v1/echo', ['echo-protocol']);
  await client.opened;
  assert.equal(client.socket.protocol, 'echo-protocol');
  client.socket.send('支付');
  assert.equal(await client.messages.next(), '支付');
  client.socket.send(Buffer.from([0, 255]));
  assert.deepEqual(await client.messages.next(), Buffer.from([0, 255]));
  client.socket.close();
});
