import type { MiniApi } from 'payquery-client';
import type { FakeWeChat } from './wx';

type Wx = Required<MiniApi>;
type Request = Parameters<Wx['request']>[0];

/** What the other platforms do otherwise than WeChat, over the same real network. */
export const platforms: Record<'wx' | 'my' | 'tt' | 'uni', (weChat: FakeWeChat) => MiniApi> = {
  wx: ({ wx }) => wx,

  /** Alipay: `headers`, `status`, a failure for every answer that is not 2xx, socket messages wrapped once more. */
  my: ({ wx }) => ({
    ...wx,
    canIUse: () => false,
    request(options: Request) {
      return wx.request({
        ...options,
        header: options.headers,
        success({ statusCode = 0, header = {}, data }) {
          const answer = { status: statusCode, headers: header, data };
          if (statusCode >= 200 && statusCode < 300) options.success(answer);
          else options.fail({ ...answer, errorMessage: 'http status error' });
        },
        fail: ({ errMsg = '' }) => options.fail({ errorMessage: errMsg }),
      });
    },
    connectSocket(options) {
      const task = wx.connectSocket(options);
      if (!options.multiple || !task) return undefined;
      return {
        ...task,
        onMessage: (listener) => task.onMessage(({ data }) => listener({ data: { data, isBuffer: false } })),
      };
    },
  }),

  tt: ({ wx }) => ({ ...wx, canIUse: () => false }),

  /** uni-app: a promise instead of a task for those who pass no callback. */
  uni: ({ wx }) => ({
    ...wx,
    canIUse: () => false,
    connectSocket: (options) => (typeof options.success === 'function' ? wx.connectSocket(options) : undefined),
  }),
};
