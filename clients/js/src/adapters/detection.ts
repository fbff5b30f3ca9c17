import type { Adapter } from './adapter';
import { type MiniApi, miniAdapter } from './mini';
import { webAdapter } from './web';

// Mini-programs have no `globalThis` everywhere, so each name is looked at by itself.
declare const wx: Partial<MiniApi> | undefined;
declare const my: Partial<MiniApi> | undefined;
declare const tt: Partial<MiniApi> | undefined;
declare const uni: Partial<MiniApi> | undefined;

/**
 * A platform's own functions come first, also below uni-app. A web page is known by its document: `wx` there is the
 * JS-SDK, which has no `request`. What is left with `uni` is uni-app's own App.
 */
export function detectAdapter(): Adapter {
  const native = [
    typeof wx !== 'undefined' && wx,
    typeof my !== 'undefined' && my,
    typeof tt !== 'undefined' && tt,
    typeof document === 'undefined' && typeof uni !== 'undefined' && uni,
  ].find((api) => api && !!api.request);
  return native ? miniAdapter(native as MiniApi) : webAdapter();
}
