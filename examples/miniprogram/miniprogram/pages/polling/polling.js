// The same page by hand, as many people write it: an interval that asks, and is cleared at the end. It works.
// What it lacks, and the library has: with a slow network answers overlap; it asks at its own pace, not at the server's;
// each poll is a request, also when nothing is new; and nothing ends it when the outcome stays open for hours.
const { merchant, payquery } = require('../../config');
const { describe, lost } = require('../../words');

const INTERVAL_MS = 2000;

Page({
  data: { icon: 'waiting', title: '正在查询', note: '', final: false },

  onLoad({ id, secret }) {
    this.id = id;
    this.secret = secret;
  },

  onShow() {
    this.start(); // also after paying: the payment sheet had hidden the page
  },

  onHide() {
    this.stop();
  },

  onUnload() {
    this.stop();
  },

  start() {
    this.stop();
    if (this.data.final) return;
    this.ask();
    this.timer = setInterval(() => this.ask(), INTERVAL_MS);
  },

  stop() {
    clearInterval(this.timer);
    this.timer = null;
  },

  ask() {
    wx.request({
      url: `${payquery}/v1/orders/${this.id}/status`,
      header: { Authorization: `Bearer ${this.secret}` },
      success: ({ statusCode, data }) => {
        if (!this.timer || this.data.final) return; // an answer that came too late
        if (statusCode === 404) {
          this.stop();
          return this.setData(lost);
        }
        if (statusCode !== 200) return; // 429, 503: no news of the payment
        this.setData(describe(data));
        if (data.final) this.stop();
      },
      fail: () => this.setData({ note: '网络不给力，正在重试' }), // never "payment failed"
    });
  },

  pay() {
    wx.request({ url: `${merchant}/orders/${this.id}/pay`, method: 'POST' });
  },
});
