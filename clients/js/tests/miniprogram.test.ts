import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { HostileProxy } from './support/proxy';
import { Service } from './support/service';
import { EXAMPLE, SimulatedPage, startSimulator } from './support/simulator';
import { until } from './support/waiting';
import { FakeWeChat } from './support/wx';

const weChat = new FakeWeChat();
let service: Service;
let merchant: ChildProcess;
let visited: string[];

before(async () => {
  service = await Service.start();
  const env = { ...process.env, PAYQUERY_URL: service.url, PAYQUERY_API_KEY: Service.apiKey(), PORT: '0' };
  merchant = spawn(process.execPath, [join(EXAMPLE, 'merchant.mjs')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(merchant.stdout || merchant, 'data')) as [Buffer];
  const url = /http:\S+/.exec(String(line))?.[0] || '';
  visited = startSimulator(weChat, { merchant: url, payquery: service.url });
});

after(async () => {
  merchant.kill();
  await service.down();
});

test("the merchant's backend does not begin without an API key", () => {
  const { PAYQUERY_API_KEY, ...env } = process.env;
  const { status, stderr } = spawnSync(process.execPath, [join(EXAMPLE, 'merchant.mjs')], { env, encoding: 'utf8' });
  assert.equal(status, 1);
  assert.match(stderr, /^PAYQUERY_API_KEY is missing/);
});

/** Taps through the order page, to the page that shows the result. */
async function order(page: string): Promise<SimulatedPage> {
  visited.length = 0;
  const first = SimulatedPage.open('order');
  assert.match(first.text, /一杯茶.*¥10\.00/s);
  first.call('order', { currentTarget: { dataset: { page } } });
  const url = await until('it goes on to the result', () => visited[0]);
  first.close();
  const [path = '', query] = url.split('?');
  assert.equal(path, `/pages/${page}/${page}`);
  return SimulatedPage.open(page, Object.fromEntries(new URLSearchParams(query)));
}

for (const name of ['result', 'polling', 'socket']) {
  test(`the page ${name} shows the order, and the payment when it has come`, async (t) => {
    const page = await order(name);
    t.after(() => page.close());
    await until('it waits', () => page.text.includes('等待支付'));
    assert.ok(page.text.includes('支付（演示）'));
    page.tap('.button_primary');
    await until('it is paid', () => page.text.includes('支付成功'));
    assert.ok(!page.text.includes('支付（演示）'), 'nobody is invited to pay twice');
    await until('nothing is asked any more', () => !weChat.inFlight && !weChat.openSockets);
  });

  test(`the page ${name} is hidden while the payer pays, and shows the result when it is back`, async (t) => {
    const page = await order(name);
    t.after(() => page.close());
    await until('it waits', () => page.text.includes('等待支付'));
    page.hide();
    weChat.hide();
    await until('nothing is asked', () => weChat.asleep && !weChat.inFlight && !weChat.openSockets);
    const asked = weChat.requests;
    page.call('pay');
    await until('it was reported', () => weChat.requests > asked && !weChat.inFlight);
    assert.ok(page.text.includes('等待支付'));
    weChat.show();
    page.show();
    await until('it is paid', () => page.text.includes('支付成功'));
  });

  test(`the page ${name} is closed, and asks no more`, async () => {
    const page = await order(name);
    await until('it waits', () => page.text.includes('等待支付'));
    page.close();
    await until('nothing is asked', () => !weChat.inFlight && !weChat.openSockets);
    assert.equal(weChat.listening(), 0);
  });

  test(`the page ${name} says so when it cannot find the order`, async (t) => {
    const secret = 'pqs_wrong';
    const page = SimulatedPage.open(name, { id: '0195f3a0-0000-7000-8000-000000000000', secret });
    t.after(() => page.close());
    await until('it says so', () => page.text.includes('查不到这个订单'));
    assert.ok(!page.text.includes('支付（演示）'), 'there is nothing to be paid');
  });
}

test('while the outcome is unknown nobody is invited to pay, but to ask again', async (t) => {
  const page = await order('result');
  t.after(() => page.close());
  await until('it waits', () => page.text.includes('等待支付'));
  page.set({ unknown: true });
  assert.ok(!page.text.includes('支付（演示）'));
  page.tap('.button');
  await until('it asks', () => !page.text.includes('再查一次') && page.text.includes('支付（演示）'));
});

test('a bad network is a hint on the page, which goes when the network is back', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  SimulatedPage.configure({ payquery: proxy.url });
  const page = await order('result');
  t.after(() => page.close());
  await until('it is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
  proxy.treat = () => 'reset';
  proxy.cutAll();
  await until('it says so', () => page.text.includes('网络不给力'));
  assert.ok(page.text.includes('等待支付'), 'that is no failed payment');
  proxy.treat = () => 'pass';
  weChat.networkIsBack();
  await until('all is well', () => !page.text.includes('网络不给力'));
  assert.ok(page.text.includes('等待支付'));
});

test('the library costs fewer requests than an interval, and the payment is there as soon', async (t) => {
  const requests: Record<string, number> = {};
  let typing = 0;
  for (const name of ['polling', 'result']) {
    const proxy = await HostileProxy.start(t, service.port);
    SimulatedPage.configure({ payquery: proxy.url });
    const page = await order(name);
    await until('it waits', () => page.text.includes('等待支付'));
    // A payer types a password, on both pages for as long as the interval takes to ask three times.
    const begun = Date.now();
    if (name === 'polling') {
      await until('it has asked three times', () => proxy.seen.filter(({ over }) => over).length >= 3);
      typing = Date.now() - begun;
    } else {
      await new Promise((resolve) => setTimeout(resolve, typing));
    }
    page.tap('.button_primary');
    await until('it is paid', () => page.text.includes('支付成功'));
    requests[name] = proxy.seen.length;
    page.close();
  }
  // The one that was held when it was paid has brought it: no other was needed.
  assert.equal(requests.result, 2);
  assert.ok((requests.polling || 0) >= 4);
});

test('every page of app.json is there, and every file of the example is valid', () => {
  const root = join(EXAMPLE, 'miniprogram');
  const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8')) as unknown;
  const { pages } = read('app.json') as { pages: string[] };
  assert.equal(pages.length, 4);
  for (const page of pages) {
    read(`${page}.json`);
    assert.ok(existsSync(join(root, `${page}.wxml`)));
    execFileSync(process.execPath, ['--check', join(root, `${page}.js`)]);
  }
  read('sitemap.json');
  read('../project.config.json');
});
