import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type TransportName, webAdapter } from 'payquery-client';
import { WebSocket } from 'ws';
import { HostileProxy } from './support/proxy';
import { QUICK, Recorder } from './support/recorder';
import { Service } from './support/service';
import { until } from './support/waiting';

const adapter = webAdapter({ WebSocket });

for (const transport of ['longpoll', 'polling', 'sse', 'websocket'] as TransportName[]) {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    test(`${transport} outlives a service that is ${signal === 'SIGKILL' ? 'killed' : 'drained'} and started again`, async (t) => {
      const service = await Service.start();
      t.after(() => service.down());
      const order = await service.createOrder();
      const payer = new Recorder(t, service.url, order, { transport, adapter });
      await payer.seen(1);
      await service.down(signal);
      await until('the outage is told', () => payer.errors.length);
      await service.up();
      await until('the recovery is told', () => payer.recoveries === 1);
      await service.report(order, 'succeeded');
      await payer.ended();
      assert.deepEqual(payer.versions(), [1, 2]);
      assert.deepEqual(payer.codes(), ['unreachable']);
      assert.equal(payer.errors[0]?.fatal, false);
    });
  }
}

test('who holds a request while the service drains is answered, and told nothing', async (t) => {
  const service = await Service.start({ PAYQUERY_DRAIN_DELAY_MS: '1500' });
  const order = await service.createOrder();
  const proxy = await HostileProxy.start(t, service.port);
  const payer = new Recorder(t, proxy.url, order, { transport: 'longpoll', timing: { ...QUICK, wait: 25 } });
  await until('the request is held', async () => (await service.held()) === 1);
  await service.down();
  assert.equal(proxy.seen[1]?.status, 304, 'the held request got its answer');
  payer.watch.stop();
  assert.deepEqual(payer.codes(), []);
});

test('a rate limit is kept, however often the payer asks: RateLimit foresees it, Retry-After ends it', async (t) => {
  const service = await Service.start({ PAYQUERY_POLL_RATE: '2', PAYQUERY_POLL_BURST: '1' });
  t.after(() => service.down());
  const order = await service.createOrder();
  const timing = { ...QUICK, wait: 1 };
  const alone = await HostileProxy.start(t, service.port);
  const payer = new Recorder(t, alone.url, order, { transport: 'longpoll', timing });
  const hammer = setInterval(() => payer.watch.refresh(), 20);
  t.after(() => clearInterval(hammer));
  await until('it asked four times', () => alone.seen.filter(({ over }) => over).length >= 4);
  assert.ok(alone.seen.every(({ status }) => status !== 429));

  // Something else at the payer's address, which keeps no limit, takes all there is.
  const url = `${service.url}/v1/orders/${order.id}/status`;
  const greedy = setInterval(() => {
    fetch(url, { headers: { Authorization: `Bearer ${order.client_secret}` } }).catch(() => {});
  }, 10);
  t.after(() => clearInterval(greedy));
  await until('it was limited', () => alone.seen.some(({ status }) => status === 429));
  clearInterval(hammer);
  clearInterval(greedy);
  await service.report(order, 'succeeded');
  await payer.ended();
  for (const [index, one] of alone.seen.entries()) {
    const next = alone.seen[index + 1];
    if (one.status === 429 && next) assert.ok(next.at - one.at >= 950, `again after ${next.at - one.at} ms`);
  }
  assert.deepEqual(payer.codes(), []);
});
