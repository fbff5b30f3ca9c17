// examples/rabbitmq/consume.mjs, with npm's amqplib, against a real broker.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Inbox, createOrder, report } from './support/payquery.js';

const AMQP_URL = process.env.SCRATCH_AMQP_URL ?? assert.fail('run this with `make test-clients`');
const EXAMPLE = fileURLToPath(new URL('../../examples/rabbitmq/consume.mjs', import.meta.url));
// Beside the packages, so that it finds amqplib.
const COPY = fileURLToPath(new URL('./node_modules/.consume.mjs', import.meta.url));

const running = [];
after(() => running.forEach((child) => child.kill()));

async function consume(queue, ...keys) {
  await copyFile(EXAMPLE, COPY);
  const child = spawn(process.execPath, [COPY, ...keys], {
    env: { ...process.env, AMQP_URL, QUEUE: queue },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.push(child);
  const lines = new Inbox();
  createInterface({ input: child.stdout }).on('line', lines.push);
  assert.equal(await lines.next(), 'waiting');
  return lines;
}

test('the sample consumer hears of what it is bound to, in order', async () => {
  const [all, money] = [await consume('node-all'), await consume('node-money', 'order.succeeded')];
  const order = await createOrder();
  await report(order, 'processing');
  await report(order, 'succeeded');
  const told = [];
  for (let count = 0; count < 3; count += 1) told.push((await all.next()).split(' '));
  assert.deepEqual(
    told.map(([type, id, , version]) => [type, id, version]),
    [
      ['order.created', order.id, '1'],
      ['order.processing', order.id, '2'],
      ['order.succeeded', order.id, '3'],
    ],
  );
  assert.match(await money.next(), /^order\.succeeded /);
});
