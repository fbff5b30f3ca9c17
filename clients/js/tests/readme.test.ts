import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { PaymentWatch } from 'payquery-client';
import { Service } from './support/service';
import { until } from './support/waiting';
import { FakeWeChat } from './support/wx';

let service: Service;

before(async () => {
  service = await Service.start();
});

after(() => service.down());

let runs = 0;

/** Runs a sample as it stands, but for the address, in a file of its own beside the tests. */
async function run(readme: string, begin: string, inScope: Record<string, unknown>): Promise<void> {
  const samples = Array.from(readFileSync(readme, 'utf8').matchAll(/^```js\n(.*?)^```$/gms), ([, text = '']) => text);
  const sample = samples.find((text) => text.includes(begin));
  assert.ok(sample, `${readme} has a sample with ${begin}`);
  const path = resolve('.tests', `sample-${readme}-${++runs}.mjs`);
  writeFileSync(path, sample.replace('https://pay.example.com', service.url));
  Object.assign(globalThis, inScope);
  await import(pathToFileURL(path).href);
}

/** What the developer tools make of a page's definition. */
interface MiniPage {
  data: { order: { status: string } | null; note: string };
  payment?: PaymentWatch;
  setData(data: object): void;
  onLoad(query: object): void;
  onShow(): void;
  onUnload(): void;
  again(): void;
}

for (const [readme, paid] of [
  ['README.md', 'paid'],
  ['README.zh-CN.md', '支付成功'],
] as const) {
  test(`${readme}: the sample for anywhere runs as it stands`, async () => {
    const { id: orderId, client_secret: clientSecret } = await service.createOrder();
    const shown: string[] = [];
    const show = (text: string) => shown.push(text);
    const done = run(readme, 'watchPayment({', { orderId, clientSecret, show });
    await until('it shows that the payment is awaited', () => shown.includes('pending'));
    await service.report({ id: orderId, client_secret: clientSecret }, 'succeeded');
    await done;
    assert.deepEqual(shown, ['pending', 'succeeded', paid]);
  });

  test(`${readme}: the sample for anywhere names what is wrong with a secret, and does not throw`, async () => {
    const { id: orderId } = await service.createOrder();
    const { client_secret: clientSecret } = await service.createOrder();
    const shown: string[] = [];
    await run(readme, 'watchPayment({', { orderId, clientSecret, show: (text: string) => shown.push(text) });
    assert.deepEqual(shown, ['order_not_found']);
  });

  test(`${readme}: the sample for mini-programs runs as it stands`, async (t) => {
    const order = await service.createOrder();
    const weChat = new FakeWeChat();
    const pages: MiniPage[] = [];
    t.after(() => Object.assign(globalThis, { wx: undefined, Page: undefined }));
    await run(readme, 'withPayment(', { wx: weChat.wx, Page: (definition: MiniPage) => pages.push(definition) });
    const [page] = pages as [MiniPage];
    page.setData = (news) => Object.assign(page.data, news);
    page.onLoad({ id: order.id, secret: order.client_secret });
    page.onShow();
    await until('it shows that the payment is awaited', () => page.data.order?.status === 'pending');
    page.again();
    await service.report(order, 'succeeded');
    await until('it shows the outcome', () => page.data.note === (paid === 'paid' ? 'Paid' : paid));
    page.onUnload();
    assert.equal(weChat.listening(), 0);
  });
}
