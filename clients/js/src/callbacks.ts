import type { Clock } from './clock';
import type { WatchError } from './errors';
import type { WatchOptions } from './options';

export type CallbackName = 'onStatus' | 'onFinal' | 'onError' | 'onRecovery' | 'onUnknown' | 'onTransport';
export type CallbackValue<Name extends CallbackName> = Parameters<NonNullable<WatchOptions[Name]>>[0];

/** A caller's mistake must not end the watch; it is thrown where the environment reports it. */
export function tell<Name extends CallbackName>(
  options: WatchOptions,
  name: Name,
  value: CallbackValue<Name>,
  clock: Clock,
): void {
  try {
    const callback = options[name] as ((value: CallbackValue<Name>) => void) | undefined;
    if (callback) callback.call(options, value);
    // A page that waits for ever, and nobody knows why: an end is said somewhere.
    // biome-ignore lint/suspicious/noConsole: see above
    else if ((value as WatchError | undefined)?.fatal) console.error(String(value));
  } catch (error) {
    clock.after(0, () => {
      throw error;
    });
  }
}
