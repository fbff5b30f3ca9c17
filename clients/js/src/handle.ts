import { tell } from './callbacks';
import { systemClock } from './clock';
import type { StatusDocument } from './document';
import { WatchError } from './errors';
import type { WatchOptions } from './options';
import type { TransportName } from './transports/transport';

/** A payment that is being watched. */
export interface PaymentWatch {
  /** The newest document; undefined before the first. */
  readonly document: StatusDocument | undefined;
  /** What is in use. */
  readonly transport: TransportName | undefined;
  /** The final document. Rejected with a `WatchError` when the watch ends without one; nobody has to catch that. */
  readonly final: Promise<StatusDocument>;
  /** Ends it, for good. Nothing is called after it. */
  stop(): void;
  /** Asks at once. After `onUnknown` it begins anew, and `final` is a new promise. */
  refresh(): void;
  /** For `onHide`: closes what is open, asks nothing. */
  pause(): void;
  /** For `onShow`: asks at once, if it was paused. */
  resume(): void;
}

/** Options that cannot work are told like everything else: by the callback and the promise, and once. */
export function refuse(options: WatchOptions, message: string): PaymentWatch {
  const error = new WatchError({ code: 'bad_options', message }, true);
  const final = Promise.reject(error);
  let stopped = false;
  final.catch(() => stopped || tell(options, 'onError', error, systemClock));
  const nothing = () => {};
  const stop = () => {
    stopped = true;
  };
  return { document: undefined, transport: undefined, final, stop, refresh: nothing, pause: nothing, resume: nothing };
}
