import type { TestContext } from 'node:test';
import { watchPayment, webAdapter } from 'payquery-client';
import { WebSocket } from 'ws';
import { Watching, type WatchingOptions } from '../watching';
import { type Ask, type Environment, Payer } from './environment';

/** A program in Node, as a backend or a test has it. What covers its screen says `pause` and `resume`. */
export const node: Environment = {
  name: 'Node',
  streams: ['sse', 'websocket'],
  hasPages: false,
  async open() {},
  async close() {},
  async watch(t, options) {
    return new NodePayer(t, options);
  },
};

class NodePayer extends Payer {
  private readonly watching: Watching;

  constructor(t: TestContext, options: WatchingOptions) {
    super();
    this.watching = new Watching(options, (line) => this.lines.push(line));
    // Node 20 has no WebSocket of its own.
    this.watching.follow(watchPayment({ ...this.watching.options(), adapter: webAdapter({ WebSocket }) }));
    t.after(() => this.watching.call('stop'));
  }

  readonly ask: Ask = async (name, ...values) => {
    const answer = (this.watching[name] as (...values: unknown[]) => never)(...values);
    await Promise.resolve(); // promises are told a moment later
    return answer;
  };

  hide(): Promise<void> {
    return this.ask('call', 'pause');
  }

  show(): Promise<void> {
    return this.ask('call', 'resume');
  }

  leave(): Promise<void> {
    return this.ask('call', 'stop');
  }

  holds(): number {
    return 0; // the proxy sees whatever is open
  }
}
