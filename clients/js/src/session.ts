import type { Settings } from './options';
import { longpoll, polling } from './transports/poll';
import { sse } from './transports/sse';
import type { Ending, Port, Transport, TransportName } from './transports/transport';
import { websocket } from './transports/websocket';

const TRANSPORTS: Record<TransportName, Transport> = { websocket, sse, longpoll, polling };

export interface SessionEvents {
  version(): number;
  troubled(): boolean;
  offer(value: unknown): boolean;
  /** There was an answer, or a sign of life, of payquery's own. */
  onGood(): void;
  /** Called once at most, never before `openSession` has returned, and never after a close. */
  onEnd(ending: Ending, lived: number): void;
}

/**
 * One session of one transport, with its watchdog. Whatever the transport or the environment says after its end or
 * after the close falls on deaf ears: this is what keeps late answers away.
 *
 * @param keep is given what closes it, before anything is asked: the answer may be there at once, and be the last
 */
export function openSession(
  settings: Settings,
  name: TransportName,
  events: SessionEvents,
  keep: (close: () => void) => void,
): void {
  const { clock } = settings;
  const begun = clock.now();
  let live = true;
  let opening = true;
  let proven = false;
  let stopWatchdog = () => {};
  let closeTransport = () => {};

  const close = () => {
    if (!live) return;
    live = false;
    stopWatchdog();
    closeTransport();
  };
  const end = (ending: Ending) => {
    if (!live) return;
    // Some environments fail while they are still being called.
    if (opening) {
      clock.after(0, () => end(ending));
      return;
    }
    close();
    events.onEnd(ending, clock.now() - begun);
  };
  const fail = (message: string) =>
    end(
      proven
        ? { kind: 'over', delay: 0 }
        : { kind: 'broken', failure: { code: 'unreachable', message: `${message}: ${settings.statusUrl}` } },
    );
  const port: Port = {
    ...settings,
    version: events.version,
    troubled: events.troubled,
    offer: (value) => live && events.offer(value),
    prove: () => {
      proven = true;
      if (live) events.onGood();
    },
    arm(ms, message) {
      stopWatchdog();
      if (live) stopWatchdog = clock.after(ms, () => fail(message));
    },
    fail,
    end,
  };
  keep(close);
  try {
    closeTransport = TRANSPORTS[name](port);
    if (!live) closeTransport();
  } catch (error) {
    fail(String(error)); // a content security policy, a scheme that the platform forbids
  }
  opening = false;
}
