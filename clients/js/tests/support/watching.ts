import type { Clock, PaymentWatch, Timing, TransportName, WatchOptions } from 'payquery-client';
import { FakeClock } from './fake_clock';

/** What a watch is started with; it can be sent into a browser's page. */
export interface WatchingOptions {
  baseUrl: string;
  orderId: string;
  clientSecret: string;
  transport?: 'auto' | TransportName | readonly TransportName[];
  timing?: Partial<Timing>;
  giveUpAfter?: number;
  pauseWhenHidden?: boolean;
  /** The clock goes on only when it is told to, by `advance`. */
  standsStill?: boolean;
}

/** The real time. It knows how many of its timers run, and how often chance was asked: once for each failure. */
class CountedClock implements Clock {
  /** When each is due. */
  readonly timers = new Map<unknown, number>();
  draws = 0;

  now(): number {
    return Date.now();
  }

  after(ms: number, call: () => void): () => void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      call();
    }, ms);
    this.timers.set(timer, this.now() + ms);
    return () => {
      this.timers.delete(timer);
      clearTimeout(timer);
    };
  }

  random(): number {
    this.draws++;
    return 0.5;
  }
}

/**
 * A watch as a page has it. It runs where the page is: in Node, in a browser's page, in the simulator. What the page hears it
 * tells line by line: `on longpoll`, `v1 pending`, `error unreachable`, `recovered`, `fatal gone`, `unknown`, `final succeeded`,
 * and what became of the promise: `promise succeeded`.
 */
export class Watching {
  private readonly clock: CountedClock | FakeClock;
  private watch: PaymentWatch | undefined;
  private promise: PaymentWatch['final'] | undefined;

  constructor(
    private readonly wanted: WatchingOptions,
    private readonly tell: (line: string) => void,
  ) {
    this.clock = wanted.standsStill ? new FakeClock(0.5) : new CountedClock();
  }

  /** The library's options. */
  options(): WatchOptions {
    const { tell } = this;
    return {
      ...this.wanted,
      clock: this.clock,
      onStatus: ({ version, status }) => tell(`v${version} ${status}`),
      onFinal: ({ status }) => tell(`final ${status}`),
      onError: ({ code, fatal }) => tell(`${fatal ? 'fatal' : 'error'} ${code}`),
      onRecovery: () => tell('recovered'),
      onUnknown: () => tell('unknown'),
      onTransport: (name) => tell(`on ${name}`),
    };
  }

  follow(watch: PaymentWatch | undefined): this {
    this.watch = watch;
    const promise = watch?.final;
    if (promise && promise !== this.promise) {
      this.promise = promise;
      promise.then(
        ({ status }) => this.tell(`promise ${status}`),
        ({ code }) => this.tell(`promise ${code}`),
      );
    }
    return this;
  }

  call(name: 'stop' | 'refresh' | 'pause' | 'resume'): void {
    this.watch?.[name]();
    this.follow(this.watch);
  }

  timers(): number {
    return this.pending().length;
  }

  /** How many failures were followed by a pause. */
  failures(): number {
    return this.clock instanceof CountedClock ? this.clock.draws : 0;
  }

  /** Milliseconds until each timer, the next first. */
  pending(): number[] {
    const { clock } = this;
    if (clock instanceof FakeClock) return clock.pending();
    return Array.from(clock.timers.values(), (at) => at - clock.now()).sort((one, two) => one - two);
  }

  now(): number {
    return this.clock.now();
  }

  /** Sets the clock of whoever holds the phone, by so many milliseconds. */
  setClock(ms: number): void {
    if (this.clock instanceof FakeClock) this.clock.skew += ms;
  }

  advance(ms: number): void {
    if (this.clock instanceof FakeClock) this.clock.advance(ms);
  }
}
