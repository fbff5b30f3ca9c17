import type { WatchOptions } from 'payquery-client';
import { useEffect, useRef, useState } from 'react';
import { followPayment, identity, type PaymentState } from './state';

export type { PaymentState };

/**
 * Watches while the component is there. Undefined until there are options, and until the effect has run; so on a server.
 * Another order is another watch; new callbacks alone are not, and are the ones that are called.
 */
export function usePayment(options: WatchOptions | undefined): PaymentState | undefined {
  const [state, setState] = useState<PaymentState>();
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: options are made anew at each rendering
  useEffect(() => {
    if (!options) return undefined;
    const watch = followPayment(options, () => latest.current, setState);
    return () => {
      watch.stop();
      setState(undefined);
    };
  }, [identity(options)]);
  return state;
}
