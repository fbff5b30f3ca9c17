import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { miniAdapter } from 'payquery-client';
import { platforms } from './support/platforms';
import { HostileProxy } from './support/proxy';
import { QUICK, Recorder } from './support/recorder';
import { Service } from './support/service';
import { until } from './support/waiting';
import { FakeWeChat } from './support/wx';

let service: Service;

before(async () => {
  service = await Service.start();
});

after(() => service.down());

for (const [name, build] of Object.entries(platforms)) {
  for (const transport of ['longpoll', 'polling', 'websocket'] as const) {
    test(`${name}: ${transport} brings the payment`, async (t) => {
      const proxy = await HostileProxy.start(t, service.port);
      const order = await service.createOrder();
      const adapter = miniAdapter(build(new FakeWeChat()));
      const payer = new Recorder(t, proxy.url, order, { transport, adapter });
      await payer.seen(1);
      await service.report(order, 'processing');
      await payer.seen(2);
      await service.report(order, 'closed');
      await payer.ended();
      assert.deepEqual(payer.versions(), [1, 2, 3]);
      assert.deepEqual(payer.codes(), []);
      assert.ok(
        proxy.seen.every(({ headers }) => !headers['if-none-match']),
        'phones meddle with 304',
      );
    });
  }

  test(`${name}: an answer that is no 2xx is an answer, with its Retry-After`, async (t) => {
    const proxy = await HostileProxy.start(t, service.port);
    const adapter = miniAdapter(build(new FakeWeChat()));
    const order = await service.createOrder();
    proxy.treat = (_, index) => (index ? 'pass' : { answer: 429, headers: { 'retry-after': '1' } });
    const payer = new Recorder(t, proxy.url, order, { transport: 'polling', adapter });
    await payer.seen(1);
    assert.ok((proxy.seen[1]?.at || 0) - (proxy.seen[0]?.at || 0) >= 950);
    const wrong = new Recorder(t, service.url, { ...order, client_secret: 'pqs_wrong' }, { adapter });
    await assert.rejects(wrong.watch.final, { code: 'order_not_found' });
    assert.deepEqual(wrong.codes(), ['order_not_found']);
  });

  test(`${name}: it is found by itself`, async (t) => {
    const globals = globalThis as unknown as Record<string, unknown>;
    const weChat = new FakeWeChat();
    globals[name] = build(weChat);
    t.after(() => delete globals[name]);
    const order = await service.createOrder();
    const payer = new Recorder(t, service.url, order);
    await payer.seen(1);
    assert.ok(weChat.requests > 0);
  });
}

test('chunked requests bring a stream, cut within characters', async (t) => {
  const proxy = await HostileProxy.start(t, service.port);
  const order = await service.createOrder();
  const adapter = miniAdapter(new FakeWeChat().wx);
  const payer = new Recorder(t, proxy.url, order, { transport: 'sse', adapter });
  await payer.seen(1);
  await service.report(order, 'failed', { reason: '余额不足 🙅' });
  await payer.ended();
  assert.equal(payer.finals[0]?.reason, '余额不足 🙅');
  assert.equal(proxy.seen.length, 1);
});

test('a wrong secret ends a chunked request too', async (t) => {
  const order = await service.createOrder();
  const adapter = miniAdapter(new FakeWeChat().wx);
  const payer = new Recorder(t, service.url, { ...order, client_secret: 'pqs_wrong' }, { transport: 'sse', adapter });
  await assert.rejects(payer.watch.final, { code: 'order_not_found', status: 404 });
});

test('a phone without chunked requests takes no such stream', async (t) => {
  const weChat = new FakeWeChat();
  weChat.chunked = false;
  const order = await service.createOrder();
  const timing = { ...QUICK, wait: 1 };
  const payer = new Recorder(t, service.url, order, { adapter: miniAdapter(weChat.wx), timing });
  await until('it takes the socket', () => payer.transports.includes('websocket'));
  assert.deepEqual(payer.transports, ['longpoll', 'websocket']);
});

test('a wss domain that is not configured costs nothing but the try', async (t) => {
  const { wx } = new FakeWeChat();
  const { connectSocket } = wx;
  wx.connectSocket = (options) => {
    options.fail({ errMsg: 'connectSocket:fail url not in domain list' });
    return connectSocket({ ...options, url: 'ws://127.0.0.1:9/' });
  };
  const order = await service.createOrder();
  const payer = new Recorder(t, service.url, order, {
    transport: ['websocket', 'longpoll'],
    adapter: miniAdapter(wx),
  });
  await payer.seen(1);
  assert.deepEqual(payer.transports, ['websocket', 'longpoll']);
  assert.deepEqual(payer.codes(), []);
});
