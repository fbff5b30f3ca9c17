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
}

/** Watches, and hands each new state to `set`. */
export function followPayment(options: WatchOptions, set: (state: PaymentState) => void): PaymentWatch {
  let state: PaymentState = {
    document: undefined,
    error: undefined,
    unknown: false,
    refresh() {
      change({ unknown: false });
      watch.refresh();
    },
  };
  const change = (news: Partial<PaymentState>) => {
    state = { ...state, ...news };
    set(state);
  };
  const watch = watchPayment({
    ...options,
    onStatus(document) {
      change({ document });
      options.onStatus?.(document);
    },
    onError(error) {
      change({ error });
      options.onError?.(error);
    },
    onRecovery(last) {
      change({ error: undefined });
      options.onRecovery?.(last);
    },
    onUnknown(last) {
      change({ unknown: true });
      options.onUnknown?.(last);
    },
  });
  set(state);
  return watch;
}
