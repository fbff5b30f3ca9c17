// The sample consumers of examples/rabbitmq, as they stand, against a real broker.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import amqp from 'amqplib';
import { Inbox, createOrder, report } from './support/payquery.js';
import { place, start } from './support/programs.js';

const AMQP_URL = process.env.SCRATCH_AMQP_URL ?? assert.fail('run this with `make test-clients`');

/// `work` is the line that does the work, `failing` one in its place that cannot.
const CONSUMERS = {
  Node: {
    file: 'consume.mjs',
    command: [process.execPath, 'consume.mjs'],
    work: 'console.log(event.type, event.order_id, event.out_trade_no, event.version);',
    failing: 'throw new Error("the work failed");',
  },
  Python: {
    file: 'consume.py',
    command: [process.env.CLIENTS_PYTHON, 'consume.py'],
    work: 'print(event["type"], event["order_id"], event["out_trade_no"], event["version"], flush=True)',
    failing: 'raise ValueError("the work failed")',
  },
  Java: {
    file: 'Consume.java',
    command: ['java', '-cp', process.env.AMQP_CLASSPATH, 'Consume.java'],
    work: 'System.out.println(type + " " + event);',
    failing: 'throw new IllegalStateException("the work failed");',
  },
};

const connection = await amqp.connect(AMQP_URL);
const channel = await connection.createChannel();
after(() => connection.close());

let lastQueue = 0;

/// A consumer that waits on a queue of its own: { program, queue }. `change` is done to its source.
async function consume({ file, command }, keys = [], change = (source) => source) {
  lastQueue += 1;
  const queue = `clients-${process.pid}-${lastQueue}`;
  const source = await readFile(new URL(`../../examples/rabbitmq/${file}`, import.meta.url), 'utf8');
  const cwd = await place(file, change(source));
  const program = start([...command, ...keys], { cwd, env: { AMQP_URL, QUEUE: queue } });
  assert.equal(await program.next(), 'waiting');
  return { program, queue };
}

/// Type, order and version of what a consumer printed: words, or the event itself.
function readLine(line) {
  const [type, id, , version] = line.split(' ');
  if (!id.startsWith('{')) return [type, id, Number(version)];
  const event = JSON.parse(line.slice(type.length));
  return [type, event.order_id, event.version];
}

for (const [language, consumer] of Object.entries(CONSUMERS)) {
  test(`the ${language} consumer hears of what it is bound to, in order`, async () => {
    const [all, money] = await Promise.all([consume(consumer), consume(consumer, ['order.succeeded'])]);
    const order = await createOrder();
    await report(order, 'processing');
    await report(order, 'succeeded');
    const told = [];
    for (let count = 0; count < 3; count += 1) told.push(readLine(await all.program.next()));
    assert.deepEqual(told, [
      ['order.created', order.id, 1],
      ['order.processing', order.id, 2],
      ['order.succeeded', order.id, 3],
    ]);
    assert.deepEqual(readLine(await money.program.next()), ['order.succeeded', order.id, 3]);
    await Promise.all([all.program.stop(), money.program.stop()]);
  });

  test(`the ${language} consumer ends when its work fails, and the event is still there`, async () => {
    const { file, work, failing } = consumer;
    const { program, queue } = await consume(consumer, ['order.pending'], (source) => {
      assert.ok(source.includes(work), `${file} has no ${work}`);
      return source.replace(work, failing);
    });
    await createOrder();
    const { code, errors } = await program.end();
    assert.equal(code, 1);
    assert.match(errors, /the work failed/);
    const left = new Inbox();
    await channel.consume(queue, left.push);
    assert.equal((await left.next()).fields.redelivered, true);
    await channel.deleteQueue(queue);
  });

  test(`the ${language} consumer ends when its queue is gone`, async () => {
    const { program, queue } = await consume(consumer);
    await channel.deleteQueue(queue);
    const { code, errors } = await program.end();
    assert.equal(code, 1);
    assert.match(errors, /the queue is gone/);
  });
}
