import assert from 'node:assert/strict';
import { until } from '../support/waiting';
import { pay, type Scenario, type Stage, TRANSPORTS, TROUBLED_LATER, WATCHDOG, WELL } from './scenario';

const restarts: Scenario[] = TRANSPORTS.flatMap((transport) =>
  (['SIGKILL', 'SIGTERM'] as const).map((signal) => ({
    name: `${transport} outlives a service that is ${signal === 'SIGKILL' ? 'killed' : 'drained'} and started again`,
    transport,
    ownService: true,
    before(stage) {
      stage.baseUrl = stage.service.url;
    },
    async play(stage) {
      const { payer, service } = stage;
      await payer.hears('v1 pending');
      await service.down(signal);
      await payer.hears('error');
      await service.up();
      await payer.hears('recovered');
      await pay(stage);
      // Who comes back while it drains may be told so.
      const heard = payer
        .heard()
        .map((line) => (signal === 'SIGTERM' ? line.replace('unavailable', 'unreachable') : line));
      assert.deepEqual(heard, TROUBLED_LATER('unreachable'));
    },
  })),
);

const rollingRestarts: Scenario[] = TRANSPORTS.map((transport) => ({
  name: `${transport}: a replica that drains hands its payers over to the next, and they are told nothing`,
  transport,
  // Long enough for requests that were on their way to it.
  settings: { PAYQUERY_DRAIN_DELAY_MS: '500' },
  ownService: true,
  options: { timing: { wait: 25 } },
  hears: WELL,
  async play(stage) {
    const { payer, proxy, order, replica } = stage;
    await payer.hears('v1 pending');
    const open = () => proxy.open().find(({ kind }) => kind === transport);
    const held = transport === 'polling' ? open() : await until('a request is held', open);
    proxy.target = replica.port;
    await stage.service.down();
    await until('what was held is over', () => !held || held.over);
    if (transport === 'longpoll') assert.equal(held?.status, stage.where.name === 'the simulator' ? 200 : 304);
    await replica.report(order, 'succeeded');
    await payer.hears('final succeeded');
    assert.ok(proxy.seen.length > 1);
  },
}));

/** Somebody else at the payer's address, who keeps no limit, takes all there is. */
async function exhaust({ service, order }: Stage): Promise<'pass'> {
  const url = `${service.url}/v1/orders/${order.id}/status`;
  const headers = { Authorization: `Bearer ${order.client_secret}` };
  for (;;) if ((await fetch(url, { headers })).status === 429) return 'pass';
}

const rateLimits = TRANSPORTS.map(
  (transport): Scenario => ({
    name: `${transport}: who is limited waits and says nothing, and is answered when it is his turn`,
    transport,
    // One answer in five seconds: the next is not due yet when the payer's first question has come through.
    settings: { PAYQUERY_POLL_RATE: '0.2', PAYQUERY_POLL_BURST: '1' },
    hears: WELL,
    before(stage) {
      stage.proxy.treat = (_, index) => (index ? 'pass' : exhaust(stage));
    },
    async play(stage) {
      const { payer, proxy } = stage;
      await pay(stage);
      assert.ok((await payer.ask('failures')) >= 1, 'it was limited');
      for (const [index, { status, at }] of proxy.seen.entries()) {
        const next = proxy.seen[index + 1];
        if (status === 429 && next) assert.ok(next.at - at >= 950, `again after ${next.at - at} ms`);
      }
    },
  }),
);

export const faults: readonly Scenario[] = [
  ...restarts,
  ...rollingRestarts,
  ...rateLimits,
  {
    name: 'a limit is foreseen: however often the page refreshes, it is never limited',
    transport: 'longpoll',
    settings: { PAYQUERY_POLL_RATE: '2', PAYQUERY_POLL_BURST: '1' },
    options: { timing: { wait: 1 } },
    hears: WELL,
    async play(stage) {
      const { t, proxy, payer } = stage;
      // Between requests: an answer that is not waited for can foresee nothing. A request's watchdog is far away, a pause is not.
      const refresh = async () => {
        const [next = Infinity] = await payer.ask('pending');
        if (!proxy.open().length && next < WATCHDOG) await payer.ask('call', 'refresh');
      };
      const hammer = setInterval(() => refresh().catch(() => {}), 20);
      t.after(() => clearInterval(hammer));
      await until('it asked four times', () => proxy.seen.filter(({ over }) => over).length >= 4);
      await pay(stage);
      clearInterval(hammer);
      assert.ok(proxy.seen.every(({ status }) => status !== 429));
    },
  },
];
