import assert from 'node:assert/strict';
import type { Environment } from '../support/environments/environment';
import { type HostileProxy, isAlive, type Treatment } from '../support/proxy';
import { until } from '../support/waiting';
import { nextRequest, pay, type Scenario, type Stage, TROUBLED_FIRST, TROUBLED_LATER, WELL } from './scenario';

const STREAMS = ['sse', 'websocket'] as const;
const HTML = { 'content-type': 'text/html' };
const NEVER = 60_000;
/** After so many milliseconds without a word a stream is dead. */
const SILENCE = 40_000;

const took = ({ payer }: Stage, name: string) =>
  until(`it takes ${name}`, () => payer.transports().at(-1) === name, 30_000);
const isStream = (kind: string) => kind === 'sse' || kind === 'websocket';
/** The better stream of `auto` here, and the other. */
const first = ({ streams }: Environment) => streams[0];
const second = ({ streams }: Environment) => streams[1];

const BAD_FOR_STREAMS: [what: string, treatment: Treatment][] = [
  ['buffers', 'buffer'],
  ['buffers all but the head of', 'buffer body'],
  ['drops', 'drop'],
  ['resets', 'reset'],
  ['refuses', { answer: 403, headers: HTML, body: '<html>' }],
  ['delays for longer than anybody waits', { delay: NEVER }],
];

const streamsDown: Scenario[] = STREAMS.flatMap((stream) =>
  BAD_FOR_STREAMS.map(([what, treatment]) => ({
    name: `${stream}: a proxy that ${what} streams makes it take long-polls, at once and without a word`,
    transport: [stream, 'longpoll', 'polling'] as const,
    options: { timing: { open: 500, rest: NEVER } },
    treat: ({ kind }) => (kind === stream ? treatment : 'pass'),
    hears: WELL,
    takes: [stream, 'longpoll'],
  })),
);

const streams: Scenario[] = STREAMS.flatMap((stream): Scenario[] => [
  {
    name: `${stream}: a proxy that cuts streams makes it take long-polls, after the second cut`,
    transport: [stream, 'longpoll', 'polling'],
    options: { timing: { rest: NEVER } },
    treat: ({ kind }) => (kind === stream ? 'cut stream' : 'pass'),
    hears: WELL, // a stream that is cut and opened anew is no error
    takes: [stream, 'longpoll'],
    async play(stage) {
      await took(stage, 'longpoll');
      assert.equal(stage.proxy.count(stream), 2);
      await pay(stage);
    },
  },
  {
    name: `${stream}: a stream that opens late, and is slow, is kept`,
    transport: [stream, 'longpoll'],
    treat: () => ({ delay: 600 }),
    hears: WELL,
    takes: [stream],
  },
  {
    name: `${stream}: a stream is kept by its heartbeats, one a second here, and opened anew when they stay away`,
    transport: stream,
    // The payer's clock stands still, and the service's beats: so none of them is late.
    options: { standsStill: true },
    hears: WELL,
    async play(stage) {
      const { payer, proxy } = stage;
      await payer.hears('v1 pending');
      for (let beat = 0; beat < 3; beat++) {
        await payer.ask('advance', SILENCE - 1);
        await until('a heartbeat has come', async () => (await payer.ask('pending')).includes(SILENCE));
      }
      assert.equal(proxy.seen.length, 1, 'it was left alone while it beat');
      await payer.ask('advance', SILENCE); // in which none comes
      const other = await nextRequest(stage, 2);
      if (stream === 'sse') assert.equal(other.headers['last-event-id'], '1');
      await pay(stage);
    },
  },
]);

const SWALLOWED: [what: string, treatment: Treatment][] = [
  ['drops', 'drop'],
  ['delays for longer than anybody waits', { delay: NEVER }],
];
/** How long a request without an answer is waited for, in seconds of a clock that stands still. */
const PATIENCE = 10;
/** How long a stream may be mute, in milliseconds. */
const OPEN = 5_000;

/** Waits for the request number `count`, which is never answered, until it is given up. */
async function giveUp(stage: Stage, count: number, seconds: number): Promise<void> {
  await nextRequest(stage, count);
  await stage.payer.ask('advance', seconds * 1_000);
}

/** Holds back the first so many streams of that kind. */
function mute(proxy: HostileProxy, stream: string, count: number): void {
  proxy.treat = ({ kind }) => (kind === stream && proxy.count(kind) <= count ? 'buffer' : 'pass');
}

/** Goes on until so many mute streams were given up and another one is open; returns when each was tried, in milliseconds. */
async function outlast(stage: Stage, count: number): Promise<number[]> {
  const { payer } = stage;
  const tries: number[] = [];
  for (let number = 1; ; number++) {
    const asked = await nextRequest(stage, number);
    if (isStream(asked.kind)) {
      tries.push(await payer.ask('now'));
      if (tries.length > count) return tries;
      await payer.ask('advance', OPEN);
    } else {
      await until('it is answered', () => asked.over);
    }
  }
}

const heldRequestsSwallowed: Scenario[] = SWALLOWED.map(([what, treatment]) => ({
  name: `a proxy that ${what} held requests makes it poll, and the payment is seen`,
  transport: ['longpoll', 'polling'],
  options: { standsStill: true, timing: { wait: 25 } },
  treat: ({ kind }) => (kind === 'longpoll' ? treatment : 'pass'),
  takes: ['longpoll', 'polling'],
  hears: TROUBLED_LATER('unreachable'),
  async play(stage) {
    const { payer, service, order } = stage;
    await payer.hears('v1 pending');
    await giveUp(stage, 2, 25 + PATIENCE);
    await payer.hears('error unreachable');
    await nextRequest(stage, 3); // after trouble it asks for a quick answer first
    await payer.hears('recovered');
    await giveUp(stage, 4, 25 + PATIENCE);
    const poll = await nextRequest(stage, 5);
    await until('the poll is answered', () => poll.over);
    await service.report(order, 'succeeded');
    await nextRequest(stage, 6);
    await payer.hears('final succeeded');
  },
}));

const pollsSwallowed: Scenario[] = (['longpoll', 'polling'] as const).flatMap((transport) =>
  SWALLOWED.map(([what, treatment]) => ({
    name: `${transport}: a proxy that ${what} the first requests is told once, and asked again`,
    transport,
    options: { standsStill: true },
    treat: (_, index) => (index < 2 ? treatment : 'pass'),
    hears: ['error unreachable', 'recovered', 'v1 pending'],
    async play(stage) {
      const { payer } = stage;
      for (const count of [1, 2]) {
        await giveUp(stage, count, PATIENCE);
        await payer.hears('error unreachable');
      }
      await nextRequest(stage, 3);
      await payer.hears('v1 pending');
      await payer.ask('call', 'stop');
    },
  })),
);

const pollsCut: Scenario[] = (['longpoll', 'polling'] as const).flatMap((transport) =>
  (
    [
      ['resets', 'reset'],
      ['cuts the answers to', 'truncate'],
    ] as [string, Treatment][]
  ).map(([what, treatment]) => ({
    name: `${transport}: a proxy that ${what} the first requests is told once, and asked again`,
    transport,
    treat: (_, index) => (index < 2 ? treatment : 'pass'),
    hears: TROUBLED_FIRST('unreachable'),
  })),
);

export const steps: readonly Scenario[] = [
  ...streamsDown,
  ...streams,
  ...heldRequestsSwallowed,
  ...pollsSwallowed,
  ...pollsCut,
  {
    name: 'a proxy that cuts held requests makes it poll; when the proxy is well again, it long-polls again',
    transport: ['longpoll', 'polling'],
    options: { timing: { wait: 25 } },
    treat: ({ kind }) => (kind === 'longpoll' ? { cutAfter: 1_100 } : 'pass'),
    takes: ['longpoll', 'polling', 'longpoll'],
    hears: TROUBLED_LATER('unreachable'),
    async play(stage) {
      const { proxy } = stage;
      await took(stage, 'polling');
      proxy.treat = () => 'pass';
      await took(stage, 'longpoll');
      await until('the request is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
      await pay(stage);
    },
  },
  {
    name: 'a proxy that buffers does long-polls no harm',
    transport: ['longpoll', 'polling'],
    treat: () => 'buffer',
    hears: WELL,
    takes: ['longpoll'],
    async play(stage) {
      await until('a request is held', () => stage.proxy.open().some(({ kind }) => kind === 'longpoll'));
      await pay(stage);
    },
  },
  {
    name: 'auto begins with long-polls, takes a stream for who waits long, and comes back from one that is mute',
    transport: 'auto',
    options: { standsStill: true, timing: { wait: 1, rest: NEVER } },
    before: ({ proxy, where }) => mute(proxy, first(where), Infinity),
    hears: WELL,
    takes: (where) => ['longpoll', first(where), 'longpoll', second(where)],
    async play(stage) {
      await outlast(stage, 1);
      await pay(stage);
    },
  },
  {
    name: 'a stream that was mute is tried again, after a rest that doubles, and kept when it is well',
    transport: (where) => ['longpoll', first(where), 'polling'],
    options: { standsStill: true, timing: { wait: 1, rest: 2_500 } },
    before: ({ proxy, where }) => mute(proxy, first(where), 2),
    hears: WELL,
    takes: (where) => ['longpoll', first(where), 'longpoll', first(where), 'longpoll', first(where)],
    async play(stage) {
      const [one = 0, two = 0, three = 0] = await outlast(stage, 2);
      assert.ok(two - one - OPEN >= 2_500 && three - two - OPEN >= 5_000, `${one}, ${two}, ${three}`);
      await pay(stage);
    },
  },
  {
    name: 'auto steps down as far as plain polls where nothing else works, and up to a stream when all is well again',
    transport: 'auto',
    options: { timing: { wait: 25 } },
    treat: ({ kind }) => (isStream(kind) ? 'reset' : kind === 'longpoll' ? { cutAfter: 1_100 } : 'pass'),
    hears: TROUBLED_LATER('unreachable'),
    async play(stage) {
      const { payer, proxy } = stage;
      await took(stage, 'polling');
      proxy.treat = () => 'pass';
      await until('it takes a stream', () => isStream(payer.transports().at(-1) || ''), 30_000);
      await until('a stream is open', () => proxy.open().some(isAlive));
      await pay(stage);
    },
  },
  {
    name: 'error pages and broken connections in between are told once and change nothing',
    transport: ['longpoll', 'polling'],
    hears: TROUBLED_LATER('bad_answer'),
    async play(stage) {
      const { payer, proxy } = stage;
      await until('it is held', () => proxy.open().some(({ kind }) => kind === 'longpoll'));
      const troubles: Treatment[] = [
        { answer: 200, headers: HTML, body: '<html>Sign in to the WiFi</html>' },
        { answer: 502, headers: HTML, body: '<html>Bad Gateway</html>' },
        'reset',
        { answer: 404, headers: HTML, body: '<html>default backend</html>' },
        { answer: 403, headers: HTML, body: '<html>blocked</html>' },
        { answer: 503, headers: { 'retry-after': '1' } },
        { answer: 429, headers: { 'retry-after': '1' } },
      ];
      proxy.treat = () => troubles.shift() || 'pass';
      await until('all troubles are over', () => !troubles.length);
      await payer.hears('recovered');
      await pay(stage);
    },
  },
];
