import type { WatchOptions } from 'payquery-client';
import { useEffect, useState } from 'react';
import { followPayment, type PaymentState } from './state';

export type { PaymentState };

/**
 * Watches while the component is there. Undefined until there are options, and until the effect has run. Another order is
 * another watch; new callbacks alone are not.
 */
export function usePayment(options: WatchOptions | undefined): PaymentState | undefined {
  const [state, setState] = useState<PaymentState>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: options are made anew at each rendering
  useEffect(() => {
    if (!options) return undefined;
    const watch = followPayment(options, setState);
    return () => {
      watch.stop();
      setState(undefined);
    };
  }, [options?.baseUrl, options?.orderId, options?.clientSecret]);
  return state;
}
