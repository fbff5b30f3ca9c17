import type { Adapter } from './adapters/adapter';
import { detectAdapter } from './adapters/detection';
import { type Clock, defaultTiming, steady, systemClock, type Timing } from './clock';
import type { StatusDocument } from './document';
import type { WatchError } from './errors';
import { LEVEL } from './ladder';
import type { TransportName } from './transports/transport';

export interface WatchOptions {
  /** Where payquery is: `https://pay.example.com`. In a browser a path, or `''`, means the page's own host. */
  baseUrl: string;
  orderId: string;
  /** Opens this order's status, read-only. Never the merchant's API key. */
  clientSecret: string;

  /** Each new version, each once, in order. */
  onStatus?(document: StatusDocument): void;
  /** The payment's outcome, once. Nothing is called after it. */
  onFinal?(document: StatusDocument): void;
  /**
   * Something is wrong, but never "the payment failed". With `fatal` the watch has ended; otherwise it goes on by itself,
   * and says this once until things are well again. Without `onError` the console hears of what is fatal.
   */
  onError?(error: WatchError): void;
  /** After an error that was not fatal, or `onUnknown`: things are well again. Take the hint off the screen. */
  onRecovery?(last: StatusDocument | undefined): void;
  /** `giveUpAfter` is over and the outcome is unknown. Offer "check again", which is `refresh()`; never "pay again". */
  onUnknown?(last: StatusDocument | undefined): void;
  /** Which transport is in use from now on. */
  onTransport?(name: TransportName): void;

  /**
   * `auto`, the default, begins with long-polls, steps down and up, and takes a stream for a payer who waits for long.
   * A list is a ladder of one's own: it begins with the first.
   */
  transport?: 'auto' | TransportName | readonly TransportName[];
  /** Milliseconds on the screen until `onUnknown`; hidden time does not count. 30 minutes, an order's own default. */
  giveUpAfter?: number;
  /** Whether nothing is asked while the page or app is hidden. True. */
  pauseWhenHidden?: boolean;
  /** The environment; detected if not given. */
  adapter?: Adapter;
  timing?: Partial<Timing>;
  clock?: Clock;
}

/** The options with all that was left out. */
export interface Settings {
  readonly options: WatchOptions;
  readonly adapter: Adapter;
  readonly clock: Clock;
  readonly timing: Timing;
  readonly transports: [TransportName, ...TransportName[]];
  readonly orderId: string;
  readonly clientSecret: string;
  readonly statusUrl: string;
  readonly socketUrl: string;
  readonly giveUpAfter: number;
}

const GIVE_UP_AFTER = 30 * 60_000;

/** Settings, or a sentence that says what is wrong with the options. */
export function readOptions(options: WatchOptions): Settings | string {
  // `withPayment` with an async function, for example.
  if ('then' in options) return 'options must not be a promise';
  const adapter = options.adapter || detectAdapter();
  const given = options.baseUrl;
  const base = ((/^(\/(?!\/)|$)/.test(given) && adapter.origin) || '') + String(given).replace(/\/+$/, '');
  if (!/^https?:\/\/[^/?#\s@]+(\/[^?#\s]*)?$/.test(base)) {
    return `baseUrl must be an http(s) address without ? and #, not ${JSON.stringify(given)}`;
  }
  const { orderId, clientSecret } = options;
  // An API key would work, and be in everybody's hands; what no header can hold would throw.
  if (!orderId || !clientSecret || !/^(?!pqk)[!-~]+$/.test(clientSecret)) {
    return 'orderId and clientSecret are needed, no API key, only ASCII';
  }

  const { transport = 'auto' } = options;
  const wanted =
    transport === 'auto'
      ? (['longpoll', ...adapter.streams, 'polling'] as const)
      : ([] as TransportName[]).concat(transport);
  const [first, ...others] = wanted.filter((name) => name !== 'websocket' || adapter.socket);
  if (!first || !wanted.every((name) => LEVEL[name] >= 0)) return `there is no transport "${wanted}" here`;
  return {
    options,
    adapter,
    clock: steady(options.clock || systemClock),
    timing: { ...defaultTiming, ...options.timing },
    transports: [first, ...others],
    orderId: String(orderId),
    clientSecret,
    statusUrl: `${base}/v1/orders/${encodeURIComponent(orderId)}/status`,
    socketUrl: `${base.replace(/^http/, 'ws')}/v1/ws`,
    giveUpAfter: options.giveUpAfter || GIVE_UP_AFTER,
  };
}
