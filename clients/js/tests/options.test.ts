import assert from 'node:assert/strict';
import { test } from 'node:test';
import { webAdapter } from 'payquery-client';
import { Recorder } from './support/recorder';

const ORDER = { id: '0195f3a0-0000-7000-8000-000000000000', client_secret: 'pqs_x' };
const BASE = 'https://pay.example.com';

test('options that this environment cannot fulfil are told by the callback and the promise, once', async (t) => {
  const socketless = { ...webAdapter(), socket: undefined } as never;
  for (const payer of [
    new Recorder(t, '', ORDER), // a page's own host, where there is a page
    new Recorder(t, '/pay', ORDER),
    new Recorder(t, BASE, ORDER, { transport: 'websocket', adapter: socketless }),
  ]) {
    await assert.rejects(payer.watch.final, { code: 'bad_options', fatal: true });
    assert.deepEqual(payer.codes(), ['bad_options']);
  }
});

test('a stop right after bad options keeps the callback away', async (t) => {
  const payer = new Recorder(t, '', ORDER);
  payer.watch.stop();
  await assert.rejects(payer.watch.final);
  assert.deepEqual(payer.codes(), []);
});
