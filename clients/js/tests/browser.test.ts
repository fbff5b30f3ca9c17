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
  // Far from a busy machine's worst moment, and far from the 25 s that whoever is not woken is held.
  assert.ok(Date.now() - reported < 10_000);
});

test('a page that comes back from the history asks at once', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const payer = await chromium.watch(t, options(proxy.url, order, { timing: {} }));
  const { page } = payer;
  // The one event that each browser tells such a page is to do it alone.
  await page.evaluate(`addEventListener('visibilitychange', (event) => event.stopImmediatePropagation(), true)`);
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

/** The address of a page of the shop that is written with that framework. */
const pageOf = (framework: string, baseUrl: string, orders: Order[], more = '') =>
  `${chromium.shop.url}/${framework}?base=${encodeURIComponent(baseUrl)}${more}` +
  orders.map(({ id, client_secret }) => `&id=${id}&secret=${client_secret}`).join('');

for (const framework of ['react', 'vue']) {
  test(`${framework}: a component shows the payment, and asks no more when it is gone`, async (t) => {
    const proxy = await HostileProxy.start(t, service.port);
    const order = await service.createOrder();
    const page = await visit(t, chromium.context, pageOf(framework, proxy.url, [order]));
    await page.getByText('pending', { exact: true }).waitFor();
    await service.report(order, 'processing');
    await page.getByText('processing', { exact: true }).waitFor();
    await until('it is held', () => proxy.open().length === 1);
    await page.getByText('leave').click();
    await until('nothing is open', () => !proxy.open().length);

    const impatient = await visit(t, chromium.context, pageOf(framework, proxy.url, [order], '&giveUpAfter=1000'));
    await impatient.getByText('unknown').waitFor();
    await service.report(order, 'succeeded');
    const text = impatient.locator('#text');
    // On a busy machine the time may be up again before the answer is there.
    await until('it is paid', async () => {
      await text.click();
      return (await text.textContent()) === 'succeeded';
    });

    const wrong = { ...order, client_secret: 'pqs_wrong' };
    const refused = await visit(t, chromium.context, pageOf(framework, proxy.url, [wrong]));
    await refused.getByText('order_not_found').waitFor();
  });

  test(`${framework}: another order is another watch, none is none, and the newest callbacks are called`, async (t) => {
    const proxy = await HostileProxy.start(t, service.port);
    const orders = [await service.createOrder(), await service.createOrder()] as const;
    const page = await visit(t, chromium.context, pageOf(framework, proxy.url, [...orders]));
    await page.getByText('pending in round 1').waitFor();
    await page.getByText('next round').click();
    await service.report(orders[0], 'processing');
    await page.getByText('processing in round 2').waitFor();
    assert.ok(proxy.seen.length <= 3, 'new callbacks are no new watch');

    await service.report(orders[1], 'closed');
    await page.getByText('next order').click();
    await page.getByText('closed in round 2').waitFor();
    assert.equal(await page.locator('#text').textContent(), 'closed');
    await until('nothing is open', () => !proxy.open().length);
    await page.getByText('next order').click();
    await page.getByText(framework === 'react' ? 'not yet' : 'loading').waitFor();
  });
}

test('vue: a component that is kept aside asks nothing, and asks at once when it is back', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const page = await visit(t, chromium.context, pageOf('vue', proxy.url, [order]));
  await until('it is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
  await page.getByText('aside').click();
  await until('nothing is open', () => !proxy.open().length);
  await service.report(order, 'succeeded');
  await page.getByText('aside').click();
  await page.getByText('succeeded', { exact: true }).waitFor();
});

test('vue: a page that was paused asks nothing for another order either, until it goes on', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const [first, second] = [await service.createOrder(), await service.createOrder()];
  const page = await visit(t, chromium.context, pageOf('vue', proxy.url, [first, second]));
  await until('it is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
  await page.getByText('pause').click();
  await until('nothing is open', () => !proxy.open().length);
  await page.getByText('next order').click();
  // It was kept aside meanwhile, and is back: that is not what the page waits for.
  await page.getByText('aside').click();
  await page.getByText('aside').click();
  await service.report(second, 'succeeded');
  await page.getByText('loading', { exact: true }).waitFor();
  assert.deepEqual(proxy.open(), []);
  await page.getByText('resume').click();
  await page.getByText('succeeded', { exact: true }).waitFor();
});
