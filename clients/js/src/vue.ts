import type { PaymentWatch, WatchOptions } from 'payquery-client';
import {
  getCurrentInstance,
  onActivated,
  onDeactivated,
  onMounted,
  onScopeDispose,
  type Ref,
  type ShallowRef,
  shallowRef,
  unref,
  watch,
} from 'vue';
import { followPayment, identity, idle, type PaymentState } from './state';

export type { PaymentState };

type Given = WatchOptions | undefined;

/**
 * Watches while the component, or effect scope, is there; not while `<KeepAlive>` keeps it aside. For `setup`, in Vue 3 and
 * uni-app. Options that change, as a ref or a getter, are followed: another order is another watch, and without options
 * there is none. A component asks nothing before it is mounted, so nothing on a server.
 */
export function usePayment(options: Given | Ref<Given> | (() => Given)): Readonly<ShallowRef<PaymentState>> {
  const latest = typeof options === 'function' ? options : () => unref(options);
  let payment: PaymentWatch | undefined;
  let aside = false; // by <KeepAlive>
  let paused = false; // by the page
  const rest = () => payment?.[aside || paused ? 'pause' : 'resume']();
  const pause = () => {
    paused = true;
    rest();
  };
  const resume = () => {
    paused = false;
    rest();
  };
  const nobody = { ...idle, pause, resume };
  const state = shallowRef<PaymentState>(nobody);
  const stop = () => {
    payment?.stop();
    payment = undefined;
    state.value = nobody;
  };
  const begin = () => {
    const unwatch = watch(
      () => identity(latest()),
      () => {
        stop();
        const now = latest();
        if (!now) return;
        payment = followPayment(now, latest, (news) => {
          state.value = { ...news, pause, resume };
        });
        if (aside || paused) payment.pause();
      },
      { immediate: true },
    );
    ends.push(unwatch);
  };
  const ends = [stop];
  onScopeDispose(() => {
    for (const end of ends) end();
  });
  if (!getCurrentInstance()) {
    begin();
    return state;
  }
  onMounted(begin);
  onActivated(() => {
    aside = false;
    rest();
  });
  onDeactivated(() => {
    aside = true;
    rest();
  });
  return state;
}
