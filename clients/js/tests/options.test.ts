import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type PaymentWatch, watchPayment, webAdapter, withPayment } from 'payquery-client';
import { defaultTiming } from '../src/clock';
import { FakeClock } from './support/fake_clock';
import { Recorder } from './support/recorder';
import { answer, document, Scripted } from './support/scripted';
import { until } from './support/waiting';

const ORDER = { id: '0195f3a0-0000-7000-8000-000000000000', client_secret: 'pqs_x' };
const BASE = 'https://pay.example.com';

test('options that this environment cannot fulfil are told by the callback and the promise, once', async (t) => {
  const socketless = { ...webAdapter(), socket: undefined } as never;
  for (const payer of [
    new Recorder(t, '', ORDER), // a page's own host, where there is a page
    new Recorder(t, '/pay', ORDER),
    new Recorder(t, '//pay.example.com', ORDER),
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

/** What the console was told while `act` ran, and a moment after it. */
async function overheard(t: TestContext, act: () => unknown): Promise<string[]> {
  const said: string[] = [];
  t.mock.method(console, 'error', (text: string) => void said.push(text));
  act();
  await new Promise((resolve) => setTimeout(resolve, 20));
  return said;
}

test('what ends a watch is said on the console when nobody listens, and only then', async (t) => {
  const adapter = new Scripted();
  const good = { baseUrl: BASE, orderId: 'a', clientSecret: 's', adapter };
  const heard: string[] = [];
  const onError = ({ code }: { code: string }) => void heard.push(code);
  const said = await overheard(t, () => {
    (watchPayment as () => PaymentWatch)();
    watchPayment({ ...good, baseUrl: 'x' });
    watchPayment({ ...good, baseUrl: 'x', onError });
    for (const more of [{}, { onError }]) {
      watchPayment({ ...good, ...more });
      adapter.last.onAnswer(answer(404, '<html>'));
    }
    watchPayment(good).stop();
  });
  assert.deepEqual(said, [
    'WatchError: there is no payquery at https://pay.example.com/v1/orders/a/status (HTTP 404)',
    'WatchError: baseUrl must be an http(s) address without ? and #, not undefined',
    'WatchError: baseUrl must be an http(s) address without ? and #, not "x"',
  ]);
  assert.deepEqual(heard, ['no_service', 'bad_options']);
});

test('a callback that throws at bad options is the mistake that it is, and no promise without a catch', async (t) => {
  const later: (() => void)[] = [];
  t.mock.method(globalThis, 'setTimeout', (call: () => void) => later.push(call));
  const onError = () => {
    throw new Error('a mistake of the page');
  };
  const { final } = watchPayment({ baseUrl: 'x', orderId: 'a', clientSecret: 's', onError });
  await assert.rejects(final, { code: 'bad_options' });
  assert.equal(later.length, 1);
  assert.throws(() => later[0]?.(), /a mistake of the page/);
});

test('a page whose function is async is told what is wrong with that', async (t) => {
  const start = async () => ({ baseUrl: BASE, orderId: 'a', clientSecret: 's' });
  const page = withPayment<object>({}, start as never) as { onLoad(): void };
  const said = await overheard(t, () => page.onLoad());
  assert.deepEqual(said, ['WatchError: options must not be a promise']);
});

test('an orderId may be a number', () => {
  const adapter = new Scripted();
  const watch = watchPayment({ baseUrl: BASE, orderId: 7 as never, clientSecret: 's', adapter });
  adapter.last.onAnswer(answer(200, document(1, 'succeeded', { order_id: '7' })));
  assert.equal(watch.document?.status, 'succeeded');
});

test('what could not be reached is named, without the secret', async (t) => {
  const adapter = new Scripted();
  const payer = new Recorder(t, BASE, ORDER, { adapter });
  adapter.last.onFailure('no network');
  await until('it is told', () => payer.errors.length);
  assert.equal(payer.errors[0]?.message, `no network: ${BASE}/v1/orders/${ORDER.id}/status`);
});

test('the durations that the documentation names are the ones that hold', () => {
  assert.deepEqual(defaultTiming, {
    wait: 25,
    answer: 10_000,
    poll: 5_000,
    open: 5_000,
    silence: 40_000,
    heartbeat: 15_000,
    backoff: 1_000,
    backoffMax: 30_000,
    steady: 45_000,
    settle: 20_000,
    rest: 60_000,
  });
  const clock = new FakeClock();
  watchPayment({ baseUrl: BASE, orderId: 'a', clientSecret: 's', clock, adapter: new Scripted() });
  assert.deepEqual(clock.pending(), [10_000, 30 * 60_000], 'an answer, and giveUpAfter');
});
