import type { TestContext } from 'node:test';
import {
  type PaymentWatch,
  type StatusDocument,
  type TransportName,
  type WatchError,
  type WatchOptions,
  watchPayment,
} from 'payquery-client';
import type { Order } from './service';
import { until } from './waiting';

/**
 * Quick, so that tests of what takes minutes take seconds. What decides that something is broken is as patient as ever: other
 * programs may have the processors for a while. A test of that has an impatience of its own.
 */
export const QUICK = {
  wait: 2,
  poll: 200,
  backoff: 50,
  backoffMax: 200,
  rest: 1_000,
  settle: 500,
};

/** A watch, and all that it told. It is stopped when the test is over. */
export class Recorder {
  readonly statuses: StatusDocument[] = [];
  readonly finals: StatusDocument[] = [];
  readonly errors: WatchError[] = [];
  readonly unknowns: (StatusDocument | undefined)[] = [];
  readonly transports: TransportName[] = [];
  recoveries = 0;
  readonly watch: PaymentWatch;

  constructor(t: TestContext, baseUrl: string, order: Order, options: Partial<WatchOptions> = {}) {
    this.watch = watchPayment({
      baseUrl,
      orderId: order.id,
      clientSecret: order.client_secret,
      timing: QUICK,
      onStatus: (document) => this.statuses.push(document),
      onFinal: (document) => this.finals.push(document),
      onError: (error) => this.errors.push(error),
      onRecovery: () => {
        this.recoveries++;
      },
      onUnknown: (last) => this.unknowns.push(last),
      onTransport: (name) => this.transports.push(name),
      ...options,
    });
    t.after(() => this.watch.stop());
  }

  versions(): number[] {
    return this.statuses.map(({ version }) => version);
  }

  codes(): string[] {
    return this.errors.map(({ code }) => code);
  }

  async seen(version: number): Promise<void> {
    await until(`version ${version} is seen`, () => this.versions().includes(version));
  }

  async ended(): Promise<void> {
    await until('the payment is final', () => this.finals.length);
  }
}
