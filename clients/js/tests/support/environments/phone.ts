import type { TestContext } from 'node:test';
import { miniAdapter, watchPayment } from 'payquery-client';
import { Watching, type WatchingOptions } from '../watching';
import { FakeWeChat } from '../wx';
import { type Ask, type Environment, Payer } from './environment';

/** A mini-program that knows nothing of its pages: what hides and shows is the app alone. */
export const phone: Environment = {
  name: 'an app without pages',
  streams: ['websocket', 'sse'],
  hasPages: false,
  async open() {},
  async close() {},
  async watch(t, options) {
    return new PhonePayer(t, options);
  },
};

class PhonePayer extends Payer {
  private readonly weChat = new FakeWeChat();
  private readonly watching: Watching;

  constructor(t: TestContext, options: WatchingOptions) {
    super();
    this.watching = new Watching(options, (line) => this.lines.push(line));
    const adapter = miniAdapter(this.weChat.wx);
    this.watching.follow(watchPayment({ ...this.watching.options(), adapter }));
    t.after(() => this.watching.call('stop'));
  }

  readonly ask: Ask = async (name, ...values) => (this.watching[name] as (...values: unknown[]) => never)(...values);

  async hide(): Promise<void> {
    this.weChat.hide();
  }

  async show(): Promise<void> {
    this.weChat.show();
  }

  leave(): Promise<void> {
    return this.ask('call', 'stop');
  }

  holds(): number {
    return this.weChat.inFlight + this.weChat.openSockets + this.weChat.listening();
  }
}
