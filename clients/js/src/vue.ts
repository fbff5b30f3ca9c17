import type { WatchOptions } from 'payquery-client';
import { onScopeDispose, type ShallowRef, shallowRef } from 'vue';
import { followPayment, type PaymentState } from './state';

export type { PaymentState };

/** Watches while the component, or effect scope, is there. For `setup`, in Vue 3 and uni-app. */
export function usePayment(options: WatchOptions): Readonly<ShallowRef<PaymentState | undefined>> {
  const state = shallowRef<PaymentState>();
  const watch = followPayment(options, (now) => {
    state.value = now;
  });
  onScopeDispose(() => watch.stop());
  return state;
}
