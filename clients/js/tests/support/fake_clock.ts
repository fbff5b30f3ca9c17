import type { Clock } from 'payquery-client';

interface Timer {
  at: number;
  call(): void;
}

const MAX_TIMER = 2 ** 31 - 1;

/** A clock that stands still until it is told to go on. Chance is always `chance`. */
export class FakeClock implements Clock {
  time = 0;
  /** How far what it shows was set forward; back, if it is below nothing. In milliseconds. */
  skew = 0;
  private timers: Timer[] = [];

  constructor(public chance = 0.5) {}

  now(): number {
    return this.time + this.skew;
  }

  after(ms: number, call: () => void): () => void {
    // setTimeout's own way with what is too long for it.
    const timer = { at: this.time + (ms > MAX_TIMER ? 1 : ms), call };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  random(): number {
    return this.chance;
  }

  /** Calls whatever becomes due, in order. */
  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const [next] = this.timers.filter(({ at }) => at <= end).sort((one, two) => one.at - two.at);
      if (!next) break;
      this.timers = this.timers.filter((other) => other !== next);
      this.time = next.at;
      next.call();
    }
    this.time = end;
  }

  /** Milliseconds until each timer, the next first. */
  pending(): number[] {
    return this.timers.map(({ at }) => at - this.time).sort((one, two) => one - two);
  }
}
