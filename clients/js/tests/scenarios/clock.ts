import assert from 'node:assert/strict';
import { until } from '../support/waiting';
import { type Scenario, type Stage, TROUBLED_FIRST } from './scenario';

const MINUTE = 60_000;
const HALF_HOUR = 30 * MINUTE;
const HOUR = 2 * HALF_HOUR;
/** But for the service's own: what it holds it holds until the scenario has come to its report. */
const STANDS_STILL = { standsStill: true, timing: { wait: 25, backoff: 1_000, backoffMax: 30_000 } };

/** Waits until the next timer is that far away: the network takes its own time. */
const nextIn = ({ payer }: Stage, ms: number) =>
  until(`the next timer is ${ms} ms away`, async () => (await payer.ask('pending'))[0] === ms);

export const clock: readonly Scenario[] = [
  {
    name: 'pauses after failures double from one second to thirty, with full jitter, and end with the next answer',
    transport: 'longpoll',
    options: STANDS_STILL,
    treat: () => 'reset',
    hears: TROUBLED_FIRST('unreachable'),
    async play(stage) {
      const { payer, proxy, service, order } = stage;
      for (const pause of [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
        await nextIn(stage, pause); // chance is always a half
        await payer.ask('advance', pause - 1);
        const asked = proxy.seen.length;
        await nextIn(stage, 1);
        assert.equal(proxy.seen.length, asked, 'not before its time');
        await payer.ask('advance', 1);
      }
      await nextIn(stage, 15_000);
      proxy.treat = () => 'pass';
      await payer.ask('advance', 15_000);
      await payer.hears('v1 pending');
      await payer.ask('advance', 0);
      await until('a request is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
      await service.report(order, 'succeeded');
      await payer.hears('final succeeded');
    },
  },
  {
    name: 'a Retry-After is kept, spread by jitter, whatever the page does',
    transport: 'longpoll',
    options: STANDS_STILL,
    treat: (_, index) => (index ? 'pass' : { answer: 503, headers: { 'retry-after': '20' } }),
    hears: ['error unavailable', 'recovered', 'v1 pending'],
    async play(stage) {
      const { payer, proxy } = stage;
      await nextIn(stage, 20_500);
      await payer.hide();
      await payer.ask('advance', 5_000);
      await payer.show();
      await payer.ask('call', 'refresh');
      await nextIn(stage, 15_000);
      assert.equal(proxy.seen.length, 1, 'not before its time');
      await payer.ask('advance', 15_000);
      await payer.hears('v1 pending');
      await payer.ask('call', 'stop');
    },
  },
  {
    name: 'giveUpAfter ends in "unknown", and refresh begins anew',
    transport: 'longpoll',
    options: STANDS_STILL,
    async play(stage) {
      const { payer, service, order } = stage;
      await payer.hears('v1 pending');
      await payer.ask('advance', HALF_HOUR);
      await payer.hears('unknown');
      await until('the promise is settled', () => payer.promises().includes('unknown'));
      assert.equal(await payer.ask('timers'), 0);
      await service.report(order, 'succeeded');
      await payer.ask('call', 'refresh');
      await payer.hears('final succeeded');
      await until('the new promise is settled', () => payer.promises().length === 2);
      assert.deepEqual(payer.promises(), ['unknown', 'succeeded']);
      assert.equal(payer.heard().at(-1), 'final succeeded');
    },
  },
  {
    name: 'a clock that is set back costs no time, neither between two polls nor while a request is held',
    transport: ['longpoll', 'polling'],
    options: STANDS_STILL,
    hears: ['v1 pending', 'v2 processing', 'v3 succeeded', 'final succeeded'],
    async play(stage) {
      const { payer, proxy, service, order } = stage;
      await payer.hears('v1 pending');
      await payer.ask('setClock', -HOUR);
      await payer.ask('advance', 0);
      await until('a request is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
      await payer.ask('setClock', -HOUR);
      await service.report(order, 'processing');
      await payer.hears('v2 processing');
      await payer.ask('setClock', -HOUR);
      await payer.hide();
      await payer.ask('setClock', -HOUR);
      await payer.show();
      await service.report(order, 'succeeded');
      await payer.ask('advance', 0);
      await payer.hears('final succeeded');
    },
  },
  {
    name: 'a clock that is set back makes no Retry-After longer',
    transport: 'polling',
    options: STANDS_STILL,
    treat: (_, index) => (index ? 'pass' : { answer: 503, headers: { 'retry-after': '20' } }),
    hears: ['error unavailable', 'recovered', 'v1 pending'],
    async play(stage) {
      const { payer } = stage;
      await nextIn(stage, 20_500);
      await payer.ask('setClock', -HOUR);
      await payer.hide();
      await payer.show();
      await payer.ask('advance', 20_500);
      await payer.hears('v1 pending');
      await payer.ask('call', 'stop');
    },
  },
  {
    name: 'a clock that is set back leaves giveUpAfter as long as it was, but for some seconds',
    transport: 'longpoll',
    options: STANDS_STILL,
    async play({ payer }) {
      await payer.hears('v1 pending');
      await payer.ask('advance', 0.6 * HALF_HOUR);
      await payer.ask('setClock', -HOUR);
      await payer.hide();
      await payer.ask('advance', HOUR);
      await payer.show();
      // What went by since the clock was last looked at is not known.
      await payer.ask('advance', 0.4 * HALF_HOUR + MINUTE);
      await payer.hears('unknown');
    },
  },
];
