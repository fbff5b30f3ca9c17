import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { TransportName } from 'payquery-client';
import type { Browser, BrowserContext } from 'playwright-core';
import { launch, Shop, told, visit, watchIn } from './support/browser';
import { HostileProxy } from './support/proxy';
import { QUICK } from './support/recorder';
import { freePort, type Order, Service } from './support/service';
import { until } from './support/waiting';

let service: Service;
let shop: Shop;
let browser: Browser;
let context: BrowserContext;

before(async () => {
  [service, shop, browser] = await Promise.all([Service.start(), Shop.open(), launch()]);
  context = await browser.newContext();
});

after(async () => {
  await browser.close();
  shop.close();
  await service.down();
});

const options = (baseUrl: string, order: Order, more: object = {}) => ({
  baseUrl,
  orderId: order.id,
  clientSecret: order.client_secret,
  timing: QUICK,
  ...more,
});

for (const transport of ['longpoll', 'polling', 'sse', 'websocket'] as TransportName[]) {
  test(`in Chromium, from another origin, ${transport} brings each version once`, async (t) => {
    const proxy = await HostileProxy.start(t, service.port);
    const order = await service.createOrder();
    const page = await visit(t, context, shop.url);
    await watchIn(page, options(proxy.url, order, { transport }));
    await until('version 1', async () => (await told(page)).versions.includes(1));
    await service.report(order, 'processing');
    await until('version 2', async () => (await told(page)).versions.includes(2));
    await service.report(order, 'succeeded');
    await until('the outcome', async () => (await told(page)).finals.length);
    assert.deepEqual(await told(page), {
      versions: [1, 2, 3],
      finals: ['succeeded'],
      errors: [],
      transports: [transport],
    });
    await until('nothing is open any more', () => !proxy.open().length);
    assert.equal(proxy.mostOpen, 1);
    assert.ok(
      proxy.seen.every(({ url }) => !url.includes('secret')),
      'no secret stands in an address',
    );
  });
}

test('a stream that a proxy holds back gives way to long-polls', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  proxy.treat = ({ kind }) => (kind === 'sse' ? 'buffer body' : kind === 'websocket' ? { answer: 403 } : 'pass');
  const page = await visit(t, context, shop.url);
  const timing = { ...QUICK, open: 500 };
  await watchIn(page, options(proxy.url, order, { transport: ['sse', 'longpoll'], timing }));
  await until('long-polls', async () => (await told(page)).transports.includes('longpoll'));
  const other = await visit(t, context, shop.url);
  await watchIn(other, options(proxy.url, order, { transport: ['websocket', 'longpoll'], timing }));
  await until('long-polls', async () => (await told(other)).transports.includes('longpoll'));
  await service.report(order, 'succeeded');
  await until('the outcome in both', async () => (await told(page)).finals.length && (await told(other)).finals.length);
});

test('two tabs on one order do not queue behind each other', async (t) => {
  const order = await service.createOrder();
  const tabs = [await visit(t, context, shop.url), await visit(t, context, shop.url)];
  // What is hidden rests; these are to be watched both.
  for (const tab of tabs) await watchIn(tab, options(service.url, order, { pauseWhenHidden: false, timing: {} }));
  await until('both are held', async () => (await service.held()) === 2);
  const reported = Date.now();
  await service.report(order, 'succeeded');
  for (const tab of tabs) await until('the outcome', async () => (await told(tab)).finals.length);
  assert.ok(Date.now() - reported < 2_000);
});

test('a hidden tab asks nothing, and asks at once when it is looked at again', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const page = await visit(t, context, shop.url);
  await watchIn(page, options(proxy.url, order, { timing: {} }));
  await until('it is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
  const look = (state: string) =>
    page.evaluate(`
      Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => '${state}' });
      document.dispatchEvent(new Event('visibilitychange'));`);
  await look('hidden');
  await until('nothing is open', () => !proxy.open().length);
  await service.report(order, 'succeeded');
  const asked = proxy.seen.length;
  await look('visible');
  await until('the outcome', async () => (await told(page)).finals.length);
  assert.equal(proxy.seen.length, asked + 1);
});

test('a page that comes back from the history asks at once', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const page = await visit(t, context, shop.url);
  await watchIn(page, options(proxy.url, order, { timing: {} }));
  await until('it is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
  await page.goto(`${shop.url}/elsewhere`);
  await until('nothing is open', () => !proxy.open().length);
  await service.report(order, 'succeeded');
  await page.goBack({ waitUntil: 'commit' }); // what was kept is not loaded
  assert.equal(await page.evaluate('typeof payment'), 'object', 'it was kept, not loaded anew');
  await until('the outcome', async () => (await told(page)).finals.length);
  assert.deepEqual((await told(page)).versions, [1, 2]);
});

test('without a network it says so once, and asks at once when it is back', async (t) => {
  const order = await service.createOrder();
  const own = await browser.newContext();
  t.after(() => own.close());
  const page = await visit(t, own, shop.url);
  await watchIn(page, options(service.url, order, { timing: { ...QUICK, backoff: 60_000, backoffMax: 60_000 } }));
  await until('it is held', async () => (await service.held()) === 1);
  await own.setOffline(true);
  await page.evaluate('payment.pause(); payment.resume();'); // Chromium leaves what is held alone
  await until('it is told', async () => (await told(page)).errors.length);
  await service.report(order, 'succeeded');
  await own.setOffline(false);
  await until('the outcome', async () => (await told(page)).finals.length);
  assert.deepEqual((await told(page)).errors, [['unreachable', false]]);
});

test('bad input in a browser: the right callback, once', async (t) => {
  const order = await service.createOrder();
  const proxy = await HostileProxy.start(t, service.port);
  proxy.treat = () => ({ answer: 200, headers: { 'content-type': 'text/html' }, body: '<html>' });
  for (const [baseUrl, secret, error] of [
    [service.url, 'pqs_wrong', ['order_not_found', true]],
    [`http://127.0.0.1:${await freePort()}`, order.client_secret, ['unreachable', false]],
    [`https://127.0.0.1:${service.port}`, order.client_secret, ['unreachable', false]],
    [proxy.url, order.client_secret, ['bad_answer', false]],
    ['', order.client_secret, ['bad_answer', false]],
    ['ftp://x', order.client_secret, ['bad_options', true]],
  ] as const) {
    const page = await visit(t, context, shop.url);
    await watchIn(page, options(baseUrl, { ...order, client_secret: secret }, { transport: 'longpoll' }));
    await until(`${error} is told`, async () => (await told(page)).errors.length);
    await new Promise((resolve) => setTimeout(resolve, 300)); // several tries more, which say nothing
    assert.deepEqual((await told(page)).errors, [error]);
    assert.deepEqual((await told(page)).finals, []);
  }
});

test('a socket that the page may not open is no end', async (t) => {
  const order = await service.createOrder();
  const page = await visit(t, context, shop.url);
  await page.evaluate(`
    const policy = document.createElement('meta');
    policy.httpEquiv = 'Content-Security-Policy';
    policy.content = 'connect-src http:';
    document.head.append(policy);`);
  await watchIn(page, options(service.url, order, { transport: ['websocket', 'longpoll'] }));
  await service.report(order, 'closed');
  await until('the outcome', async () => (await told(page)).finals.length);
  assert.deepEqual((await told(page)).transports, ['websocket', 'longpoll']);
});

for (const framework of ['react', 'vue']) {
  test(`${framework}: a component shows the payment, and asks no more when it is gone`, async (t) => {
    const proxy = await HostileProxy.start(t, service.port);
    const order = await service.createOrder();
    const url = (more = '') =>
      `${shop.url}/${framework}?base=${encodeURIComponent(proxy.url)}&id=${order.id}&secret=${order.client_secret}${more}`;
    const page = await visit(t, context, url());
    await page.getByText('pending').waitFor();
    await service.report(order, 'processing');
    await page.getByText('processing').waitFor();
    await until('it is held', () => proxy.open().length === 1);
    await page.getByText('leave').click();
    await until('nothing is open', () => !proxy.open().length);

    const impatient = await visit(t, context, url('&giveUpAfter=300'));
    await impatient.getByText('unknown').waitFor();
    await service.report(order, 'succeeded');
    await impatient.getByText('unknown').click();
    await impatient.getByText('succeeded').waitFor();

    const wrong = await visit(t, context, url().replace('pqs_', 'pqs_x'));
    await wrong.getByText('order_not_found').waitFor();
  });
}
