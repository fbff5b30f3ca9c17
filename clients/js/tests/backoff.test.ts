import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Adapter,
  type Answer,
  type Call,
  type SocketEvents,
  type StatusDocument,
  type WatchError,
  type WatchOptions,
  watchPayment,
} from 'payquery-client';
import { systemClock } from '../src/clock';
import { FakeClock } from './support/fake_clock';
import { answer, document, Scripted } from './support/scripted';

const HALF_HOUR = 30 * 60_000;
const HOUR = 2 * HALF_HOUR;

function watch(options: Partial<WatchOptions> = {}, chance = 0.5) {
  const clock = new FakeClock(chance);
  const adapter = new Scripted();
  const statuses: StatusDocument[] = [];
  const finals: StatusDocument[] = [];
  const errors: WatchError[] = [];
  const unknowns: (StatusDocument | undefined)[] = [];
  const handle = watchPayment({
    baseUrl: 'https://pay.example.com',
    orderId: 'a',
    clientSecret: 's',
    clock,
    adapter,
    transport: 'polling',
    onStatus: (found) => statuses.push(found),
    onFinal: (found) => finals.push(found),
    onError: (error) => errors.push(error),
    onUnknown: (last) => unknowns.push(last),
    ...options,
  });
  /** Milliseconds until it asks again. */
  const pause = () => clock.pending()[0];
  return { clock, adapter, statuses, finals, errors, unknowns, handle, pause };
}

test('pauses after failures double from one second to thirty, with full jitter', () => {
  const { clock, adapter, pause } = watch({}, 0.5);
  const pauses: (number | undefined)[] = [];
  for (let failure = 0; failure < 8; failure++) {
    adapter.last.onFailure('no network');
    const ms = pause();
    pauses.push(ms);
    clock.advance(ms || 0);
  }
  assert.deepEqual(pauses, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
});

test('the jitter reaches from nothing to all of the pause', () => {
  for (const [chance, expected] of [
    [0, 0],
    [0.999, 999],
  ] as const) {
    const { adapter, pause } = watch({}, chance);
    adapter.last.onFailure('no network');
    assert.equal(pause(), expected);
  }
});

test('a good answer ends the row of failures', () => {
  const { clock, adapter, pause } = watch();
  for (let failure = 0; failure < 4; failure++) {
    adapter.last.onFailure('no network');
    clock.advance(pause() || 0);
  }
  adapter.last.onAnswer(answer(200, document(1)));
  clock.advance(pause() || 0);
  adapter.last.onFailure('no network');
  assert.equal(pause(), 500);
});

test('an outage is told once, and once more after things were well', () => {
  const { clock, adapter, errors, handle, pause } = watch();
  const fail = () => {
    adapter.last.onFailure('no network');
    clock.advance(pause() || 0);
  };
  fail();
  fail();
  assert.deepEqual(
    errors.map(({ code, fatal }) => [code, fatal]),
    [['unreachable', false]],
  );
  adapter.last.onAnswer(answer(200, document(1)));
  clock.advance(pause() || 0);
  fail();
  assert.equal(errors.length, 2);
  handle.stop();
});

test('after trouble a long-poll asks for a quick answer, says that things are well, and is held again', () => {
  const told: string[] = [];
  const { clock, adapter, pause } = watch({
    transport: 'longpoll',
    onError: () => told.push('error'),
    onRecovery: () => told.push('recovery'),
  });
  const asked = () => adapter.last.url.replace(/.*status/, '');
  const go = () => clock.advance(pause() || 0);
  adapter.last.onAnswer(answer(200, document(1)));
  go();
  assert.equal(asked(), '?wait=25');
  adapter.last.onFailure('no network');
  go();
  assert.equal(asked(), '');
  adapter.last.onAnswer(answer(304));
  assert.deepEqual(told, ['error', 'recovery']);
  assert.equal(pause(), 0);
  go();
  assert.equal(asked(), '?wait=25');
});

test('held requests that are cut make it poll, however slow the quick answers between them are', () => {
  const { clock, adapter, pause, handle } = watch({ transport: ['longpoll', 'polling'] });
  adapter.last.onAnswer(answer(200, document(1)));
  clock.advance(0);
  clock.advance(30_000);
  adapter.last.onFailure('cut');
  clock.advance(pause() || 0);
  clock.advance(1_500);
  adapter.last.onAnswer(answer(304));
  clock.advance(0);
  clock.advance(30_000);
  assert.equal(handle.transport, 'longpoll');
  adapter.last.onFailure('cut');
  clock.advance(0);
  assert.equal(handle.transport, 'polling');
});

test('the recovery is told before the outcome that brings it, and whoever stops then hears no outcome', () => {
  for (const stops of [false, true]) {
    const told: string[] = [];
    const { clock, adapter, handle, pause } = watch({
      onError: () => told.push('error'),
      onRecovery: () => {
        told.push('recovery');
        if (stops) handle.stop();
      },
      onStatus: ({ status }) => told.push(status),
      onFinal: () => told.push('final'),
    });
    adapter.last.onFailure('no network');
    clock.advance(pause() || 0);
    adapter.last.onAnswer(answer(200, document(2, 'succeeded')));
    assert.deepEqual(told, ['error', 'recovery', ...(stops ? [] : ['succeeded', 'final'])]);
  }
});

test("the pace is the server's: X-Poll-Interval, and no less than Retry-After or a used-up RateLimit", () => {
  for (const [headers, expected] of [
    [{ 'x-poll-interval': '7' }, 7_000],
    [{}, 5_000],
    [{ 'x-poll-interval': '2', ratelimit: '"poll";r=0;t=9' }, 9_000],
    [{ 'x-poll-interval': '2', ratelimit: '"poll";r=3;t=9' }, 2_000],
    [{ 'x-poll-interval': '2', ratelimit: '"held";r=0;t=4, "poll";r=0;t=6' }, 6_000],
    [{ 'x-poll-interval': 'soon' }, 5_000],
  ] as const) {
    const { adapter, pause } = watch();
    adapter.last.onAnswer(answer(200, document(1), headers as Record<string, string>));
    assert.equal(pause(), expected, JSON.stringify(headers));
  }
});

test('however long or short a pause the server asks for, it lasts for an hour at most, and polls a second at least', () => {
  const monthAndMore = { 'x-poll-interval': '3000000', 'retry-after': '3000000', ratelimit: '"poll";r=0;t=3000000' };
  for (const [name, value] of Object.entries(monthAndMore)) {
    const status = name === 'retry-after' ? 429 : 200;
    const { clock, adapter, handle, pause } = watch({ giveUpAfter: Infinity }, 0);
    adapter.last.onAnswer(answer(status, document(1), { [name]: value }));
    assert.equal(pause(), HOUR, name);
    clock.advance(HOUR - 1);
    handle.pause();
    handle.resume();
    assert.equal(adapter.calls.length, name === 'x-poll-interval' ? 2 : 1, name);
    clock.advance(1);
    assert.equal(adapter.calls.length, 2, `${name}: it asks again`);
    handle.stop();
  }
  const { adapter, pause } = watch();
  adapter.last.onAnswer(answer(200, document(1), { 'x-poll-interval': '0.001' }));
  assert.equal(pause(), 1_000);
});

test('a stream that asks for a pause of months is opened anew after an hour', () => {
  const { clock, adapter, handle, pause } = watch({ transport: 'sse', giveUpAfter: Infinity }, 0);
  adapter.last.onChunk?.(new TextEncoder().encode('retry: 9999999999\n\n'));
  adapter.last.onAnswer(answer(200));
  assert.equal(pause(), HOUR);
  clock.advance(HOUR);
  assert.equal(adapter.calls.length, 2);
  handle.stop();
});

test('Retry-After is kept by 429 and 503, whatever the screen does, and spread by jitter', () => {
  for (const status of [429, 503]) {
    const { clock, adapter, handle, pause, errors } = watch({}, 0.5);
    adapter.last.onAnswer(answer(status, '', { 'retry-after': '20' }));
    assert.equal(pause(), 20_500);
    handle.pause();
    clock.advance(5_000);
    handle.resume();
    handle.refresh();
    assert.equal(adapter.calls.length, 1, 'not before its time');
    assert.equal(pause(), 15_000);
    clock.advance(15_000);
    assert.equal(adapter.calls.length, 2);
    assert.deepEqual(
      errors.map(({ code }) => code),
      status === 429 ? [] : ['unavailable'],
    );
    handle.stop();
  }
});

test('Retry-After is kept also by a callback that refreshes, and it is asked once when its time has come', () => {
  const { clock, adapter, handle, pause } = watch({ onError: () => handle.refresh() }, 0.5);
  adapter.last.onAnswer(answer(503, '', { 'retry-after': '20' }));
  assert.deepEqual([adapter.calls.length, clock.pending().length], [1, 2], 'one pause, one deadline');
  clock.advance(pause() || 0);
  clock.advance(5_000);
  assert.equal(adapter.calls.length, 2);
});

test('a Retry-After may be a date', (t) => {
  const { adapter, handle, pause } = watch();
  t.mock.method(Date, 'now', () => Date.parse('2026-11-20T10:00:00Z'));
  adapter.last.onAnswer(answer(503, '', { 'retry-after': 'Fri, 20 Nov 2026 10:00:12 GMT' }));
  assert.equal(pause(), 12_500);
  handle.stop();
});

test("setting this machine's clock, back or forward, changes neither the pace nor giveUpAfter", async (t) => {
  const timers: number[] = [];
  t.mock.method(globalThis, 'setTimeout', (_: unknown, ms: number) => timers.push(ms));
  const { now } = Date;
  for (const hours of [-24, 24]) {
    const { adapter, handle } = watch({ clock: systemClock });
    t.mock.method(Date, 'now', () => now() + hours * 3_600_000);
    timers.length = 0;
    adapter.last.onAnswer(answer(503, '', { 'retry-after': '20' }));
    handle.pause();
    handle.resume();
    handle.stop();
    const [retry = 0, deadline = 0, rest = 0] = timers;
    assert.ok(retry >= 20_000 && retry <= 21_000, `${retry}`);
    assert.ok(deadline > HALF_HOUR - 1_000 && deadline <= HALF_HOUR, `${deadline}`);
    assert.ok(rest > 19_000 && rest <= 20_000, `${rest}`);
  }
});

test('a request without an answer is given up, and its late answer is not heard', () => {
  const { clock, adapter, statuses, errors } = watch();
  const first = adapter.last;
  clock.advance(10_000);
  assert.equal(adapter.open, 0);
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['unreachable'],
  );
  first.onAnswer(answer(200, document(9, 'succeeded')));
  first.onFailure('aborted');
  assert.deepEqual(statuses, []);
  assert.deepEqual(errors.length, 1);
});

test('one request is open at a time, whatever happens to it and whatever the screen does', () => {
  const { clock, adapter, handle } = watch({ transport: 'longpoll', giveUpAfter: Infinity });
  const events = [
    () => adapter.last.onAnswer(answer(200, document(1), { 'x-poll-interval': '1' })),
    () => adapter.last.onFailure('cut'),
    () => clock.advance(700),
    () => handle.refresh(),
    () => clock.advance(1_300),
    () => adapter.life?.wake(),
    () => handle.pause(),
    () => handle.resume(),
    () => clock.advance(40_000),
    () => adapter.life?.hide(),
    () => adapter.life?.show(),
  ];
  // Eleven events, in ten orders; at each order's end nothing covers the screen.
  for (let step = 1; step < events.length; step++) {
    for (let at = 0; at < events.length; at++) events[(at * step) % events.length]?.();
    handle.resume();
    adapter.life?.show();
  }
  assert.ok(adapter.calls.length > 30, `${adapter.calls.length} requests`);
  assert.equal(adapter.mostOpen, 1);
});

test('older and equal versions are not told, in whichever order they come', () => {
  const { clock, adapter, statuses, finals, pause } = watch();
  for (const version of [2, 1, 2, 4, 3, 4]) {
    adapter.last.onAnswer(answer(200, document(version)));
    clock.advance(pause() || 0);
  }
  const last = adapter.last;
  last.onAnswer(answer(200, document(5, 'succeeded')));
  last.onAnswer(answer(200, document(5, 'succeeded')));
  last.onAnswer(answer(200, document(6, 'refunded')));
  assert.deepEqual(
    statuses.map(({ version }) => version),
    [2, 4, 5],
  );
  assert.deepEqual(
    finals.map(({ version }) => version),
    [5],
  );
  assert.deepEqual(clock.pending(), [], 'no timer outlives the watch');
});

test('giveUpAfter ends in "unknown", and refresh begins anew', async () => {
  const { clock, adapter, unknowns, errors, finals, handle } = watch({ giveUpAfter: 60_000, transport: 'longpoll' });
  adapter.last.onAnswer(answer(200, document(1)));
  clock.advance(0);
  const { final } = handle;
  clock.advance(60_000);
  assert.deepEqual(
    unknowns.map((last) => last?.status),
    ['pending'],
  );
  await assert.rejects(final, { code: 'unknown', fatal: true });
  assert.deepEqual(clock.pending(), []);
  assert.deepEqual(finals, []);
  assert.ok(
    errors.every(({ fatal }) => !fatal),
    'it is no error',
  );

  const asked = adapter.calls.length;
  handle.refresh();
  assert.equal(adapter.calls.length, asked + 1);
  adapter.last.onAnswer(answer(200, document(2, 'succeeded')));
  assert.equal((await handle.final).version, 2);
});

test('hidden time is no waiting time, and who comes back late is answered once before it is given up', () => {
  const { clock, adapter, unknowns, handle } = watch({ giveUpAfter: 60_000 });
  clock.advance(5_000);
  handle.pause();
  clock.advance(HALF_HOUR);
  assert.deepEqual(unknowns, []);
  handle.resume();
  adapter.last.onAnswer(answer(200, document(1)));
  clock.advance(54_000);
  assert.deepEqual(unknowns, []);
  clock.advance(1_000);
  assert.equal(unknowns.length, 1);
});

test('a callback that throws does not end the watch, and is not swallowed', () => {
  const { clock, adapter, finals } = watch({
    onStatus() {
      throw new Error('a mistake of the page');
    },
  });
  adapter.last.onAnswer(answer(200, document(1)));
  assert.throws(() => clock.advance(1), /a mistake of the page/);
  clock.advance(10_000);
  adapter.last.onAnswer(answer(200, document(2, 'failed')));
  assert.equal(finals.length, 1);
});

test('a callback that pauses, resumes or stops the watch while a failure is told is obeyed', () => {
  for (const [act, open, timers] of [
    ['pause', 0, 0],
    ['stop', 0, 0],
    ['resume', 1, 2],
  ] as const) {
    const watched = watch({
      onError() {
        watched.handle.pause();
        if (act !== 'pause') watched.handle[act]();
      },
    });
    watched.adapter.last.onFailure('no network');
    assert.equal(watched.adapter.open, open, act);
    assert.equal(watched.clock.pending().length, timers, act);
    watched.handle.stop();
  }
});

test('a socket that is told of its authentication after the stop leaves no heartbeat behind', () => {
  let events: SocketEvents | undefined;
  const sent: string[] = [];
  const scripted = new Scripted();
  const adapter: Adapter = {
    etags: true,
    streams: [],
    request: (call) => scripted.request(call),
    socket(_, given) {
      events = given;
      return { send: (text) => sent.push(text), close() {} };
    },
  };
  const { clock, handle } = watch({ transport: 'websocket', adapter });
  events?.onOpen();
  assert.equal(sent.length, 1);
  handle.stop();
  events?.onMessage('{"code":"200","success":true,"msgType":"auth_ack"}');
  assert.deepEqual(clock.pending(), []);
  clock.advance(HALF_HOUR);
  assert.equal(sent.length, 1);
});

test('a callback may stop the watch, and hears no more', () => {
  const watched = watch({
    onStatus() {
      watched.handle.stop();
    },
  });
  const { adapter, finals, clock } = watched;
  adapter.last.onAnswer(answer(200, document(2, 'succeeded')));
  assert.deepEqual(finals, []);
  assert.deepEqual(clock.pending(), []);
});

test('who stops the watch on hearing of the final document still has it by the promise', async () => {
  const watched = watch({ onStatus: () => watched.handle.stop() });
  watched.adapter.last.onAnswer(answer(200, document(2, 'succeeded')));
  assert.equal((await watched.handle.final).status, 'succeeded');
});

/** An environment that answers while it is being asked. */
class Prompt extends Scripted {
  constructor(private readonly given: () => Answer) {
    super();
  }

  override request(call: Call): () => void {
    const abort = super.request(call);
    this.last.onAnswer(this.given());
    return abort;
  }
}

test('an answer that is there at once is an answer, and the last one leaves nothing behind', () => {
  for (const transport of ['polling', 'longpoll'] as const) {
    const adapter = new Prompt(() => answer(200, document(2, 'succeeded')));
    const { clock, statuses, finals } = watch({ adapter, transport });
    assert.deepEqual([statuses.length, finals.length, adapter.open, clock.pending()], [1, 1, 0, []]);
    clock.advance(HALF_HOUR);
    assert.equal(adapter.calls.length, 1);
  }
});

test('after "unknown" and a refresh the screen hears that things are well, also when nothing is new', () => {
  for (const fails of [false, true]) {
    const told: string[] = [];
    const { clock, adapter, handle, pause } = watch({
      transport: 'longpoll',
      giveUpAfter: 60_000,
      onError: ({ code }) => told.push(code),
      onUnknown: () => told.push('unknown'),
      onRecovery: (last) => told.push(`recovery ${last?.version}`),
    });
    adapter.last.onAnswer(answer(200, document(1)));
    clock.advance(0);
    clock.advance(60_000);
    told.splice(0, told.indexOf('unknown'));
    handle.refresh();
    if (fails) {
      adapter.last.onFailure('no network');
      clock.advance(pause() || 0);
    }
    assert.ok(!adapter.last.url.includes('wait'), 'it asks for a quick answer');
    adapter.last.onAnswer(answer(304));
    assert.deepEqual(told, ['unknown', ...(fails ? ['unreachable'] : []), 'recovery 1']);
    clock.advance(0);
    assert.ok(adapter.last.url.includes('wait'));
    handle.stop();
  }
});
