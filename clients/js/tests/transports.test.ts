import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type TransportName, webAdapter } from 'payquery-client';
import { WebSocket } from 'ws';
import { HostileProxy } from './support/proxy';
import { Recorder } from './support/recorder';
import { Service } from './support/service';
import { until } from './support/waiting';

let service: Service;

before(async () => {
  service = await Service.start();
});

after(() => service.down());

const adapter = webAdapter({ WebSocket });

for (const transport of ['longpoll', 'polling', 'sse', 'websocket'] as TransportName[]) {
  test(`${transport} brings each version once and the final one last, and stops`, async (t) => {
    const proxy = await HostileProxy.start(t, service.port);
    const order = await service.createOrder();
    const payer = new Recorder(t, proxy.url, order, { transport, adapter });
    await payer.seen(1);
    await service.report(order, 'processing');
    await payer.seen(2);
    await service.report(order, 'succeeded');
    const final = await payer.watch.final;

    assert.deepEqual(payer.versions(), [1, 2, 3]);
    assert.equal(final.status, 'succeeded');
    assert.equal(payer.finals.length, 1);
    assert.equal(payer.watch.document, final);
    assert.deepEqual(payer.transports, [transport]);
    assert.deepEqual(payer.codes(), []);
    await until('nothing is open any more', () => !proxy.open().length);
    assert.equal(proxy.mostOpen, 1);
    const streams = proxy.count('sse') + proxy.count('websocket');
    assert.equal(streams, proxy.seen.length === 1 ? 1 : 0, 'a stream is one request, polls are no streams');
  });
}

test('a long-poll is seen within a moment of the report, and costs two requests', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, { transport: 'longpoll', timing: {} });
  await until('the request is held', async () => (await service.held()) === 1);
  const reported = Date.now();
  await service.report(order, 'succeeded');
  await payer.ended();
  assert.ok(Date.now() - reported < 1_000);
  assert.equal(proxy.seen.length, 2);
  assert.match(proxy.seen[1]?.url || '', /\?wait=25$/);
  assert.equal(proxy.seen[1]?.headers['if-none-match'], '"1"');
});

test('polls keep the pace of the server', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, { transport: 'polling' });
  await until('there were three polls', () => proxy.seen.filter(({ over }) => over).length === 3);
  payer.watch.stop();
  const [first, second, third] = proxy.seen.map(({ at }) => at) as [number, number, number];
  // X-Poll-Interval is 2 in an order's first minute.
  for (const pause of [second - first, third - second]) assert.ok(pause >= 1_990 && pause < 3_500, `${pause} ms`);
  assert.deepEqual(
    proxy.seen.map(({ status }) => status),
    [200, 304, 304],
  );
});

test("a long-poll that is not held becomes a poll at the server's pace", async (t) => {
  const crowded = await Service.start({ PAYQUERY_MAX_HELD: '0' });
  t.after(() => crowded.down());
  const proxy = await HostileProxy.start(t, crowded.port);
  const order = await crowded.createOrder();
  new Recorder(t, proxy.url, order, { transport: 'longpoll' });
  await until('there were three requests', () => proxy.seen.length === 3);
  const [, second, third] = proxy.seen.map(({ at }) => at) as [number, number, number];
  assert.ok(third - second > 1_500, 'at once would be a storm');
});
