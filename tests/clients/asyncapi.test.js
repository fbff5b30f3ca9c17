// docs/asyncapi.yaml: AsyncAPI's own parser reads it, and what is sent and answered is what it says.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import asyncapi from '@asyncapi/parser';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import amqp from 'amqplib';
import { API_KEY, Inbox, call, createOrder, report } from './support/payquery.js';
import { startReceiver } from './support/receiver.js';

const AMQP_URL = process.env.SCRATCH_AMQP_URL ?? assert.fail('run this with `make test-clients`');
const WARNING = 1; // 0 is an error; what is above is advice

const text = await readFile(new URL('../../docs/asyncapi.yaml', import.meta.url), 'utf8');
const { document, diagnostics } = await new asyncapi.Parser().parse(text);
const ajv = addFormats(new Ajv({ strict: false, allErrors: true }));

const connection = await amqp.connect(AMQP_URL);
const channel = await connection.createChannel();
after(() => connection.close());

const message = (name) => document.allMessages().get(name);

/// Holds a value against a schema of the document, which must also name all that it has.
function holdTo(schema, value, what) {
  assert.ok(ajv.validate(schema.json(), value), `${what}: ${ajv.errorsText()} in ${JSON.stringify(value)}`);
  const unnamed = Object.keys(value).filter((name) => schema.json().properties && !(name in schema.json().properties));
  assert.deepEqual(unnamed, [], what);
}

/// What arrives at a queue of this test's, bound to a channel of the document.
async function listen(queue) {
  const inbox = new Inbox();
  await channel.consume(queue, inbox.push, { noAck: true });
  return inbox;
}

async function listenToEvents() {
  const { exchange } = document.channels().get('events').bindings().get('amqp').json();
  await channel.assertExchange(exchange.name, exchange.type, { durable: exchange.durable, autoDelete: exchange.autoDelete });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, exchange.name, '#');
  return listen(queue);
}

const queueOf = (name) => document.channels().get(name).bindings().get('amqp').json().queue.name;

test("AsyncAPI's own parser finds neither an error nor a warning", () => {
  assert.deepEqual(diagnostics.filter(({ severity }) => severity <= WARNING), []);
});

test('the examples are what their schemas say', () => {
  const examples = document.allMessages().all().flatMap((each) => each.examples().all().map((example) => [each, example]));
  assert.ok(examples.length > 0);
  for (const [each, example] of examples) holdTo(each.payload(), example.payload(), example.name());
});

test('the events that are sent are what the document says', async () => {
  const events = await listenToEvents();
  const gone = await startReceiver(() => 410);
  const endpoint = await call('POST', '/v1/webhook-endpoints', { url: gone.url, events: ['order.refunded'] });
  const order = await createOrder();
  for (const status of ['processing', 'succeeded', 'succeeded']) await report(order, status);
  await call('PUT', `/v1/orders/${order.id}/status`, { status: 'succeeded', refunded_amount: 300 });
  await report(order, 'refunded');
  await assert.rejects(report(order, 'pending'), /409/);
  await assert.rejects(report(order, 'pending'), /409/);
  const awaited = new Set(['created', 'processing', 'succeeded', 'updated', 'refunded', 'rejected'].map((what) => `order.${what}`));
  awaited.add('webhook_endpoint.disabled');
  const keys = document.channels().get('events').parameters().get('status').json().enum.map((status) => `order.${status}`);
  while (awaited.size > 0) {
    const { content, fields, properties } = await events.next();
    const event = JSON.parse(content);
    holdTo(message('event').payload(), event, event.type);
    holdTo(message('event').headers(), properties.headers, event.type);
    assert.ok(event.order_id === null ? fields.routingKey === event.type : keys.includes(fields.routingKey), fields.routingKey);
    assert.deepEqual([properties.messageId, properties.type, properties.contentType], [event.id, event.type, 'application/json']);
    awaited.delete(event.type);
  }
  await call('DELETE', `/v1/webhook-endpoints/${endpoint.id}`);
});

test('reports, answers and dead letters are what the document says', async () => {
  const deadLetters = await listen(queueOf('deadLetters'));
  const { queue: replyTo } = await channel.assertQueue('', { exclusive: true });
  const answers = await listen(replyTo);
  const order = await createOrder();
  for (const [status, code] of [['refunded', 409], ['succeeded', 200]]) {
    const update = { order_id: order.id, status, amount: 1000, currency: 'CNY' };
    const headers = { 'api-key': API_KEY };
    holdTo(message('update').payload(), update, status);
    holdTo(message('update').headers(), headers, status);
    channel.sendToQueue(queueOf('updates'), Buffer.from(JSON.stringify(update)), { headers, replyTo, contentType: 'application/json' });
    const answer = await answers.next();
    holdTo(message('answer').headers(), answer.properties.headers, status);
    assert.equal(answer.properties.headers['payquery-status'], code);
  }
  const letter = await deadLetters.find(({ content }) => JSON.parse(content).order_id === order.id);
  holdTo(message('deadLetter').headers(), letter.properties.headers, 'a dead letter');
  assert.equal(letter.properties.headers['payquery-code'], 'illegal_transition');
});
