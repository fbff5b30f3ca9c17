import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { miniAdapter, type WatchOptions, withPayment } from 'payquery-client';
import { performAll } from './scenarios/all';
import { life } from './scenarios/life';
import { phone } from './support/environments/phone';
import { FakeClock } from './support/fake_clock';
import { HostileProxy, type Treatment } from './support/proxy';
import { QUICK, Recorder } from './support/recorder';
import { Service } from './support/service';
import { until } from './support/waiting';
import { FakeWeChat } from './support/wx';

let service: Service;

before(async () => {
  service = await Service.start();
});

after(() => service.down());

performAll(phone, life);

/** A payer's phone, with a proxy before the service that the test may turn bad. */
async function takePhone(
  t: TestContext,
  transport: WatchOptions['transport'],
  treatment: Treatment = 'pass',
  options: Partial<WatchOptions> = {},
) {
  const proxy = await HostileProxy.start(t, service.port);
  proxy.treat = () => treatment;
  const weChat = new FakeWeChat();
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, { transport, adapter: miniAdapter(weChat.wx), ...options });
  return { proxy, weChat, order, payer };
}

test('coming back from paying, the payer sees the result at once, however long the pace is', async (t) => {
  // It stands still: what comes, comes without any pause.
  const clock = new FakeClock();
  const { proxy, weChat, order, payer } = await takePhone(t, 'auto', 'pass', { clock });
  await payer.seen(1);
  clock.advance(0);
  await until('it is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
  weChat.hide();
  await service.report(order, 'succeeded', { amount: 1000 });
  weChat.show();
  await payer.ended();
  assert.equal(weChat.mostInFlight, 1);
});

test('a page that is covered stays quiet when the app comes back, until the page is shown itself', async (t) => {
  const { proxy, weChat, order, payer } = await takePhone(t, 'longpoll');
  await payer.seen(1);
  payer.watch.pause();
  const { asked } = weChat;
  weChat.hide();
  weChat.show();
  weChat.networkIsBack();
  payer.watch.refresh();
  await until('all is closed', () => !proxy.open().length);
  await service.report(order, 'succeeded');
  assert.equal(weChat.asked, asked);
  payer.watch.resume();
  await payer.ended();
});

test('a socket that dies without a word is noticed by its silence', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const weChat = new FakeWeChat();
  weChat.tellsClose = false;
  const clock = new FakeClock();
  const [silence, heartbeat] = [40_000, 15_000];
  const order = await service.createOrder();
  const payer = new Recorder(t, proxy.url, order, {
    transport: 'websocket',
    adapter: miniAdapter(weChat.wx),
    clock,
    timing: { silence, heartbeat },
  });
  await payer.seen(1);
  for (let beat = 0; beat < 5; beat++) {
    clock.advance(heartbeat);
    await until('the heartbeat is answered', () => clock.pending().includes(silence));
  }
  assert.equal(proxy.seen.length, 1, 'heartbeats keep it');
  proxy.cutAll();
  await service.report(order, 'succeeded');
  clock.advance(silence);
  clock.advance(1_000); // the pause after it
  await payer.ended();
  assert.equal(proxy.seen.length, 2);
  assert.deepEqual(payer.codes(), []);
});

test('when the network is back it asks at once, and waits no longer', async (t) => {
  const never = { ...QUICK, backoff: 3_600_000, backoffMax: 3_600_000 };
  const { proxy, weChat, order, payer } = await takePhone(t, 'longpoll', 'reset', { timing: never });
  await until('it has failed', () => payer.codes().length);
  await service.report(order, 'succeeded');
  proxy.treat = () => 'pass';
  weChat.networkIsBack();
  await payer.ended();
});

test('withPayment ties the watch to a page, and keeps the page what it was', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const weChat = new FakeWeChat();
  const order = await service.createOrder();
  const calls: string[] = [];
  const page = withPayment(
    {
      data: { status: '' },
      onLoad: () => void calls.push('load'),
      onShow: () => void calls.push('show'),
      onHide: () => void calls.push('hide'),
      onUnload: () => void calls.push('unload'),
      onShareAppMessage: () => ({ title: 'mine' }),
      greet: () => 'hello',
    },
    function ({ id = '', secret = '' }) {
      return {
        baseUrl: proxy.url,
        orderId: id,
        clientSecret: secret,
        timing: QUICK,
        adapter: miniAdapter(weChat.wx),
        onStatus: ({ status }) => {
          this.data = { status };
        },
      };
    },
  ) as unknown as Record<'onLoad' | 'onShow' | 'onHide' | 'onUnload' | 'greet', (query?: unknown) => unknown> & {
    data: { status: string };
  };
  const status = () => page.data.status;
  page.onLoad({ id: order.id, secret: order.client_secret });
  page.onShow();
  t.after(() => page.onUnload());
  await until('the status is shown', () => status() === 'pending');
  page.onHide();
  await until('nothing is asked', () => !proxy.open().length);
  await service.report(order, 'processing');
  page.onShow();
  await until('the status is shown', () => status() === 'processing');
  page.onUnload();
  await until('nothing is asked', () => !proxy.open().length);
  assert.equal(weChat.listening(), 0);
  assert.deepEqual(calls, ['load', 'show', 'hide', 'show', 'unload']);
  assert.equal(page.greet(), 'hello');
});

test('withPayment does nothing for a page that has no order yet', () => {
  const page = withPayment<object>({}, () => undefined) as Record<
    'onLoad' | 'onShow' | 'onHide' | 'onUnload',
    () => void
  >;
  for (const hook of ['onLoad', 'onShow', 'onHide', 'onUnload'] as const) page[hook]();
});
