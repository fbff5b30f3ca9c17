import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type TransportName, webAdapter } from 'payquery-client';
import { WebSocket } from 'ws';
import { HostileProxy, type Treatment } from './support/proxy';
import { Recorder } from './support/recorder';
import { freePort, Service } from './support/service';
import { until } from './support/waiting';

let service: Service;

before(async () => {
  service = await Service.start();
});

after(() => service.down());

const adapter = webAdapter({ WebSocket });
const NOWHERE = '0195f3a0-0000-7000-8000-000000000000';

for (const transport of ['longpoll', 'polling', 'sse', 'websocket', 'auto'] as (TransportName | 'auto')[]) {
  test(`${transport}: a wrong secret and an unknown order end the watch, once and alike`, async (t) => {
    const order = await service.createOrder();
    for (const wrong of [
      { ...order, client_secret: 'pqs_wrong' },
      { ...order, id: NOWHERE },
    ]) {
      const proxy = await HostileProxy.start(t, service.port);
      const payer = new Recorder(t, proxy.url, wrong, { transport, adapter });
      await assert.rejects(payer.watch.final, { code: 'order_not_found', fatal: true, status: 404 });
      assert.deepEqual(payer.codes(), ['order_not_found']);
      payer.watch.refresh();
      payer.watch.resume();
      assert.equal(proxy.seen.length, 1, 'it is not asked again');
      assert.deepEqual(payer.statuses, []);
    }
  });
}

test('an API key where the client secret is due is refused before anything is asked', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = { ...(await service.createOrder()), client_secret: Service.apiKey() };
  const payer = new Recorder(t, proxy.url, order, {});
  await assert.rejects(payer.watch.final, { code: 'bad_options', fatal: true });
  assert.deepEqual(payer.codes(), ['bad_options']);
  assert.equal(proxy.seen.length, 0);
});

test('an id that is none ends the watch', async (t) => {
  const payer = new Recorder(t, service.url, { id: 'not an id/..', client_secret: 'pqs_x' }, { transport: 'polling' });
  await assert.rejects(payer.watch.final, { fatal: true });
  assert.equal(payer.errors.length, 1);
});

for (const [status, code] of [
  [401, 'unauthorized'],
  [410, 'gone'],
] as const) {
  test(`${status} ends the watch with ${code}`, async (t) => {
    const proxy = await HostileProxy.start(t, service.port);
    proxy.treat = () => ({ answer: status });
    const payer = new Recorder(t, proxy.url, await service.createOrder(), {});
    await assert.rejects(payer.watch.final, { code, fatal: true, status });
    assert.deepEqual(payer.codes(), [code]);
  });
}

test('options that cannot work are told by the callback and the promise, once', async (t) => {
  const order = await service.createOrder();
  for (const payer of [
    new Recorder(t, 'pay.example.com', order),
    new Recorder(t, '', order),
    new Recorder(t, 'wss://pay.example.com', order),
    new Recorder(t, service.url, { ...order, client_secret: '' }),
    new Recorder(t, service.url, { ...order, id: '' }),
    new Recorder(t, service.url, order, { transport: [] }),
    new Recorder(t, service.url, order, {
      transport: 'websocket',
      adapter: { ...adapter, socket: undefined } as never,
    }),
  ]) {
    await assert.rejects(payer.watch.final, { code: 'bad_options', fatal: true });
    assert.deepEqual(payer.codes(), ['bad_options']);
  }
});

test('a stop right after bad options keeps the callback away', async (t) => {
  const payer = new Recorder(t, '', await service.createOrder());
  payer.watch.stop();
  await assert.rejects(payer.watch.final);
  assert.deepEqual(payer.codes(), []);
});

test('another website at baseUrl ends the watch', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  proxy.treat = () => ({ answer: 404, headers: { 'content-type': 'text/html' }, body: '<html>Not found</html>' });
  const payer = new Recorder(t, proxy.url, await service.createOrder());
  await assert.rejects(payer.watch.final, { code: 'no_service', status: 404 });
  assert.deepEqual(payer.codes(), ['no_service']);
});

test('a path too many at baseUrl ends the watch', async (t) => {
  const payer = new Recorder(t, `${service.url}/api/`, await service.createOrder());
  await assert.rejects(payer.watch.final, { code: 'no_service' });
});

const html: Treatment = { answer: 200, headers: { 'content-type': 'text/html' }, body: '<html>Welcome</html>' };
for (const [what, treatment] of [
  ['an HTML page', html],
  ['JSON of something else', { answer: 200, headers: { 'content-type': 'application/json' }, body: '{"ok":true}' }],
  ['nothing', { answer: 200 }],
  ['a 304 to one who knows nothing', { answer: 304 }],
] as [string, Treatment][]) {
  for (const transport of ['longpoll', 'polling', 'sse'] as TransportName[]) {
    test(`${transport}: ${what} where the document is due is told once, and asked again`, async (t) => {
      const proxy = await HostileProxy.start(t, service.port);
      proxy.treat = (_, index) => (index < 3 ? treatment : 'pass');
      const payer = new Recorder(t, proxy.url, await service.createOrder(), { transport });
      await payer.seen(1);
      assert.deepEqual(payer.codes(), ['bad_answer']);
      assert.equal(payer.errors[0]?.fatal, false);
    });
  }
}

test("another order's document is none", async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const other = await service.createOrder();
  await service.report(other, 'succeeded');
  const mine = await service.createOrder();
  const url = `${service.url}/v1/orders/${other.id}/status`;
  const replay = await (await fetch(url, { headers: { Authorization: `Bearer ${other.client_secret}` } })).text();
  proxy.treat = (_, index) => (index ? 'pass' : { replay });
  const payer = new Recorder(t, proxy.url, mine, { transport: 'polling' });
  await payer.seen(1);
  assert.deepEqual(payer.codes(), ['bad_answer']);
  assert.deepEqual(payer.finals, []);
});

/** Counts what is sent. */
function counting() {
  const counter = { sent: 0 };
  const count: typeof fetch = (url, init) => {
    counter.sent++;
    return fetch(url, init);
  };
  return { counter, adapter: webAdapter({ fetch: count }) };
}

test('nobody at baseUrl is told once, and is no end', async (t) => {
  const { counter, adapter } = counting();
  const payer = new Recorder(t, `http://127.0.0.1:${await freePort()}`, await service.createOrder(), { adapter });
  await until('it tried four times', () => counter.sent > 4);
  assert.deepEqual(payer.codes(), ['unreachable']);
  assert.equal(payer.errors[0]?.fatal, false);
});

test('a certificate that nobody signed is told once, and is no end', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'payquery-tls-'));
  t.after(() => rmSync(place, { recursive: true }));
  const [key, cert] = [join(place, 'key.pem'), join(place, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-days', '1', '-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject], { stdio: 'ignore' });
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, answer) => answer.end('{}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const { counter, adapter } = counting();
  const payer = new Recorder(t, `https://127.0.0.1:${port}`, await service.createOrder(), { adapter });
  await until('it tried four times', () => counter.sent > 4);
  assert.deepEqual(payer.codes(), ['unreachable']);
});
