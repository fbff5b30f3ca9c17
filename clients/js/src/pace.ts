import type { Answer } from './adapters/adapter';

/** Whatever it names, in milliseconds: its least pace is a second. */
const LEAST_POLL = 1_000;

/** How long the server wants to be left alone, in milliseconds. */
export interface Pace {
  /** `X-Poll-Interval`: the pace of polls. */
  poll: number | undefined;
  /** `Retry-After`, and the time of a `RateLimit` that has nothing left: not before this. */
  rest: number;
}

export function readPace(answer: Answer): Pace {
  const poll = Number.parseFloat(answer.header('x-poll-interval') || '');
  const rest = Math.max(readRetryAfter(answer.header('retry-after')), readQuota(answer.header('ratelimit')));
  return { poll: poll > 0 ? Math.max(poll * 1000, LEAST_POLL) : undefined, rest };
}

function readRetryAfter(value: string | undefined): number {
  if (!value) return 0;
  const seconds = Number(value);
  return (Number.isNaN(seconds) ? Date.parse(value) - Date.now() : seconds * 1000) || 0;
}

/** Of `"poll";r=0;t=3, "held";r=5`: the longest time of those that have nothing left. */
function readQuota(value = ''): number {
  let rest = 0;
  for (const policy of value.split(',')) {
    const time = /;\s*t=(\d+)/.exec(policy);
    if (time && /;\s*r=0(;|\s|$)/.test(policy)) rest = Math.max(rest, Number(time[1]) * 1000);
  }
  return rest;
}
