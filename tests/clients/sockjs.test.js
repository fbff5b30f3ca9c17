// STOMP by @stomp/stompjs over sockjs-client, with each transport forced that it has outside of a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import SockJS from 'sockjs-client';
import { Inbox, PATIENCE_MS, URL_BASE, createOrder } from './support/payquery.js';
import { followWith } from './support/stomp.js';

const BASE = `${URL_BASE}/ws`;
/// It gives a transport a time that it reckons by how quick the first answer was: less than a busy machine may need.
const PATIENT = { timeout: PATIENCE_MS };

for (const transport of ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling']) {
  test(`SockJS by ${transport}`, async () => {
    const used = [];
    const webSocketFactory = () => {
      const socket = new SockJS(BASE, null, { transports: transport, ...PATIENT });
      socket.addEventListener('open', () => used.push(socket.transport));
      return socket;
    };
    await followWith(await createOrder(), { webSocketFactory });
    assert.deepEqual(used, [transport]);
  });
}

test('a session that the server ends is closed with its code', async () => {
  for (const transport of ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling']) {
    const socket = new SockJS(BASE, null, { transports: transport, ...PATIENT });
    const closes = new Inbox();
    socket.onopen = () => socket.send('NONSENSE\n\n\0');
    socket.onclose = closes.push;
    const { code, reason } = await closes.next();
    assert.deepEqual([code, reason], [3000, 'Go away!'], transport);
  }
});
