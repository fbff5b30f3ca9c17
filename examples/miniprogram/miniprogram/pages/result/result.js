// The payment's result, with the library: no timer, no socket, no version in the page.
const { withPayment } = require('payquery-client');
const { merchant, payquery } = require('../../config');
const { describe, lost } = require('../../words');

Page(
  withPayment(
    {
      data: { icon: 'waiting', title: '正在查询', note: '', final: false, unknown: false },

      /** Here `wx.requestPayment` would be called. Whatever it says, the result is what payquery says. */
      pay() {
        wx.request({ url: `${merchant}/orders/${this.id}/pay`, method: 'POST' });
      },

      again() {
        this.setData({ unknown: false, title: '正在查询', note: '' });
        this.payment.refresh();
      },
    },
    function ({ id, secret }) {
      this.id = id;
      return {
        baseUrl: payquery,
        orderId: id,
        clientSecret: secret,
        giveUpAfter: 10 * 60 * 1000,
        onStatus: (order) => this.setData(describe(order)),
        onError: (error) => this.setData(error.fatal ? lost : { note: '网络不给力，正在重试' }),
        onRecovery: (order) => this.setData(order ? describe(order) : { note: '' }),
        onUnknown: () => this.setData({ unknown: true, title: '结果未知', note: '请勿重复支付，稍后再查一次' }),
      };
    },
  ),
);
