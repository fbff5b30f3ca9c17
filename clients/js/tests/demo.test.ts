import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, type TestContext, test } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { launch } from './support/browser';
import { Checkout, listen, PANELS, picture } from './support/checkout';
import { Service } from './support/service';
import { until } from './support/waiting';

/** All four panels show what was reported within a second. */
const SOON = 1_000;
/** No report may take longer, on a machine that is busy for a moment: what is not told at all would be shown after 25 s, or never. */
const AT_LATEST = 5_000;
/** How long after each report each panel showed it, in milliseconds. */
const delays: Record<string, number[]> = {};
const DESK: BrowserContextOptions = { viewport: { width: 1280, height: 860 }, locale: 'en-US' };
const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  isMobile: true,
  hasTouch: true,
  locale: 'zh-CN',
};

/** The phone's button, when it can be pressed. */
const READY = '#pay:not([aria-disabled="true"])';

let service: Service;
let browser: Browser;

before(async () => {
  // With the limits that everybody has.
  const settings = { PAYQUERY_DEMO: 'true', PAYQUERY_POLL_RATE: '5' };
  [service, browser] = await Promise.all([Service.start(settings), launch()]);
});

after(async () => {
  await browser.close();
  await service.down();
});

async function contextOf(t: TestContext, options: BrowserContextOptions) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  return context;
}

async function openAtDesk(t: TestContext): Promise<Checkout> {
  return Checkout.open(await contextOf(t, DESK), service.url);
}

/** The phone's page behind a link, with what the browser complains of. */
async function openOnPhone(t: TestContext, link: string): Promise<{ page: Page; complaints: string[] }> {
  const page = await (await contextOf(t, PHONE)).newPage();
  const complaints: string[] = [];
  listen(page, complaints);
  await page.goto(link);
  return { page, complaints };
}

/** When the order's newest version was reported, by the service's clock, which is this machine's. */
async function reportedAt(link: string): Promise<number> {
  const [, id, secret] = /\/demo\/pay\/([^#]+)#(.+)/.exec(link) || [];
  const headers = { Authorization: `Bearer ${secret}` };
  const answer = await fetch(`${service.url}/v1/orders/${id}/status`, { headers });
  return Date.parse(((await answer.json()) as { updated_at: string }).updated_at);
}

async function assertSoon(checkout: Checkout, version: number): Promise<void> {
  const seen = await checkout.shown(version);
  const reported = await reportedAt((await checkout.page.locator('#pay-link').getAttribute('href')) || '');
  for (const [name, at] of Object.entries(seen)) {
    const delay = at - reported;
    assert.ok(delay >= 0 && delay < AT_LATEST, `${name} showed version ${version} after ${delay} ms`);
    delays[name] ??= [];
    delays[name].push(delay);
  }
}

test('an order is created, its code scanned, paid on the phone, and soon shown by all four panels', async (t) => {
  const checkout = await openAtDesk(t);
  await checkout.create();
  const link = await checkout.scan();
  assert.equal(link, await checkout.page.locator('#pay-link').getAttribute('href'));
  assert.ok(link.startsWith(`${service.url}/demo/pay/`), link);

  const phone = await openOnPhone(t, link);
  const button = phone.page.getByRole('button', { name: '支付 ¥10.00' });
  await button.waitFor();
  await picture(phone.page, 'phone-before');
  // Some time goes by: polling asks on, the others wait.
  await until('polling has asked five times', async () => ((await checkout.counts('requests')).polling ?? 0) >= 5);
  await picture(checkout.page, 'checkout-waiting');
  await button.tap();
  await assertSoon(checkout, 2);
  await picture(checkout.page, 'checkout-paid');
  await checkout.page.getByRole('button', { name: '中文' }).click();
  await picture(checkout.page, 'checkout-paid.zh-CN');
  await checkout.page.getByRole('button', { name: 'English' }).click();
  await phone.page.getByRole('status').filter({ hasText: '已支付' }).waitFor();
  await picture(phone.page, 'phone-paid');

  assert.deepEqual(await checkout.texts('.status'), ['Paid', 'Paid', 'Paid', 'Paid']);
  const { polling = 0, ...others } = await checkout.counts('requests');
  assert.ok(polling >= 5, `polling has asked ${polling} times`);
  assert.deepEqual(others, { longpoll: 2, sse: 1, websocket: 1 });
  assert.deepEqual(await checkout.texts('.documents'), ['2', '2', '2', '2']);
  assert.deepEqual([...checkout.complaints, ...phone.complaints], []);
});

test('what is final is asked for no more, until somebody wants to know', async (t) => {
  const checkout = await openAtDesk(t);
  await checkout.create();
  await checkout.press('pay');
  await checkout.shown(2);
  const asked = await checkout.counts('requests');
  const polls = () => service.metric('payquery_polls_total{outcome="not_modified"}');
  const before = await polls();
  // Longer than the panels' pace.
  await new Promise((resolve) => setTimeout(resolve, 1200));
  assert.deepEqual([await checkout.counts('requests'), await polls()], [asked, before]);
  await checkout.page.getByRole('button', { name: 'Ask again' }).click();
  await until('each asked once more', async () => {
    const now = await checkout.counts('requests');
    return PANELS.every((name) => now[name] === (asked[name] ?? 0) + 1);
  });
  await until('and found it final', async () =>
    (await checkout.texts('.note')).every((text) => text === 'final: asks no more'),
  );
  assert.deepEqual(checkout.complaints, []);
});

test('a close, a late payment and a refund soon reach all four panels', async (t) => {
  const checkout = await openAtDesk(t);
  await checkout.create();
  const enabled = () => checkout.page.locator('[data-action]:not([aria-disabled="true"])').allTextContents();
  const outcome = checkout.page.getByRole('status');
  assert.deepEqual(await enabled(), ['Pay', 'Close']);
  for (const [action, version, text, next] of [
    ['close', 2, 'Closed', ['Late payment']],
    ['late', 3, 'Paid late, after it was closed', ['Refund']],
    ['refund', 4, 'Refunded', []],
  ] as const) {
    await checkout.press(action);
    await assertSoon(checkout, version);
    assert.deepEqual(await checkout.texts('.status'), [text, text, text, text]);
    assert.equal(await outcome.textContent(), `¥10.00 · ${text}`);
    assert.deepEqual(await enabled(), next);
  }
  await picture(checkout.page, 'checkout-refunded');
  assert.deepEqual(checkout.complaints, []);
});

test('each of the four panels has shown what was reported within a second', () => {
  assert.deepEqual(Object.keys(delays).sort(), [...PANELS].sort());
  for (const [name, of] of Object.entries(delays)) {
    const inTime = of.filter((delay) => delay < SOON).length;
    assert.ok(of.length >= 4 && inTime > 1, `${name}: ${of} ms`);
  }
});

test('an order whose time is up is shown as closed, at the desk and on the phone', async (t) => {
  const checkout = await openAtDesk(t);
  await checkout.page.locator('#expires').selectOption('10');
  await checkout.create();
  const phone = await openOnPhone(t, await checkout.scan());
  await checkout.shown(2);
  assert.equal((await checkout.texts('.status'))[0], 'Closed: its time was up');
  await phone.page.getByRole('status').filter({ hasText: '已超时关闭' }).waitFor();
  assert.equal(await phone.page.locator('#pay').isVisible(), false);
  assert.deepEqual([...checkout.complaints, ...phone.complaints], []);
});

test('while the service is away the panels say that nothing is known, and afterwards what is true', async (t) => {
  const away = await Service.start({ PAYQUERY_DEMO: 'true' });
  t.after(() => away.down());
  const checkout = await Checkout.open(await contextOf(t, DESK), away.url);
  await checkout.create();
  await away.down('SIGKILL');
  await until('all say so', async () => (await checkout.texts('.note')).every((text) => text.startsWith('no answer')));
  assert.equal((await checkout.texts('.status')).join(), Array(4).fill('Waiting for the payment').join());
  await checkout.press('pay');
  await checkout.page.getByRole('alert').filter({ hasText: 'That did not work' }).waitFor();
  await away.up();
  await until('all are asking', async () => (await checkout.texts('.note')).every((text) => text === 'asking'));
  await checkout.press('pay');
  await checkout.shown(2);
});

test('the phone says that there was no answer for as long as that is so', async (t) => {
  const away = await Service.start({ PAYQUERY_DEMO: 'true' });
  t.after(() => away.down());
  const checkout = await Checkout.open(await contextOf(t, DESK), away.url);
  await checkout.create();
  const { page } = await openOnPhone(t, await checkout.scan());
  await page.locator(READY).waitFor();
  await away.down('SIGKILL');
  await page.getByRole('alert').filter({ hasText: '没有响应' }).waitFor();
  await away.up();
  await until('all is well', async () => (await page.getByRole('alert').textContent()) === '');
});

test('a socket for which there is no place comes back by itself', async (t) => {
  const full = await Service.start({ PAYQUERY_DEMO: 'true', PAYQUERY_MAX_HELD: '1' });
  t.after(() => full.down());
  const { id, client_secret } = await full.createOrder();
  const holder = new AbortController();
  const headers = { Authorization: `Bearer ${client_secret}` };
  fetch(`${full.url}/v1/orders/${id}/status?until=final&wait=55`, { headers, signal: holder.signal }).catch(() => {});
  await until('the only place is taken', async () => (await full.held()) === 1);
  const checkout = await Checkout.open(await contextOf(t, DESK), full.url);
  await checkout.page.locator('#create button').click();
  await until('it asked twice', async () => ((await checkout.counts('requests')).websocket ?? 0) >= 2);
  holder.abort();
  await checkout.press('pay');
  await checkout.shown(2);
  assert.deepEqual(await checkout.texts('.status'), Array(4).fill('Paid'));
});

for (const [name, device] of Object.entries({
  desk: { ...DESK, viewport: { width: 1440, height: 900 } },
  phone: PHONE,
})) {
  test(`all four statuses are seen at once: ${name}`, async (t) => {
    const checkout = await Checkout.open(await contextOf(t, device), service.url);
    await checkout.create();
    if (name === 'phone') await checkout.page.evaluate('document.querySelector(".panel").scrollIntoView()');
    for (const status of await checkout.page.locator('.panel .status').all()) {
      const { y = -1, height = 0 } = (await status.boundingBox()) ?? {};
      assert.ok(y >= 0 && y + height <= (device.viewport?.height ?? 0), `${y}`);
    }
  });
}

test('what a person gets wrong is told, and an order that a link does not open cannot be paid', async (t) => {
  const checkout = await openAtDesk(t);
  await checkout.page.locator('#amount').fill('0');
  await checkout.page.locator('#create button').click();
  assert.equal(await checkout.page.locator('#amount:invalid').count(), 1);
  await checkout.page.locator('#amount').fill('0.01');
  await checkout.create();
  const link = await checkout.scan();
  for (const [bad, text] of [
    [link.replace(/#.*/, ''), '链接不完整'],
    [`${link.slice(0, -3)}AAA`, '服务端拒绝'],
  ] as const) {
    const { page } = await openOnPhone(t, bad);
    await page.getByRole('alert').filter({ hasText: text }).waitFor();
    assert.equal(await page.locator('#pay').isEnabled(), false, bad);
  }
  assert.deepEqual(checkout.complaints, []);
});

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What a screen reader, a keyboard or weak eyes would stumble over, by axe's rules. */
async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(
    'axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => id + ": " + html)))',
  ) as Promise<string[]>;
}

for (const [name, device] of Object.entries({ desk: DESK, phone: PHONE })) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`the pages have no barriers and fit the screen: ${name}, ${colorScheme}`, async (t) => {
      const context = await contextOf(t, { ...device, colorScheme });
      const checkout = await Checkout.open(context, service.url);
      const assertFine = async (page: Page) => {
        assert.deepEqual(await barriers(page), []);
        assert.ok(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), 'nothing sticks out');
      };
      await assertFine(checkout.page);
      await checkout.create();
      await assertFine(checkout.page);
      if (colorScheme === 'light') await picture(checkout.page, `checkout-${name}`);
      const pay = await context.newPage();
      await pay.goto((await checkout.page.locator('#pay-link').getAttribute('href')) || '');
      await pay.locator(READY).waitFor();
      await assertFine(pay);
      await checkout.press('close');
      await checkout.shown(2);
      await assertFine(checkout.page);
    });
  }
}

test('all can be done by keyboard, and the language changes by a press that is remembered', async (t) => {
  const checkout = await openAtDesk(t);
  const { page } = checkout;
  await page.locator('#create button').focus();
  await page.keyboard.press('Enter');
  await checkout.shown(1);
  await page.getByRole('button', { name: '中文' }).press('Space');
  await page.getByRole('heading', { name: '商户操作' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'zh-CN');
  await page.getByRole('button', { name: '支付', exact: true }).press('Enter');
  await checkout.shown(2);
  const focused = () => page.evaluate('document.activeElement.dataset.action');
  assert.equal(await focused(), 'pay', 'the focus is where it was');
  await page.keyboard.press('Enter');
  assert.equal(await page.getByRole('alert').textContent(), '', 'a button that is disabled does nothing');
  for (const label of ['轮询', '长轮询']) await page.getByRole('article', { name: label, exact: true }).waitFor();
  await page.getByRole('combobox', { name: '轮询 间隔' }).waitFor();
  assert.deepEqual(await checkout.texts('.status'), Array(4).fill('已支付'));
  await page.reload();
  await page.getByRole('heading', { name: '商户操作' }).waitFor();
  assert.deepEqual(checkout.complaints, []);
});
