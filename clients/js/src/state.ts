import type { PaymentWatch, StatusDocument, WatchError, WatchOptions } from 'payquery-client';
import { watchPayment } from 'payquery-client';

/** What a screen shows of a payment. */
export interface PaymentState {
  document: StatusDocument | undefined;
  /** Fatal or not; gone when things are well again. */
  error: WatchError | undefined;
  /** `giveUpAfter` is over: offer "check again". */
  unknown: boolean;
  refresh(): void;
  /** The screen is covered: nothing is asked until `resume`. */
  pause(): void;
  resume(): void;
}

const nothing = () => {};

/** Before anything is watched. */
export const idle: PaymentState = {
  document: undefined,
  error: undefined,
  unknown: false,
  refresh: nothing,
  pause: nothing,
  resume: nothing,
};

/** What makes a watch another one. New callbacks are none: the newest are the ones that are called. */
export const identity = (options: WatchOptions | undefined) =>
  options && [options.baseUrl, options.orderId, options.clientSecret].join('\n');

/** Watches, and hands each new state to `set`. `latest` returns the options as they are now. */
export function followPayment(
  options: WatchOptions,
  latest: () => WatchOptions | undefined,
  set: (state: PaymentState) => void,
): PaymentWatch {
  let state: PaymentState = {
    ...idle,
    refresh() {
      change({ unknown: false });
      watch.refresh();
    },
    pause: () => watch.pause(),
    resume: () => watch.resume(),
  };
  const change = (news: Partial<PaymentState>) => {
    state = { ...state, ...news };
    set(state);
  };
  const watch = watchPayment({
    ...options,
    onFinal: (document) => latest()?.onFinal?.(document),
    onTransport: (name) => latest()?.onTransport?.(name),
    onStatus(document) {
      change({ document });
      latest()?.onStatus?.(document);
    },
    onError(error) {
      change({ error });
      latest()?.onError?.(error);
    },
    onRecovery(last) {
      change({ error: undefined });
      latest()?.onRecovery?.(last);
    },
    onUnknown(last) {
      change({ unknown: true });
      latest()?.onUnknown?.(last);
    },
  });
  set(state);
  return watch;
}
