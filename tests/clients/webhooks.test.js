// Webhooks, received by a real server and verified by npm's standardwebhooks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { call, createOrder, report } from './support/payquery.js';
import { startReceiver } from './support/receiver.js';

const ENDPOINTS = '/v1/webhook-endpoints';

const refuses = (webhook, body, headers) => assert.throws(() => webhook.verify(body, headers), WebhookVerificationError);

test('the published library verifies each delivery, and nothing that was changed', async () => {
  const receiver = await startReceiver();
  const endpoint = await call('POST', ENDPOINTS, { url: receiver.url });
  const webhook = new Webhook(endpoint.secret);
  const order = await createOrder();
  await report(order, 'succeeded');
  for (const type of ['order.created', 'order.succeeded']) {
    const { headers, body } = await receiver.next();
    const event = webhook.verify(body, headers);
    assert.deepEqual([event.type, event.order_id, event.id], [type, order.id, headers['webhook-id']]);
    refuses(webhook, body.replace(type, 'order.failed'), headers);
    refuses(webhook, body, { ...headers, 'webhook-id': 'another' });
    refuses(webhook, body, { ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) });
    refuses(new Webhook('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), body, headers);
  }
  await call('DELETE', `${ENDPOINTS}/${endpoint.id}`);
});

test('over a rotation the library verifies with the old secret and with the new one', async () => {
  const receiver = await startReceiver();
  const endpoint = await call('POST', ENDPOINTS, { url: receiver.url, events: ['order.succeeded'] });
  const rotated = await call('POST', `${ENDPOINTS}/${endpoint.id}/rotate-secret`);
  assert.notEqual(rotated.secret, endpoint.secret);
  await call('POST', `${ENDPOINTS}/${endpoint.id}/test`);
  const { headers, body } = await receiver.next();
  for (const secret of [endpoint.secret, rotated.secret]) {
    assert.equal(new Webhook(secret).verify(body, headers).type, 'webhook_endpoint.test');
  }
  await call('DELETE', `${ENDPOINTS}/${endpoint.id}`);
});
