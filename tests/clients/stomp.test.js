// STOMP at `/ws`, by @stomp/stompjs over a WebSocket.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Versions } from '@stomp/stompjs';
import WebSocket from 'ws';
import { API_KEY, Inbox, SOCKET_BASE, createOrder, report } from './support/payquery.js';
import { connect, followWith } from './support/stomp.js';

const BROKER = `${SOCKET_BASE}/ws`;
const over = (url) => ({ webSocketFactory: () => new WebSocket(url, new Versions(Versions.default.versions).protocolVersions()) });

for (const version of ['1.2', '1.1', '1.0']) {
  test(`STOMP ${version} over a WebSocket`, async () => {
    const stompVersions = new Versions([version]);
    const webSocketFactory = () => new WebSocket(BROKER, stompVersions.protocolVersions());
    const frame = await followWith(await createOrder(), { webSocketFactory, stompVersions });
    assert.equal(frame.headers.version, version);
  });
}

test("SockJS's raw WebSocket speaks it, too", async () => {
  await followWith(await createOrder(), over(`${BROKER}/websocket`));
});

test('frames that the client splits, and bytes instead of text, are taken', async () => {
  const order = await createOrder();
  await followWith(order, {
    ...over(BROKER),
    connectHeaders: { 'client-secret': order.secret, padding: 'x'.repeat(500) },
    splitLargeFrames: true,
    maxWebSocketChunkSize: 64,
  });
  await followWith(await createOrder(), { ...over(BROKER), forceBinaryWSFrames: true });
});

test('an API key, a request for the document, a transaction and acknowledgements', async () => {
  const order = await createOrder();
  const { client, connected } = await connect({ ...over(BROKER), connectHeaders: { login: 'acme', passcode: API_KEY } });
  await connected();
  const messages = new Inbox();
  client.subscribe(`/topic/orders.${order.id}`, messages.push, { ack: 'client-individual' });
  const first = await messages.next();
  first.ack();
  client.publish({ destination: `/app/orders.${order.id}` });
  const asked = await messages.next();
  assert.equal(asked.body, first.body);
  asked.nack();
  const transaction = client.begin();
  client.publish({ destination: `/app/orders.${order.id}`, headers: { transaction: transaction.id } });
  const receipts = new Inbox();
  client.watchForReceipt('before', receipts.push);
  client.unsubscribe('nothing', { receipt: 'before' });
  await receipts.next(); // nothing was told before it
  transaction.commit();
  assert.equal((await messages.next()).body, first.body);
  await client.deactivate();
});

test('a wrong secret is told in an ERROR frame', async () => {
  const [order, other] = [await createOrder(), await createOrder()];
  const connection = await connect({ ...over(BROKER), connectHeaders: { 'client-secret': other.secret } });
  await connection.connected();
  connection.client.subscribe(`/topic/orders.${order.id}`, () => assert.fail('told'));
  const error = await connection.errors.next();
  assert.equal(JSON.parse(error.body).code, 'order_not_found');
  await connection.client.deactivate();
});

test('a client whose connection breaks connects again, and is told what it missed', async () => {
  const order = await createOrder();
  const messages = new Inbox();
  let seen;
  const connection = await connect({ ...over(BROKER), connectHeaders: { 'client-secret': order.secret } });
  const subscribe = async () => {
    await connection.connected();
    connection.client.subscribe(`/topic/orders.${order.id}`, messages.push, seen && { version: seen });
  };
  await subscribe();
  seen = (await messages.next()).headers.version;
  await report(order, 'processing');
  seen = (await messages.next()).headers.version;
  connection.client.webSocket.terminate();
  await subscribe();
  await report(order, 'succeeded');
  assert.equal((await messages.next()).headers.version, '3');
  await connection.client.deactivate();
});

test('the server beats when nothing happens', { timeout: 60_000 }, async () => {
  const order = await createOrder();
  const beats = new Inbox();
  const debug = (text) => text === '<<< PONG' && beats.push(text);
  const connection = await connect({ ...over(BROKER), debug, connectHeaders: { 'client-secret': order.secret } });
  const frame = await connection.connected();
  assert.equal(frame.headers['heart-beat'], '10000,10000');
  connection.client.subscribe(`/topic/orders.${order.id}`, () => {});
  await beats.next();
  assert.ok(connection.client.connected);
  await connection.client.deactivate();
});
