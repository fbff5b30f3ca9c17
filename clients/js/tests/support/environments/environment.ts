import type { TestContext } from 'node:test';
import type { TransportName } from 'payquery-client';
import { until } from '../waiting';
import type { Watching, WatchingOptions } from '../watching';

/** Where the library runs. */
export interface Environment {
  readonly name: string;
  /** The streams that `auto` takes here, the better first. */
  readonly streams: readonly [TransportName, TransportName];
  /** There are pages that can be left. In Node there are none: who is done calls `stop`. */
  readonly hasPages: boolean;
  open(): Promise<void>;
  close(): Promise<void>;
  /** A page that watches; it is closed when the test is over. */
  watch(t: TestContext, options: WatchingOptions): Promise<Payer>;
}

type Controls = Pick<Watching, 'call' | 'timers' | 'failures' | 'pending' | 'now' | 'advance' | 'setClock'>;
export type Ask = <Name extends keyof Controls>(
  name: Name,
  ...values: Parameters<Controls[Name]>
) => Promise<ReturnType<Controls[Name]>>;

/** Somebody who looks at a page that watches a payment. */
export abstract class Payer {
  /** All that the page was told, in order; see `Watching`. */
  readonly lines: string[] = [];
  /** The page is no more, so that it cannot be asked. */
  isGone = false;

  /** Calls a function of the page's `Watching`. What was told before is in `lines` then. */
  abstract readonly ask: Ask;
  /** The page, or the app, is covered. */
  abstract hide(): Promise<void>;
  abstract show(): Promise<void>;
  abstract leave(): Promise<void>;
  /** Connections and listeners of the environment that the library holds. */
  abstract holds(): number;

  /** All but the transports and the promise. */
  heard(): string[] {
    return this.lines.filter((line) => !/^(on|promise) /.test(line));
  }

  transports(): string[] {
    return this.rests('on ');
  }

  promises(): string[] {
    return this.rests('promise ');
  }

  versions(): number[] {
    return this.lines.filter((line) => /^v\d/.test(line)).map((line) => Number.parseInt(line.slice(1), 10));
  }

  async hears(line: string): Promise<void> {
    const heard = () => this.lines.some((one) => one === line || one.startsWith(`${line} `));
    await until(`the payer hears "${line}"`, heard).catch((error: Error) => {
      throw new Error(`${error.message}; heard so far: ${this.lines.join(', ')}`);
    });
  }

  private rests(start: string): string[] {
    return this.lines.filter((line) => line.startsWith(start)).map((line) => line.slice(start.length));
  }
}
