import type { Adapter, Answer } from '../adapters/adapter';
import type { Clock, Timing } from '../clock';
import { parseJson } from '../document';
import type { Failure } from '../errors';
import { readPace } from '../pace';

export type TransportName = 'websocket' | 'sse' | 'longpoll' | 'polling';

/** How one session of a transport ended. */
export type Ending =
  /** It was answered, `held` if it had asked for that; come again after `delay`, and by no means before `rest`. */
  | { kind: 'answered'; delay: number; rest: number; held: boolean }
  /** A stream that had worked is over; come again, not before `delay`. */
  | { kind: 'over'; delay: number }
  /** The server asks to be left alone for `delay`. That says nothing of the transport, nor of the payment. */
  | { kind: 'busy'; delay: number; failure?: Failure }
  /** It did not work. */
  | { kind: 'broken'; failure: Failure }
  /** It will never work: to ask again is of no use. */
  | { kind: 'refused'; failure: Failure };

/** What the watch lends to a session. A session that has ended, or was closed, can say what it likes: nobody listens. */
export interface Port {
  readonly adapter: Adapter;
  readonly clock: Clock;
  readonly timing: Timing;
  readonly orderId: string;
  readonly clientSecret: string;
  readonly statusUrl: string;
  readonly socketUrl: string;
  /** The newest version that is known; 0 before the first. */
  version(): number;
  /** The screen says that something is wrong: it should hear at once when all is well again. */
  troubled(): boolean;
  /** Hands in what should be a document; false if it is none. */
  offer(value: unknown): boolean;
  /** The session works: there was an answer, or a sign of life. */
  prove(): void;
  /** (Re)sets the watchdog: fails with `message` if it is not set again within `ms`. */
  arm(ms: number, message: string): void;
  /** Ends as `over` what has worked, as `broken` what has not. */
  fail(message: string): void;
  end(ending: Ending): void;
}

/** Opens one session; returns what closes it. */
export type Transport = (port: Port) => () => void;

export const authorization = (port: Port) => ({ Authorization: `Bearer ${port.clientSecret}` });

/** What an answer means that is neither the document nor "nothing new". */
export function judgeAnswer(port: Port, answer: Answer, body = answer.body): Ending {
  const { status } = answer;
  const problem = Object(parseJson(body)) as { code?: unknown; detail?: unknown; title?: unknown };
  const ours = typeof problem.code === 'string';
  const failure = (code: Failure['code'], message: string): Failure => ({
    code,
    message: (ours && String(problem.detail || problem.title)) || `${message} (HTTP ${status})`,
    status,
    requestId: answer.header('x-request-id'),
  });
  const refused = (code: Failure['code'], message: string): Ending => ({
    kind: 'refused',
    failure: failure(code, message),
  });

  const { rest } = readPace(answer);
  if (status === 429) return { kind: 'busy', delay: rest || port.timing.poll };
  if (status === 503 && rest) return { kind: 'busy', delay: rest, failure: failure('unavailable', 'busy') };
  if (status >= 500) return { kind: 'broken', failure: failure('unavailable', 'cannot answer') };
  if (status === 401) return refused('unauthorized', 'client secret missing');
  if (status === 410) return refused('gone', 'gone');
  if (status === 404 && problem.code === 'order_not_found') {
    return refused('order_not_found', 'no such order with this client secret');
  }
  // A balancer may say 404 for a moment, while the service behind it is exchanged: but not of one that never answered.
  if (status === 404 && !port.version()) return refused('no_service', `there is no payquery at ${port.statusUrl}`);
  if (status < 500 && status >= 400 && status !== 408 && ours) return refused('refused', 'refused');
  return { kind: 'broken', failure: failure('bad_answer', 'no answer of payquery') };
}
