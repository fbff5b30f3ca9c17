/** Time and chance, so that tests can hold both still. */
export interface Clock {
  /** Milliseconds since whenever: only how much goes by counts. */
  now(): number;
  /** Calls once, after `ms` milliseconds; returns what cancels it. */
  after(ms: number, call: () => void): () => void;
  /** 0 ≤ x < 1 */
  random(): number;
}

export const systemClock: Clock = {
  // The time of day may be set; mini-programs have no other, or a `performance` that has no clock.
  now: () => (typeof performance !== 'undefined' && 'now' in performance ? performance : Date).now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

/** What is longer, setTimeout takes for nothing at all; in milliseconds. */
const MAX_TIMER = 2 ** 31 - 1;

/** The clock, made safe. Set back, its time stands still, and goes on from there; no timer is too long. */
export function steady(clock: Clock): Clock {
  let last = clock.now();
  let time = 0;
  return {
    now() {
      const now = clock.now();
      time += Math.max(0, now - last);
      last = now;
      return time;
    },
    after: (ms, call) => clock.after(Math.min(ms, MAX_TIMER), call),
    random: () => clock.random(),
  };
}

/** Durations in milliseconds. The defaults fit mini-programs, browsers and payquery's own; they are rarely changed. */
export interface Timing {
  /** Seconds that a long-poll asks to be held. A mini-program's request dies at 60, so do most proxies' patience. */
  wait: number;
  /** How much longer than its wait a request may take. */
  answer: number;
  /** Pace of polls for which the server names none. */
  poll: number;
  /** A stream that says nothing for this long after its opening is held back by somebody on the way. */
  open: number;
  /** A stream that was good and says nothing for this long is dead. payquery's streams beat every 15 to 25 s. */
  silence: number;
  /** Own heartbeat over a WebSocket. */
  heartbeat: number;
  /** The first pause after a failure is drawn from 0 to this; each further one from twice as much. */
  backoff: number;
  backoffMax: number;
  /** A stream or held request that lives this long is no failure of its transport. */
  steady: number;
  /** `auto` tries a stream after this much waiting: most payments are over by then. */
  settle: number;
  /** How long a transport that failed is left alone; each further time twice as long. */
  rest: number;
}

export const defaultTiming: Timing = {
  wait: 25,
  answer: 10_000,
  poll: 5_000,
  open: 5_000,
  silence: 40_000,
  heartbeat: 15_000,
  backoff: 1_000,
  backoffMax: 30_000,
  steady: 45_000,
  settle: 20_000,
  rest: 60_000,
};

/** Full jitter: those who failed together do not come back together. */
export function jitter(clock: Clock, timing: Timing, before: number): number {
  return clock.random() * Math.min(timing.backoffMax, timing.backoff * 2 ** Math.min(before, 20));
}
