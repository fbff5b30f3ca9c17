import type { PaymentWatch } from './handle';
import type { WatchOptions } from './options';
import { watchPayment } from './watch';

type Hook = (this: PageInstance, ...args: unknown[]) => unknown;

/** A mini-program's page: the helper needs no more of it. */
export interface PageInstance {
  payment?: PaymentWatch | undefined;
  setData(data: object, callback?: () => void): void;
}

/**
 * Ties a payment to a mini-program's page: `Page(withPayment({ data, … }, function (query) { return { … } }))`.
 * `start` gets what `onLoad` got, `this` is the page, and what it returns are options of `watchPayment`; nothing, if there
 * is no order yet. The watch is `this.payment`: hidden with the page, shown with it, stopped with it.
 */
export function withPayment<Definition extends object>(
  page: Definition & ThisType<Definition & PageInstance & Record<string, unknown>>,
  start?: (
    this: Definition & PageInstance & Record<string, unknown>,
    query: Record<string, string>,
    // biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing is meant
  ) => WatchOptions | void,
): Definition {
  const hooks = page as Record<string, Hook | undefined>;
  const hook = (name: string, act: (self: PageInstance, query: unknown) => void): Hook => {
    const own = hooks[name];
    return function (...args) {
      const answer = own?.apply(this, args);
      act(this, args[0]);
      return answer;
    };
  };
  const pass = (name: string, what: 'resume' | 'pause' | 'stop') => hook(name, (self) => self.payment?.[what]());
  return {
    ...page,
    onLoad: hook('onLoad', (self, query) => {
      const options = start?.call(self as never, (query || {}) as Record<string, string>);
      if (options) self.payment = watchPayment(options);
    }),
    onShow: pass('onShow', 'resume'),
    onHide: pass('onHide', 'pause'),
    onUnload: pass('onUnload', 'stop'),
  };
}
