import assert from 'node:assert/strict';
import { until } from '../support/waiting';
import { nextRequest, pay, type Scenario, type Stage, TRANSPORTS, WELL } from './scenario';

const EACH_VERSION = ['v1 pending', 'v2 processing', 'v3 succeeded', 'final succeeded'];

async function payInSteps({ payer, service, order }: Stage): Promise<void> {
  await payer.hears('v1 pending');
  await service.report(order, 'processing');
  await payer.hears('v2 processing');
  await service.report(order, 'succeeded');
  await payer.hears('final succeeded');
}

const each: Scenario[] = TRANSPORTS.map((transport) => ({
  name: `${transport} brings each version once and the final one last, and stops`,
  transport,
  hears: EACH_VERSION,
  async play(stage) {
    await payInSteps(stage);
    const { proxy } = stage;
    assert.equal(proxy.mostOpen, 1);
    const streams = proxy.count('sse') + proxy.count('websocket');
    assert.equal(streams, proxy.seen.length === 1 ? 1 : 0, 'a stream is one request, polls are no streams');
  },
}));

const repeatedStreams: Scenario[] = (['sse', 'websocket'] as const).map((transport) => ({
  name: `${transport}: what is repeated, or comes out of order, does not reach the caller`,
  transport,
  treat: () => 'repeat',
  hears: EACH_VERSION,
  play: payInSteps,
}));

const repeatedPolls: Scenario[] = (['longpoll', 'polling'] as const).map((transport) => ({
  name: `${transport}: what a cache repeats, or brings too late, does not reach the caller`,
  transport,
  hears: EACH_VERSION,
  async play({ proxy, payer, service, order }) {
    await payer.hears('v1 pending');
    const old = proxy.seen[0]?.body || '';
    await service.report(order, 'processing');
    await payer.hears('v2 processing');
    const current = proxy.seen.filter(({ body }) => body.includes('processing')).at(-1)?.body || '';
    const replays = [current, old, current].map((replay) => ({ replay }));
    proxy.treat = () => replays.shift() || 'pass';
    const before = proxy.seen.length;
    await until('all of them came', () => !replays.length && proxy.seen.length > before + 3);
    await service.report(order, 'succeeded');
    await payer.hears('final succeeded');
  },
}));

const slow: Scenario[] = (['longpoll', 'polling'] as const).map((transport) => ({
  name: `${transport}: slow answers never overlap`,
  transport,
  options: { timing: { wait: 1 } },
  treat: (_, index) => ({ delay: index % 2 ? 700 : 50 }),
  hears: WELL,
  async play(stage) {
    await until('there were three requests', () => stage.proxy.seen.length >= 3);
    await pay(stage);
    assert.equal(stage.proxy.mostOpen, 1);
  },
}));

export const transports: readonly Scenario[] = [
  ...each,
  ...repeatedStreams,
  ...repeatedPolls,
  ...slow,
  {
    name: 'auto: a payment within the first seconds is seen by long-polls',
    transport: 'auto',
    options: { timing: { settle: 20_000 } },
    hears: EACH_VERSION,
    play: payInSteps,
    takes: ['longpoll'],
  },
  {
    name: 'a long-poll is seen within a moment of the report, and costs two requests',
    transport: 'longpoll',
    options: { timing: { wait: 25 } },
    hears: WELL,
    async play({ proxy, payer, service, order, where }) {
      await until('the request is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
      const reported = Date.now();
      await service.report(order, 'succeeded');
      await payer.hears('final succeeded');
      // Far from a busy machine's worst moment, and far from the end of the hold.
      assert.ok(Date.now() - reported < 10_000);
      assert.equal(proxy.seen.length, 2);
      const held = proxy.seen[1];
      // Phones meddle with 304, so there the version goes into the address.
      const version = where.name === 'the simulator' ? '&since_version=1' : '';
      assert.ok(held?.url.endsWith(`?wait=25${version}`), held?.url);
      assert.equal(held?.headers['if-none-match'], version ? undefined : '"1"');
    },
  },
  {
    name: 'polls keep the pace of the server',
    transport: 'polling',
    options: { standsStill: true },
    hears: ['v1 pending'],
    async play(stage) {
      const { proxy, payer, where } = stage;
      for (const count of [1, 2, 3]) {
        await until(`poll ${count} is answered`, () => proxy.seen[count - 1]?.over);
        await keepsPace(stage);
      }
      const unchanged = where.name === 'the simulator' ? 200 : 304;
      const statuses = proxy.seen.slice(0, 3).map(({ status }) => status);
      assert.deepEqual(statuses, [200, unchanged, unchanged]);
      await payer.ask('call', 'stop');
    },
  },
  {
    name: "a long-poll that is not held becomes a poll at the server's pace",
    transport: 'longpoll',
    options: { standsStill: true },
    settings: { PAYQUERY_MAX_HELD: '0' },
    hears: ['v1 pending'],
    async play(stage) {
      await stage.payer.hears('v1 pending');
      await nextRequest(stage, 2);
      const pause = async () => (await stage.payer.ask('pending'))[0] || 0;
      // At once would be a storm; a crowded service may ask for more than usual.
      await until('the next is due later', async () => (await pause()) >= 2_000 && (await pause()) < 10_000);
      await stage.payer.ask('call', 'stop');
    },
  },
];

/** X-Poll-Interval is 2 in an order's first minute. */
async function keepsPace({ payer, proxy }: Stage): Promise<void> {
  const asked = proxy.seen.length;
  await until('the next is due in two seconds', async () => (await payer.ask('pending'))[0] === 2_000);
  await payer.ask('advance', 1_999);
  assert.deepEqual((await payer.ask('pending'))[0], 1);
  await payer.ask('advance', 1);
  await until('it is asked', () => proxy.seen.length === asked + 1);
}
