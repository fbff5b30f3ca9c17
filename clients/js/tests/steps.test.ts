import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type TransportName, webAdapter } from 'payquery-client';
import { WebSocket } from 'ws';
import { HostileProxy, type Treatment } from './support/proxy';
import { QUICK, Recorder } from './support/recorder';
import { Service } from './support/service';
import { until } from './support/waiting';

let service: Service;

before(async () => {
  service = await Service.start();
});

after(() => service.down());

const adapter = webAdapter({ WebSocket });
const LADDER: TransportName[] = ['sse', 'longpoll', 'polling'];

for (const treatment of ['buffer', 'buffer body', 'drop', 'reset', { answer: 403, body: '<html>' }] as Treatment[]) {
  const name = typeof treatment === 'string' ? treatment : 'refuse';
  test(`streams that a proxy would ${name} give way to long-polls, at once`, async (t) => {
    for (const stream of ['sse', 'websocket'] as const) {
      const proxy = await HostileProxy.start(t, service.port);
      proxy.treat = ({ kind }) => (kind === stream ? treatment : 'pass');
      const order = await service.createOrder();
      const started = Date.now();
      const payer = new Recorder(t, proxy.url, order, {
        transport: [stream, 'longpoll', 'polling'],
        adapter,
        timing: { ...QUICK, open: 500 },
      });
      await payer.seen(1);
      assert.ok(Date.now() - started < 4_000, 'a stream gets half a second here to say something');
      await service.report(order, 'succeeded');
      await payer.ended();
      assert.deepEqual(payer.transports.slice(0, 2), [stream, 'longpoll']);
      assert.deepEqual(payer.versions(), [1, 2]);
      assert.deepEqual(payer.codes(), [], 'a step down is no error');
    }
  });
}

test('a proxy that cuts streams makes it take long-polls, after the second cut', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  proxy.treat = ({ kind }) => (kind === 'sse' ? { cutAfter: 300 } : 'pass');
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, { transport: LADDER });
  await until('it takes long-polls', () => payer.transports.includes('longpoll'));
  assert.equal(proxy.count('sse'), 2);
  assert.deepEqual(payer.codes(), [], 'a stream that is cut and opened anew is no error');
  await service.report(order, 'succeeded');
  await payer.ended();
  assert.deepEqual(payer.versions(), [1, 2]);
});

test('a stream is kept by its heartbeats, and opened anew when they stay away', async (t) => {
  const beating = await Service.start({ PAYQUERY_HEARTBEAT: '1' });
  t.after(() => beating.down());
  const proxy = await HostileProxy.start(t, beating.port);
  proxy.treat = (_, index) => (index ? 'pass' : { muteAfter: 3_500 });
  const order = await beating.createOrder();
  const payer = new Recorder(t, proxy.url, order, { transport: LADDER, timing: { ...QUICK, silence: 2_000 } });
  await until('there is a second stream', () => proxy.count('sse') === 2);
  const [first, second] = proxy.seen;
  assert.ok((second?.at || 0) - (first?.at || 0) >= 5_000, 'it was left alone while it beat');
  assert.equal(second?.headers['last-event-id'], '1');
  await beating.report(order, 'succeeded');
  await payer.ended();
  assert.deepEqual(payer.versions(), [1, 2]);
  assert.deepEqual(payer.codes(), []);
});

test('a proxy that cuts held requests makes it poll; when the proxy is well again, it long-polls again', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  proxy.treat = ({ kind }) => (kind === 'longpoll' ? { cutAfter: 1_100 } : 'pass');
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, { transport: ['longpoll', 'polling'] });
  await until('it polls', () => payer.transports.includes('polling'));
  assert.equal(proxy.count('longpoll'), 2, 'two cuts are enough');
  proxy.treat = () => 'pass';
  await until('it long-polls again', () => payer.transports.length === 3);
  assert.deepEqual(payer.transports, ['longpoll', 'polling', 'longpoll']);
  await until('the request is held', async () => (await service.held()) === 1);
  await service.report(order, 'succeeded');
  await payer.ended();
  assert.deepEqual(payer.versions(), [1, 2]);
});

test('held requests that are swallowed make it poll, and the payment is seen', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  proxy.treat = ({ kind }) => (kind === 'longpoll' ? 'drop' : 'pass');
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, {
    transport: ['longpoll', 'polling'],
    timing: { ...QUICK, wait: 1, answer: 500 },
  });
  await until('it polls', () => payer.transports.includes('polling'));
  await service.report(order, 'succeeded');
  await payer.ended();
  assert.deepEqual(payer.codes(), ['unreachable']);
  assert.deepEqual(payer.versions(), [1, 2]);
});

test('auto begins with long-polls, takes a stream for who waits long, and comes back from one that is mute', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  proxy.treat = ({ kind }) => (kind === 'sse' ? 'buffer' : 'pass');
  const payer = new Recorder(t, proxy.url, order, {
    adapter,
    timing: { ...QUICK, wait: 1, open: 1_500, rest: 60_000 },
  });
  await until('the socket is the stream that works', () => payer.transports.includes('websocket'));
  assert.deepEqual(payer.transports, ['longpoll', 'sse', 'longpoll', 'websocket']);
  await service.report(order, 'succeeded');
  await payer.ended();
  assert.deepEqual(payer.versions(), [1, 2]);
});

test('auto goes back to a stream that was mute, after a rest that doubles', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  proxy.treat = ({ kind }) => (kind === 'sse' ? 'buffer' : 'pass');
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, { timing: { ...QUICK, wait: 1, open: 600, rest: 500 } });
  const tries = () => proxy.seen.filter(({ kind }) => kind === 'sse').map(({ at }) => at);
  await until('it tried three times', () => tries().length === 3, 30_000);
  const [first = 0, second = 0, third = 0] = tries();
  assert.ok(second - first >= 500 && third - second >= 1_000);
  proxy.treat = () => 'pass';
  await until('a stream is open', () => proxy.open().some(({ kind, body }) => kind === 'sse' && body));
  await service.report(order, 'succeeded');
  await payer.ended();
  assert.equal(proxy.seen.at(-1)?.kind, 'sse', 'it stayed with the stream');
});

test('slow answers never overlap', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  proxy.treat = (_, index) => ({ delay: index % 2 ? 700 : 50 });
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, {
    transport: ['longpoll', 'polling'],
    timing: { ...QUICK, wait: 1 },
  });
  await until('there were five requests', () => proxy.seen.length >= 5);
  await service.report(order, 'succeeded');
  await payer.ended();
  assert.equal(proxy.mostOpen, 1);
});

test('what a cache repeats or brings too late does not reach the caller', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, { transport: ['longpoll', 'polling'] });
  await payer.seen(1);
  const old = proxy.seen[0]?.body || '';
  await service.report(order, 'processing');
  await payer.seen(2);
  proxy.treat = (_, index) => (index % 2 ? { replay: old } : 'pass');
  proxy.cutAll();
  await until(
    'the old document came twice',
    () => proxy.seen.filter(({ status, body }) => status && !body).length >= 2,
  );
  await service.report(order, 'succeeded');
  await payer.ended();
  assert.deepEqual(payer.versions(), [1, 2, 3]);
  assert.equal(payer.finals.length, 1);
});

test('error pages and broken connections in between are told once and change nothing', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, { transport: ['longpoll', 'polling'] });
  await payer.seen(1);
  const html = { 'content-type': 'text/html' };
  const troubles: Treatment[] = [
    { answer: 200, headers: html, body: '<html>Sign in to the WiFi</html>' },
    { answer: 502, headers: html, body: '<html>Bad Gateway</html>' },
    'reset',
    { answer: 404, headers: html, body: '<html>default backend</html>' },
    { answer: 403, headers: html, body: '<html>blocked</html>' },
    { answer: 503, headers: { 'retry-after': '1' } },
    { answer: 429, headers: { 'retry-after': '1' } },
  ];
  const before = proxy.seen.length;
  proxy.treat = (_, index) => troubles[index - before] || 'pass';
  proxy.cutAll();
  await until('all troubles are over', () => proxy.seen.length > before + troubles.length);
  await service.report(order, 'succeeded');
  await payer.ended();
  assert.equal(payer.errors.length, 1, payer.codes().join());
  assert.equal(payer.errors[0]?.fatal, false);
  assert.equal(payer.recoveries, 1);
  assert.deepEqual(payer.versions(), [1, 2]);
});
