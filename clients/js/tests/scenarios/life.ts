import assert from 'node:assert/strict';
import type { TransportName } from 'payquery-client';
import type { Treatment } from '../support/proxy';
import { until } from '../support/waiting';
import type { WatchingOptions } from '../support/watching';
import { assertRest, type Scenario, type Stage } from './scenario';

/** A state that a watch can be in when its page is hidden, shown or left, and how to tell that it is there. */
interface State {
  name: string;
  transport: TransportName;
  options?: Partial<WatchingOptions>;
  treat?: (index: number) => Treatment;
  before?: (stage: Stage) => unknown;
  reached: (stage: Stage) => unknown;
  /** The watch has ended. */
  ended?: true;
}

const NEVER = 60_000;
const told = (line: string) => (stage: Stage) => stage.payer.heard().some((one) => one.startsWith(line));
const isAsking = ({ proxy }: Stage) => proxy.open().length;
const isQuiet = ({ proxy }: Stage) => proxy.seen.length && !proxy.open().length;
/** A while that tests need not wait for. */
const LONG_PAUSE = { timing: { backoff: NEVER, backoffMax: NEVER } };

const STATES: State[] = [
  { name: 'before the first answer', transport: 'longpoll', treat: () => ({ delay: NEVER }), reached: isAsking },
  {
    name: 'while a request is held',
    transport: 'longpoll',
    reached: ({ proxy }) => proxy.open().some(({ kind }) => kind === 'longpoll'),
  },
  {
    name: 'between two polls',
    transport: 'polling',
    reached: (stage) => told('v1')(stage) && isQuiet(stage),
  },
  {
    name: 'during the pause after a failure',
    transport: 'longpoll',
    options: LONG_PAUSE,
    treat: () => 'reset',
    reached: (stage) => told('error')(stage) && isQuiet(stage),
  },
  {
    name: 'while it asks again after a failure',
    transport: 'longpoll',
    treat: (index) => (index < 2 ? { answer: 502 } : { delay: NEVER }),
    reached: (stage) => told('error')(stage) && stage.proxy.seen.length > 2 && isAsking(stage),
  },
  {
    name: 'while it keeps a Retry-After',
    transport: 'longpoll',
    treat: () => ({ answer: 503, headers: { 'retry-after': '1' } }),
    reached: told('error'),
  },
  { name: 'while a stream is opening', transport: 'sse', treat: () => 'drop', reached: isAsking },
  { name: 'with an open stream', transport: 'sse', reached: told('v1') },
  {
    name: 'while a stream is opened anew',
    transport: 'sse',
    treat: (index) => (index ? 'drop' : 'cut stream'),
    reached: (stage) => stage.proxy.seen.length > 1 && isAsking(stage),
  },
  { name: 'while a socket is opening', transport: 'websocket', treat: () => ({ delay: 400 }), reached: isAsking },
  { name: 'with an open socket', transport: 'websocket', reached: told('v1') },
  {
    name: 'while a socket is opened anew',
    transport: 'websocket',
    treat: (index) => (index ? { delay: 400 } : 'cut stream'),
    reached: (stage) => stage.proxy.seen.length > 1 && isAsking(stage),
  },
  {
    name: 'after the outcome',
    transport: 'longpoll',
    before: ({ service, order }) => service.report(order, 'failed'),
    reached: told('final'),
    ended: true,
  },
  {
    name: 'after it was given up',
    transport: 'longpoll',
    options: { giveUpAfter: 1_000 }, // while the second request is held, and not while it is on its way
    reached: told('unknown'),
    ended: true,
  },
  {
    name: 'after a fatal error',
    transport: 'longpoll',
    treat: () => ({ answer: 410 }),
    reached: told('fatal'),
    ended: true,
  },
];

/** Nothing is asked any more, and nothing is said. */
async function isStill(stage: Stage, act: () => Promise<unknown>): Promise<void> {
  const { payer, proxy } = stage;
  const asked = proxy.seen.length;
  const heard = payer.heard();
  await act();
  await assertRest(stage);
  assert.equal(proxy.seen.length, asked, 'nothing was asked');
  assert.deepEqual(payer.heard(), heard, 'nothing was said');
}

async function isHiddenAndShown(stage: Stage, { ended }: State): Promise<void> {
  const { payer, proxy, service, order } = stage;
  if (ended) {
    return isStill(stage, async () => {
      await payer.hide();
      await payer.show();
    });
  }
  await payer.hide();
  assert.equal(await payer.ask('timers'), 0, 'no timer runs');
  await until('all connections are closed', () => !proxy.open().length);
  const asked = proxy.seen.length;
  await service.report(order, 'succeeded');
  await payer.ask('call', 'refresh'); // nobody sees the page
  assert.equal(await payer.ask('timers'), 0, 'no timer runs');
  assert.equal(proxy.seen.length, asked, 'nothing was asked');
  proxy.treat = () => 'pass';
  await payer.show();
  await payer.hears('final succeeded');
}

/** All is closed, and whatever is called on it afterwards does nothing. */
async function isEnded(stage: Stage, { ended }: State, end: () => Promise<unknown>): Promise<void> {
  const { payer, proxy, service, order } = stage;
  await payer.ask('timers'); // all that it was told has arrived
  const heard = payer.heard();
  await end();
  proxy.treat = () => 'pass';
  await until('all connections are closed', () => !proxy.open().length && !payer.holds());
  const asked = proxy.seen.length;
  if (!ended) await service.report(order, 'succeeded');
  if (!payer.isGone) {
    await isStill(stage, async () => {
      await payer.hide();
      await payer.show();
      await payer.ask('call', 'refresh');
      await payer.ask('call', 'resume');
    });
    await until('the promise is settled', () => payer.promises().length);
    if (!ended) assert.deepEqual(payer.promises(), ['stopped']);
  }
  assert.equal(proxy.seen.length, asked, 'nothing was asked');
  assert.deepEqual(payer.heard(), heard, 'nothing was said');
}

const scenario = (state: State, what: string, play: (stage: Stage) => Promise<void>): Scenario => ({
  name: `${what} ${state.name}`,
  transport: state.transport,
  ...(state.options && { options: state.options }),
  ...(state.before && { before: state.before }),
  treat: (_, index) => state.treat?.(index) || 'pass',
  async play(stage) {
    await until(state.name, () => state.reached(stage));
    await play(stage);
  },
});

export const life: readonly Scenario[] = STATES.flatMap((state) => [
  scenario(state, 'hidden and shown', (stage) => isHiddenAndShown(stage, state)),
  scenario(state, 'stopped', (stage) => isEnded(stage, state, () => stage.payer.ask('call', 'stop'))),
  {
    ...scenario(state, 'left', (stage) => isEnded(stage, state, () => stage.payer.leave())),
    where: ({ hasPages }) => hasPages,
  },
]);
