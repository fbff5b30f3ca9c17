// The socket page of examples/mini-program, run as it is but for the address.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inbox, SOCKET_BASE, createOrder, report, seeThrough } from './support/payquery.js';
import { loadPage } from './support/wx.js';

const PAGE = '../../../examples/mini-program/socket-page.js';
const ADDRESS = ['wss://pay.example.com', SOCKET_BASE];

async function open(...replacements) {
  const updates = new Inbox();
  const loaded = await loadPage(PAGE, [ADDRESS, ...replacements], updates.push);
  const nextOrder = async () => (await updates.find((data) => data.order)).order;
  return { ...loaded, updates, nextOrder };
}

const untilClosed = (task) => new Promise((resolve) => task.socket.once('close', (code) => resolve(code)));

test('a socket page shows its order from the first document to the last', async () => {
  const order = await createOrder();
  const { page, sockets, nextOrder } = await open();
  page.onLoad(order);
  await seeThrough(order, nextOrder);
  const closed = untilClosed(sockets[0]);
  page.onUnload();
  assert.equal(await closed, 1000);
  assert.equal(sockets.length, 1);
});

test('a socket page that loses its socket connects again and shows what it missed', async () => {
  const order = await createOrder();
  const { page, sockets, nextOrder } = await open();
  page.onLoad(order);
  assert.equal((await nextOrder()).version, 1);
  sockets[0].socket.terminate(); // the network is gone: no close frame
  await report(order, 'succeeded');
  let shown = await nextOrder();
  assert.deepEqual([shown.version, shown.status], [2, 'succeeded']);
  assert.equal(sockets.length, 2);
  const closed = untilClosed(sockets[1]);
  page.onUnload();
  await closed;
});

test('a socket page follows further orders and keeps its socket with heart-beats', async () => {
  const [order, other] = [await createOrder(), await createOrder()];
  // The one number that is not the sample's: nobody waits 20 s for each beat.
  const { page, sockets, updates } = await open(['HEART_BEAT_MS = 20000', 'HEART_BEAT_MS = 50']);
  page.onLoad({ ...order, others: [other] });
  await updates.find((data) => data[`others.${other.id}`]?.version === 1);
  const beats = new Inbox();
  sockets[0].onMessage(({ data }) => JSON.parse(data).msgType === 'heartBeat_ack' && beats.push(data));
  for (let beat = 0; beat < 3; beat += 1) await beats.next();
  await report(other, 'succeeded');
  await updates.find((data) => data[`others.${other.id}`]?.status === 'succeeded');
  page.onUnload();
});

test('a socket page with a wrong secret says so, and does not come back with it', async () => {
  const [order, wrong] = [await createOrder(), await createOrder()];
  const { page, sockets, updates } = await open();
  page.onLoad({ id: order.id, secret: wrong.secret });
  const { note } = await updates.find((data) => data.note);
  assert.match(note, /no such order/);
  await untilClosed(sockets[0]);
  assert.equal(page.socket, null);
  assert.equal(page.reconnectTimer, undefined); // nothing is left to do
  page.onUnload();
});
