import { type CallbackName, type CallbackValue, tell } from './callbacks';
import { jitter } from './clock';
import { readDocument, type StatusDocument } from './document';
import { type Failure, WatchError } from './errors';
import { type PaymentWatch, refuse } from './handle';
import { Ladder } from './ladder';
import { readOptions, type Settings, type WatchOptions } from './options';
import { openSession, type SessionEvents } from './session';
import type { Ending, TransportName } from './transports/transport';

/** A session that lived this long ends a row of failures, in milliseconds. */
const GOOD_LIFE = 10_000;
/** A session this young is asking already: a refresh has nothing to add. In milliseconds. */
const YOUNG = 1_000;
/** However long the server asks for: a payer waits. In milliseconds. */
const MAX_DELAY = 3_600_000;

/** Watches one payment until it is final. It begins at once. */
export function watchPayment(options: WatchOptions): PaymentWatch {
  const given = Object(options) as WatchOptions;
  const settings = readOptions(given);
  return typeof settings === 'string' ? refuse(given, settings) : new Watch(settings);
}

class Watch implements PaymentWatch {
  document: StatusDocument | undefined;
  transport: TransportName | undefined;
  final!: Promise<StatusDocument>;

  private resolve!: (document: StatusDocument) => void;
  private reject!: (error: WatchError) => void;
  private ended: 'unknown' | 'for good' | undefined;
  /** What keeps it from asking: the page is covered, the app is in the background. */
  private readonly covers = new Set<'page' | 'app'>();
  private readonly ladder: Ladder;
  private closeSession: (() => void) | undefined;
  private openedAt = 0;
  private stopRetry = () => {};
  private stopDeadline = () => {};
  private stopLife = () => {};
  private running = false;
  /** Of `giveUpAfter`, in milliseconds, as it was when it began to run. */
  private timeLeft = 0;
  private runningSince = 0;
  private failures = 0;
  /** What the screen shows until it hears that things are well again. */
  private trouble: 'error' | 'unknown' | undefined;
  /** The server wants to be left alone until then, whatever the screen does. */
  private notBefore = 0;

  constructor(private readonly settings: Settings) {
    this.ladder = new Ladder(settings.transports, settings.clock, settings.timing);
    this.begin();
  }

  stop(): void {
    this.end({ code: 'stopped', message: 'the watch was stopped' });
    this.ended = 'for good';
  }

  refresh(): void {
    if (this.ended === 'unknown') {
      this.ended = undefined;
      this.begin();
    } else if (!this.closeSession || this.now() - this.openedAt >= YOUNG) {
      this.open();
    }
  }

  pause(): void {
    this.cover('page');
  }

  resume(): void {
    this.uncover('page');
  }

  private now(): number {
    return this.settings.clock.now();
  }

  private version(): number {
    return this.document?.version || 0;
  }

  private begin(): void {
    const { adapter, giveUpAfter, options } = this.settings;
    this.final = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.final.catch(() => {}); // who does not use the promise need not catch
    this.timeLeft = giveUpAfter;
    if (adapter.live) {
      this.stopLife = adapter.live({
        hide: () => options.pauseWhenHidden !== false && this.cover('app'),
        show: () => (this.covers.has('app') ? this.uncover('app') : this.refresh()),
        wake: () => this.refresh(),
      });
    }
    this.run();
  }

  private cover(by: 'page' | 'app'): void {
    this.covers.add(by);
    if (this.running) this.rest();
  }

  private uncover(by: 'page' | 'app'): void {
    if (this.covers.delete(by) && !this.ended) this.run();
  }

  /** From rest, or from the beginning. */
  private run(): void {
    if (this.covers.size) return;
    this.running = true;
    this.failures = 0;
    this.ladder.begin();
    this.runningSince = this.now();
    this.stopDeadline = this.settings.clock.after(this.timeLeft, () => this.giveUp());
    this.open();
  }

  /** Closes what is open and lets no time run. */
  private rest(): void {
    this.running = false;
    this.close();
    this.stopDeadline();
    // Who comes back after the last second still gets an answer: the payment may have gone through meanwhile.
    this.timeLeft = Math.max(this.timeLeft - (this.now() - this.runningSince), GOOD_LIFE);
  }

  private close(): void {
    this.stopRetry();
    this.closeSession?.();
    this.closeSession = undefined;
  }

  private open(): void {
    if (!this.running) return;
    this.close();
    if (this.notBefore > this.now()) return this.later(this.notBefore - this.now());
    const name = this.ladder.current;
    if (name !== this.transport) {
      this.transport = name;
      this.tell('onTransport', name);
      if (!this.running) return; // the callback stopped or paused it
    }
    this.openedAt = this.now();
    const events: SessionEvents = {
      version: () => this.version(),
      troubled: () => !!this.trouble,
      offer: (value) => this.offer(value),
      onGood: () => this.recover(),
      onEnd: (ending, lived) => this.proceed(ending, lived),
    };
    openSession(this.settings, name, events, (close) => {
      this.closeSession = close;
    });
  }

  private later(delay: number): void {
    this.stopRetry(); // a callback may have asked for one already
    this.stopRetry = this.settings.clock.after(delay, () => this.open());
  }

  /** The one gate: only what is newer comes through, from whichever transport, and after the final one nothing. */
  private offer(value: unknown): boolean {
    const document = readDocument(value, this.settings.orderId);
    if (!document) return false;
    this.recover(); // first, since after the final one nothing is told
    if (this.ended) return true;
    if (document.version <= this.version()) return true;
    this.document = document;
    if (document.final) this.resolve(document); // first, since whoever stops it on hearing of this has his outcome
    this.tell('onStatus', document);
    if (document.final && !this.ended) {
      this.finish();
      this.tell('onFinal', document);
    }
    return true;
  }

  /** A session has ended: what next? */
  private proceed(ending: Ending, lived: number): void {
    this.closeSession = undefined;
    const { clock, timing } = this.settings;
    const { kind } = ending;
    if (ending.kind === 'refused') return this.end(ending.failure);
    const steppedDown = this.ladder.learn(ending, lived);
    const asked = Math.min('delay' in ending ? ending.delay : 0, MAX_DELAY);
    if (ending.kind === 'answered') {
      this.failures = 0;
      this.notBefore = this.now() + Math.min(ending.rest, asked);
      return this.later(asked);
    }
    if (kind === 'over' && lived >= GOOD_LIFE) this.failures = 0;
    if (kind === 'busy') this.notBefore = this.now() + asked;
    if ('failure' in ending && !steppedDown) {
      this.complain(ending.failure);
      if (!this.running || this.closeSession) return; // the callback has decided what is next
    }
    // A step down is no failure yet, and needs no pause: what is to come is not what has failed.
    const pause = steppedDown ? 0 : jitter(clock, timing, this.failures++);
    this.later(asked + pause);
  }

  private complain(failure: Failure | undefined): void {
    if (!failure || this.trouble === 'error') return;
    this.trouble = 'error';
    this.tell('onError', new WatchError(failure, false));
  }

  private recover(): void {
    if (!this.trouble) return;
    this.trouble = undefined;
    this.tell('onRecovery', this.document);
  }

  private giveUp(): void {
    this.end({ code: 'unknown', message: 'outcome unknown: ask again, do not pay again' });
  }

  /** Ends without an outcome. */
  private end(failure: Failure): void {
    if (this.ended) return;
    const error = new WatchError(failure, true);
    this.finish();
    this.reject(error);
    if (failure.code === 'unknown') {
      this.ended = this.trouble = 'unknown';
      this.tell('onUnknown', this.document);
    } else if (failure.code !== 'stopped') {
      this.tell('onError', error);
    }
  }

  private finish(): void {
    this.ended = 'for good';
    this.running = false;
    this.close();
    this.stopDeadline();
    this.stopLife();
  }

  private tell<Name extends CallbackName>(name: Name, value: CallbackValue<Name>): void {
    tell(this.settings.options, name, value, this.settings.clock);
  }
}
