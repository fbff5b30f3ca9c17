// An order seen through with @stomp/stompjs, over whatever its factory gives it.

import assert from 'node:assert/strict';
import { Client } from '@stomp/stompjs';
import { Inbox, seeThrough } from './payquery.js';

/// A connected client. `errors` has the ERROR frames.
export async function connect(options) {
  const [errors, connections] = [new Inbox(), new Inbox()];
  const client = new Client({ reconnectDelay: 200, onStompError: errors.push, onConnect: connections.push, ...options });
  client.activate();
  return { client, errors, connected: () => connections.next() };
}

export async function followWith(order, options) {
  const connection = await connect({ connectHeaders: { 'client-secret': order.secret }, ...options });
  const frame = await connection.connected();
  const messages = new Inbox();
  const subscription = connection.client.subscribe(`/topic/orders.${order.id}`, messages.push);
  await seeThrough(order, async () => {
    const message = await messages.next();
    assert.equal(message.headers.subscription, subscription.id);
    return JSON.parse(message.body);
  });
  // With a receipt, so that the end is the server's, too.
  const receipted = new Promise((resolve) => (connection.client.onDisconnect = resolve));
  await connection.client.deactivate();
  await receipted;
  return frame;
}
