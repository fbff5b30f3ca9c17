const { merchant } = require('../../config');

Page({
  data: { note: '' },

  /** The backend creates the order; the page gets its id and a secret that opens its status. */
  order(event) {
    const { page } = event.currentTarget.dataset;
    this.setData({ note: '' });
    wx.request({
      url: `${merchant}/orders`,
      method: 'POST',
      success: ({ statusCode, data }) => {
        if (statusCode >= 300) return this.setData({ note: '下单失败，请重试' });
        wx.navigateTo({ url: `/pages/${page}/${page}?id=${data.id}&secret=${data.secret}` });
      },
      fail: () => this.setData({ note: '网络不给力，请重试' }),
    });
  },
});
