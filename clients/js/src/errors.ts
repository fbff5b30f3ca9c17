/** What went wrong. `unknown` and `stopped` are no errors of anybody: they say how a watch ended without an answer. */
export type WatchErrorCode =
  /** No answer: no network, a wrong host, a refused certificate, a domain that the mini-program may not call. */
  | 'unreachable'
  /** An answer that is none of payquery's: an HTML page, another order's document. */
  | 'bad_answer'
  /** payquery, or a proxy before it, cannot answer just now (5xx). */
  | 'unavailable'
  /** The client secret is missing (401). */
  | 'unauthorized'
  /** No such order, or the secret does not open it (404); payquery does not tell which. */
  | 'order_not_found'
  /** The order is gone (410). */
  | 'gone'
  /** There is no payquery at `baseUrl`: a 404 that is not payquery's. */
  | 'no_service'
  /** payquery refuses the request as it stands: an `orderId` that is none. */
  | 'refused'
  /** The options cannot work. */
  | 'bad_options'
  /** `giveUpAfter` is over. The payment may have gone through or not: ask again. */
  | 'unknown'
  /** `stop()` was called. */
  | 'stopped';

export interface Failure {
  code: WatchErrorCode;
  message: string;
  /** HTTP status, if there was an answer. */
  status?: number | undefined;
  /** payquery's id of the request, to be found in its logs. */
  requestId?: string | undefined;
}

/**
 * What `onError` gets, and what `final` is rejected with. It never says that a payment failed: that is a status.
 */
export class WatchError extends Error {
  readonly code: WatchErrorCode;
  /** The watch has ended. Otherwise it goes on by itself, and the error is only a hint for the screen. */
  readonly fatal: boolean;
  readonly status: number | undefined;
  readonly requestId: string | undefined;

  constructor(failure: Failure, fatal: boolean) {
    super(failure.message);
    this.name = 'WatchError';
    this.code = failure.code;
    this.fatal = fatal;
    this.status = failure.status;
    this.requestId = failure.requestId;
  }
}
