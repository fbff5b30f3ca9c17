import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { SimulatedPage, startSimulator } from '../simulator';
import { Watching, type WatchingOptions } from '../watching';
import { FakeWeChat } from '../wx';
import { type Ask, type Environment, Payer } from './environment';

/**
 * Pages of a mini-program in miniprogram-simulate, with the package that WeChat's npm support gets. Each is on a phone of its
 * own, whose `wx` has real HTTP and sockets below.
 */
export const simulator: Environment = {
  name: 'the simulator',
  streams: ['websocket', 'sse'],
  hasPages: true,
  async open() {
    startSimulator(new FakeWeChat(), {});
  },
  async close() {},
  async watch(t, options) {
    return new SimulatedPayer(t, options);
  },
};

class SimulatedPayer extends Payer {
  private readonly weChat = new FakeWeChat();
  private readonly watching: Watching;
  private readonly page: SimulatedPage;

  constructor(t: TestContext, options: WatchingOptions) {
    super();
    this.watching = new Watching(options, (line) => {
      this.lines.push(line);
      this.page?.set(this.shown());
    });
    // The library looks for `wx` when a page is opened.
    Object.assign(globalThis, { wx: this.weChat.wx });
    this.page = SimulatedPage.watching(this.watching.options());
    this.page.set(this.shown());
    this.watching.follow(this.page.payment);
    t.after(() => this.page.close());
  }

  readonly ask: Ask = async (name, ...values) => {
    const answer = (this.watching[name] as (...values: unknown[]) => never)(...values);
    await Promise.resolve(); // promises are told a moment later
    if (this.page.isOpen) assert.equal(this.page.text, this.shown().shown, 'the page shows what it was told');
    return answer;
  };

  private shown() {
    return { shown: this.lines.join(', ') };
  }

  /** Paying covers the page and the app. */
  async hide(): Promise<void> {
    this.page.hide();
    this.weChat.hide();
  }

  async show(): Promise<void> {
    this.weChat.show();
    this.page.show();
  }

  async leave(): Promise<void> {
    this.page.close();
  }

  holds(): number {
    return this.weChat.inFlight + this.weChat.openSockets + this.weChat.listening();
  }
}
