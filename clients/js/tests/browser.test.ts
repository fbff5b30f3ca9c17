import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { visit } from './support/browser';
import { Chromium } from './support/environments/chromium';
import { HostileProxy } from './support/proxy';
import { QUICK } from './support/recorder';
import { type Order, Service } from './support/service';
import { until } from './support/waiting';
import type { WatchingOptions } from './support/watching';

let service: Service;
const chromium = new Chromium();

before(async () => {
  [service] = await Promise.all([Service.start(), chromium.open()]);
});

after(async () => {
  await chromium.close();
  await service.down();
});

const options = (baseUrl: string, order: Order, more: Partial<WatchingOptions> = {}): WatchingOptions => ({
  baseUrl,
  orderId: order.id,
  clientSecret: order.client_secret,
  timing: QUICK,
  ...more,
});

test('two tabs on one order do not queue behind each other', async (t) => {
  const order = await service.createOrder();
  // What is hidden rests; these are to be watched both.
  const watched = options(service.url, order, { pauseWhenHidden: false, timing: {} });
  const tabs = [await chromium.watch(t, watched), await chromium.watch(t, watched)];
  await until('both are held', async () => (await service.held()) === 2);
  const reported = Date.now();
  await service.report(order, 'succeeded');
  for (const tab of tabs) await tab.hears('final succeeded');
  assert.ok(Date.now() - reported < 2_000);
});

test('a page that comes back from the history asks at once', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const payer = await chromium.watch(t, options(proxy.url, order, { timing: {} }));
  const { page } = payer;
  await until('it is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
  await payer.leave();
  await until('nothing is open', () => !proxy.open().length);
  await service.report(order, 'succeeded');
  await page.goBack({ waitUntil: 'commit' }); // what was kept is not loaded
  assert.equal(await page.evaluate('typeof watching'), 'object', 'it was kept, not loaded anew');
  await payer.hears('final succeeded');
  assert.deepEqual(payer.versions(), [1, 2]);
});

test('without a network it says so once, and asks at once when it is back', async (t) => {
  const order = await service.createOrder();
  const own = await chromium.browser.newContext();
  t.after(() => own.close());
  const timing = { ...QUICK, backoff: 60_000, backoffMax: 60_000 };
  const payer = await chromium.watch(t, options(service.url, order, { timing }), own);
  await until('it is held', async () => (await service.held()) === 1);
  await own.setOffline(true);
  await payer.ask('call', 'pause'); // Chromium leaves what is held alone
  await payer.ask('call', 'resume');
  await payer.hears('error unreachable');
  await service.report(order, 'succeeded');
  await own.setOffline(false);
  await payer.hears('final succeeded');
  assert.deepEqual(payer.heard(), ['v1 pending', 'error unreachable', 'recovered', 'v2 succeeded', 'final succeeded']);
});

test('a page on another host, where no payquery is, says so once', async (t) => {
  const payer = await chromium.watch(t, options('', await service.createOrder()));
  await until('it failed four times', async () => (await payer.ask('failures')) >= 4);
  assert.deepEqual(payer.heard(), ['error bad_answer']);
});

test('a socket that the page may not open is no end', async (t) => {
  const order = await service.createOrder();
  const payer = await chromium.visit(t);
  await payer.page.evaluate(`
    const policy = document.createElement('meta');
    policy.httpEquiv = 'Content-Security-Policy';
    policy.content = 'connect-src http:';
    document.head.append(policy);`);
  await payer.watch(options(service.url, order, { transport: ['websocket', 'longpoll'] }));
  await service.report(order, 'closed');
  await payer.hears('final closed');
  assert.deepEqual(payer.transports(), ['websocket', 'longpoll']);
});

for (const framework of ['react', 'vue']) {
  test(`${framework}: a component shows the payment, and asks no more when it is gone`, async (t) => {
    const proxy = await HostileProxy.start(t, service.port);
    const order = await service.createOrder();
    const url = (more = '') =>
      `${chromium.shop.url}/${framework}?base=${encodeURIComponent(proxy.url)}&id=${order.id}&secret=${order.client_secret}${more}`;
    const page = await visit(t, chromium.context, url());
    await page.getByText('pending').waitFor();
    await service.report(order, 'processing');
    await page.getByText('processing').waitFor();
    await until('it is held', () => proxy.open().length === 1);
    await page.getByText('leave').click();
    await until('nothing is open', () => !proxy.open().length);

    const impatient = await visit(t, chromium.context, url('&giveUpAfter=300'));
    await impatient.getByText('unknown').waitFor();
    await service.report(order, 'succeeded');
    await impatient.getByText('unknown').click();
    await impatient.getByText('succeeded').waitFor();

    const wrong = await visit(t, chromium.context, url().replace('pqs_', 'pqs_x'));
    await wrong.getByText('order_not_found').waitFor();
  });
}
